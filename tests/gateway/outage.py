"""Takes a store away from everybody, and gives it back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from core.store.database import Store


@contextmanager
def without(store: Store, *others: Store) -> Iterator[None]:
    """The store is gone meanwhile; ``others`` are further openings of the same one."""
    for opened in (store, *others):
        opened.close()
    with _no_file(store) if store.dialect == "sqlite" else _no_database(store):
        yield


@contextmanager
def _no_file(store: Store) -> Iterator[None]:
    path = Path(make_url(store.url).database or "")
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    path.mkdir()  # or SQLite would make a new, empty store in its place
    try:
        yield
    finally:
        path.rmdir()
        hidden.rename(path)


@contextmanager
def _no_database(store: Store) -> Iterator[None]:
    address = make_url(store.url)
    admin = create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": address.database},
        )
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS true"))
    admin.dispose()
