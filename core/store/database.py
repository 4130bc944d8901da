"""Engines and transactions: how the store is opened, read, and changed under a lock with an audit event.

SQLite runs in WAL mode; writers ask for the lock before reading (``BEGIN IMMEDIATE``). On PostgreSQL a unit of
work locks the one row of the ledger, which also keeps the audit chain in order. Both thus run one unit of work at a
time, which is right for changes made by people. Readers use an engine of their own, which can change nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, select, text
from sqlmodel import Session

from core.errors import CannotStart, InvalidInput, PinrailError, SchemaOutdated, StoreError, StoreUnreachable
from core.store import watching
from core.store.sqlite_file import StoreFile
from core.store.tables import LedgerRow

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
    def glancing(self) -> Iterator[Session]:
        """A session for one statement, which is a snapshot by itself: on PostgreSQL no transaction is begun for it."""
        postgresql = self.dialect == "postgresql"
        engine = self.reads.execution_options(isolation_level="AUTOCOMMIT") if postgresql else self.reads
        with in_our_words(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A short write of rows nobody watches: heartbeats, windows, sessions. Commits at the end."""
        with in_our_words(), Session(self.writes, expire_on_commit=False) as session:
            yield session
            _commit(session)

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A change to watched rows: takes the lock first, commits at the end, or rolls back as a whole.

        Raises UnrecordedChange, and changes nothing, when a watched row changed without an audit event.
        """
        with in_our_words(), Session(self.writes.execution_options(durable=True), expire_on_commit=False) as session:
            session.info["ledger"] = _locked_ledger(session)
            yield session
            _commit(session)

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
    if backend in ("postgresql", "postgres"):
        return _open_postgresql(url, address)
    raise CannotStart(f"Pinrail keeps its store on SQLite or PostgreSQL, not on {backend}.")


def _open_sqlite(url: str, path: str | None) -> Store:
    if not path or path == ":memory:":
        raise CannotStart("The store needs a file: several processes share it. Give sqlite:////absolute/path.db.")
    folder = Path(path).parent
    if not folder.is_dir():
        raise CannotStart(
            f"The folder {folder} for the store does not exist. Create it, or choose another with --data."
        )
    writes, reads = (create_engine(url, hide_parameters=True) for _ in range(2))
    watching.watch(writes)
    event.listen(reads, "connect", lambda connection, _record: connection.execute("PRAGMA query_only=ON"))
    file = StoreFile(path)
    for engine, begin in ((writes, _begin_writing), (reads, _begin_reading)):
        event.listen(engine, "connect", _prepare_sqlite, insert=True)
        file.guard(engine)
        event.listen(engine, "begin", begin)
    return Store(url, "sqlite", writes, reads)


def _begin_writing(connection: Connection) -> None:
    # What a person was told is done must outlive a power cut; a heartbeat need not wait for the disk.
    durable = connection.get_execution_options().get("durable", False)
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    # Ask for the lock before reading: two writers then queue up, where a lock asked for late would
    # let both read the same revision and one would fail.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where the "begin" event says, not by the driver
    for pragma in (
        f"busy_timeout={int(LOCK_PATIENCE_S * 1000)}",
        "journal_mode=WAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _open_postgresql(url: str, address: URL) -> Store:
    limits = f"-c lock_timeout={int(LOCK_PATIENCE_S * 1000)} -c timezone=UTC"
    address = address.set(drivername="postgresql+psycopg")

    def engine(limits: str, **options: Any) -> Engine:
        connect_args = {"connect_timeout": 5, "options": limits, "application_name": "pinrail"}
        # A fault may end up in a log, and its parameters are people's prompts and digests of secrets.
        return create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=connect_args, **options)

    writes = engine(limits)
    reads = engine(f"{limits} -c default_transaction_read_only=on", isolation_level="REPEATABLE READ")
    watching.watch(writes)
    return Store(url, "postgresql", writes, reads)


def _locked_ledger(session: Session) -> LedgerRow:
    ledger = session.scalars(select(LedgerRow).with_for_update()).one_or_none()
    if ledger is None:
        raise SchemaOutdated("The store has no ledger. Run `pinrail db upgrade`.")
    return ledger


def _commit(session: Session) -> None:
    session.flush()
    try:
        session.commit()
    except exc.DBAPIError as fault:
        if fault.connection_invalidated:
            raise StoreUnreachable(
                f"The store was lost while it committed: {_cause(fault)}. Whether the change was made is not known: "
                "look first, or ask again under the same idempotency key."
            ) from fault
        raise


# -- faults in our words --------------------------------------------------------------------------


@contextmanager
def in_our_words() -> Iterator[None]:
    """Say what happened to the store without the driver's vocabulary; the cause is kept."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as fault:
        translated = _translated(fault)
        if translated is None:
            raise
        raise translated from fault
    except (UnicodeEncodeError, OverflowError) as fault:  # what SQLite's driver says of half a character, or of 2**64
        raise InvalidInput(f"The store cannot keep a value: {fault}. Nothing was changed.") from fault


def _translated(fault: exc.SQLAlchemyError) -> PinrailError | None:
    """The refusal that a fault amounts to; None for what is a mistake in our own SQL."""
    cause, state = _cause(fault), getattr(getattr(fault, "orig", None), "sqlstate", None)
    if "no such table" in cause or state == "42P01":
        return SchemaOutdated("The store has no tables yet. Run `pinrail db upgrade`.")
    if "no such column" in cause or state == "42703":
        return SchemaOutdated("The store's tables are older than this program. Run `pinrail db upgrade`.")
    if "is append-only" in cause:
        return StoreError(f"{cause}. Nothing was changed.")
    if "already exists" in cause:
        return StoreError(
            f"The database holds something that Pinrail did not make: {cause}. Give Pinrail a database of its own."
        )
    if isinstance(fault, exc.DataError):
        return InvalidInput(f"The store cannot keep a value: {cause}. Nothing was changed.")
    if isinstance(fault, exc.IntegrityError):
        return StoreError(f"The store refused a contradiction: {cause}. Nothing was changed.")
    if "database is locked" in cause or state == "55P03":
        return StoreUnreachable(
            f"Somebody else kept the store for more than {LOCK_PATIENCE_S} s. Nothing was changed; try again."
        )
    if isinstance(fault, (exc.ProgrammingError, exc.NotSupportedError)):
        return None
    return StoreUnreachable(f"The store did not take this: {cause}. Nothing was changed.")


def _cause(fault: exc.SQLAlchemyError) -> str:
    said = str(getattr(fault, "orig", None) or fault).strip()
    return said.splitlines()[0].rstrip(".") if said else type(fault).__name__


def ping(store: Store) -> None:
    """Return when the store answers; StoreUnreachable when it does not."""
    with store.reading() as session:
        session.execute(text("SELECT 1"))
