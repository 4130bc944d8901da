"""Engines and transactions: how the store is opened, read, and changed under a lock with an audit event.

SQLite runs in WAL mode; writers ask for the lock before reading (``BEGIN IMMEDIATE``), readers use an
engine of their own. On PostgreSQL a unit of work locks the one row of the ledger, which also keeps the
audit chain in order. Both thus run one unit of work at a time, which is right for changes made by people.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, exc, make_url, select, text
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as OrmSession
from sqlmodel import Session

from core.errors import CannotStart, SchemaOutdated, StoreUnreachable, UnrecordedChange
from core.store.tables import WATCHED, AuditRow, LedgerRow

LOCK_PATIENCE_S = 10
"""How long a writer waits for its turn before it gives up and says so."""


@dataclass(frozen=True)
class Store:
    """An open store: ``writes`` takes the lock at BEGIN, ``reads`` never does. Nothing is migrated by opening."""

    url: str
    dialect: str
    writes: Engine
    reads: Engine

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for queries only: one consistent snapshot, never committed."""
        with in_our_words(), Session(self.reads, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A short write of rows nobody watches: heartbeats, windows, sessions. Commits at the end."""
        with in_our_words(), Session(self.writes, expire_on_commit=False) as session:
            yield session
            session.commit()

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A change to watched rows: takes the lock first, commits at the end, or rolls back as a whole.

        Raises UnrecordedChange, and changes nothing, when a watched row changed without an audit event.
        """
        with in_our_words(), Session(self.writes, expire_on_commit=False) as session:
            session.info["ledger"] = _locked_ledger(session)
            yield session
            session.commit()

    def close(self) -> None:
        """Let every connection go."""
        self.writes.dispose()
        self.reads.dispose()


def open_store(url: str) -> Store:
    """Open the store at ``url`` (``sqlite:///path`` or ``postgresql://…``); CannotStart if that is no such address."""
    try:
        address = make_url(url)
    except exc.ArgumentError as fault:
        raise CannotStart(f"PINRAIL_DATABASE_URL is not a database address: {fault}") from fault
    backend = address.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(url, address.database)
    if backend == "postgresql":
        return _open_postgresql(url)
    raise CannotStart(f"Pinrail keeps its store on SQLite or PostgreSQL, not on {backend}.")


def _open_sqlite(url: str, path: str | None) -> Store:
    if not path or path == ":memory:":
        raise CannotStart("The store needs a file: several processes share it. Give sqlite:////absolute/path.db.")
    folder = Path(path).parent
    if not folder.is_dir():
        raise CannotStart(
            f"The folder {folder} for the store does not exist. Create it, or choose another with --data."
        )
    writes, reads = create_engine(url), create_engine(url)
    for engine, begin in ((writes, "BEGIN IMMEDIATE"), (reads, "BEGIN")):
        event.listen(engine, "connect", _prepare_sqlite)
        # Ask for the lock before reading: two writers then queue up, where a lock asked for late would
        # let both read the same revision and one would fail.
        event.listen(engine, "begin", lambda connection, begin=begin: connection.exec_driver_sql(begin))
    return Store(url, "sqlite", writes, reads)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where the "begin" event says, not by the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={LOCK_PATIENCE_S * 1000}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _open_postgresql(url: str) -> Store:
    limits = f"-c lock_timeout={LOCK_PATIENCE_S}s -c timezone=UTC"
    connect_args = {"connect_timeout": 5, "options": limits, "application_name": "pinrail"}
    writes = create_engine(url, pool_pre_ping=True, connect_args=connect_args)
    reads = create_engine(url, pool_pre_ping=True, connect_args=connect_args, isolation_level="REPEATABLE READ")
    return Store(url, "postgresql", writes, reads)


def _locked_ledger(session: Session) -> LedgerRow:
    ledger = session.scalars(select(LedgerRow).with_for_update()).one_or_none()
    if ledger is None:
        raise SchemaOutdated("The store has no ledger. Run `pinrail db upgrade`.")
    return ledger


@contextmanager
def in_our_words() -> Iterator[None]:
    """Say what happened to the store without the driver's vocabulary; the cause is kept."""
    try:
        yield
    except exc.ProgrammingError as fault:
        if "does not exist" in str(fault.orig):
            raise SchemaOutdated("The store has no tables yet. Run `pinrail db upgrade`.") from fault
        raise
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError) as fault:
        raise _store_fault(fault) from fault


def _store_fault(fault: exc.SQLAlchemyError) -> Exception:
    cause = str(getattr(fault, "orig", None) or fault).strip().splitlines()[0]
    if "no such table" in cause:
        return SchemaOutdated("The store has no tables yet. Run `pinrail db upgrade`.")
    return StoreUnreachable(f"The store did not take this: {cause}. Nothing was changed.")


# -- no watched change without its audit event ----------------------------------------------------


@event.listens_for(OrmSession, "after_flush")
def _remember_changes(session: OrmSession, _context: object) -> None:
    touched = session.info.setdefault("touched", set())
    touched.update(type(row) for row in session.new)
    touched.update(type(row) for row in session.dirty if session.is_modified(row))
    touched.update(type(row) for row in session.deleted)


@event.listens_for(OrmSession, "before_commit")
def _insist_on_audit(session: OrmSession) -> None:
    session.flush()
    touched = session.info.pop("touched", set())
    unrecorded = {row.__tablename__ for row in touched & WATCHED}
    if unrecorded and AuditRow not in touched:
        names = ", ".join(sorted(str(name) for name in unrecorded))
        raise UnrecordedChange(f"{names} would have changed without an audit event.")


@event.listens_for(OrmSession, "after_rollback")
def _forget_changes(session: OrmSession) -> None:
    session.info.pop("touched", None)


@event.listens_for(OrmSession, "do_orm_execute")
def _refuse_bulk(state: ORMExecuteState) -> None:
    """Bulk statements pass the watch above, so watched tables do not accept them."""
    if not (state.is_insert or state.is_update or state.is_delete):
        return
    mapper = state.bind_mapper
    if mapper is not None and (mapper.class_ in WATCHED or mapper.class_ is AuditRow):
        raise UnrecordedChange(f"Bulk statements on {mapper.class_.__tablename__} would pass the audit log by.")


def ping(store: Store) -> None:
    """Return when the store answers; StoreUnreachable when it does not."""
    with store.reading() as session:
        session.execute(text("SELECT 1"))
