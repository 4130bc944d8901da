"""How a process learns that the store changed: ``data_version`` on SQLite, LISTEN on PostgreSQL.

Either may miss a change (a lost connection, a pooler in between), so whoever waits here also compares the
change counter slowly; see ``core.services.serving.current_serial``.
"""

import contextlib
import time
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError
from typing import Protocol

import psycopg
from sqlalchemy import make_url, text
from sqlmodel import Session

from core.errors import StoreUnreachable
from core.store.database import Store
from core.store.sqlite_file import identity

CHANNEL = "pinrail_changes"
POLL_S = 0.01
"""How often SQLite is asked; one question costs a few microseconds."""


def announce(session: Session, serial: int) -> None:
    """Tell listeners about change ``serial`` when this transaction commits (SQLite tells them by itself)."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_notify(:channel, :serial)"), {"channel": CHANNEL, "serial": str(serial)})


class ChangeWatch(Protocol):
    """Waits for changes on a connection of its own; use it from one thread."""

    def wait(self, timeout_s: float) -> bool:
        """True as soon as something may have changed, False after ``timeout_s``; StoreUnreachable without a store."""
        ...

    def close(self) -> None:
        """Let the connection go."""
        ...


def watch(store: Store) -> ChangeWatch:
    """A watch on ``store``; StoreUnreachable when it cannot be reached."""
    return _SqliteWatch(store) if store.dialect == "sqlite" else _PostgresWatch(store)


class _SqliteWatch:
    def __init__(self, store: Store) -> None:
        # One long-lived connection: data_version only means something compared with itself.
        self._path = make_url(store.url).database or ""
        try:
            self._pooled = store.reads.raw_connection()
        except SqliteError as fault:
            raise StoreUnreachable(f"The store did not answer: {fault}.") from fault
        connection = self._pooled.driver_connection
        assert isinstance(connection, SqliteConnection)
        self._connection = connection
        self._file = identity(self._path)
        self._seen = self._version()

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except SqliteError as fault:
            raise StoreUnreachable(f"The store did not answer: {fault}.") from fault

    def wait(self, timeout_s: float) -> bool:
        if identity(self._path) != self._file:
            raise StoreUnreachable(f"The store is gone: {self._path} is not the file that was opened.")
        deadline = time.monotonic() + timeout_s
        while True:
            version = self._version()
            if version != self._seen:
                self._seen = version
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_S, left))

    def close(self) -> None:
        with contextlib.suppress(SqliteError):
            self._pooled.close()


class _PostgresWatch:
    def __init__(self, store: Store) -> None:
        address = make_url(store.url).set(drivername="postgresql")
        try:
            self._connection = psycopg.connect(
                address.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
            )
            self._connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error as fault:
            raise StoreUnreachable(f"The store did not answer: {fault}.") from fault

    def wait(self, timeout_s: float) -> bool:
        try:
            return any(True for _ in self._connection.notifies(timeout=timeout_s, stop_after=1))
        except psycopg.Error as fault:
            raise StoreUnreachable(f"The store did not answer: {fault}.") from fault

    def close(self) -> None:
        self._connection.close()
