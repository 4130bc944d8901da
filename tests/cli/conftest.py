"""An installation for the command line to work on, with or without the API in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app.settings import Settings
from app.wiring import Pinrail
from tests.cli.desk import Desk, desk_on, furnished


@pytest.fixture
def pinrail(database_url: str, tmp_path: Path) -> Iterator[Pinrail]:
    """An installation with a provider and three versions, where a version has served well at once."""
    opened = furnished(Settings(database_url=database_url, data_dir=tmp_path, minimum_dwell_s=0))
    yield opened
    opened.store.close()


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Iterator[Pinrail]:
    """As ``pinrail``, for promises that have nothing to do with the kind of store."""
    opened = furnished(Settings(database_url=sqlite_url, data_dir=tmp_path, minimum_dwell_s=0))
    yield opened
    opened.store.close()


@pytest.fixture
def desk(pinrail: Pinrail) -> Desk:
    """A desk with the store's credentials."""
    return desk_on(pinrail)


@pytest.fixture
def lite_desk(lite: Pinrail) -> Desk:
    """As ``desk``, on SQLite alone."""
    return desk_on(lite)


@pytest.fixture
def second_database_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """Another fresh database of the same kind."""
    address = make_url(database_url)
    if address.get_backend_name() == "sqlite":
        yield f"sqlite:///{tmp_path / 'second.db'}"
        return
    name = f"{address.database}_second"
    admin = create_engine(address.set(drivername="postgresql"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield address.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
