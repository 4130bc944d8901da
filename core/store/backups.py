"""The whole store into a backup file and back, on either kind of database, in one snapshot each way.

Restoring is one transaction: it takes down the tables, makes those of the backup's schema, fills them, brings them up
to date, checks them, and commits, or leaves everything as it was. Processes that have the store open go on with it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection, inspect, select, text
from sqlmodel import Session
from sqlmodel.sql.sqltypes import UTCDateTime

from core.domain.events import GENESIS, Event, chained
from core.errors import AuditBroken, BadBackup, StoreError, StoreInUse
from core.store import audit_log, changes, migrate
from core.store.backup_file import BackupFile, Kind, Manifest, Writer
from core.store.database import Store, in_our_words
from core.store.tables import (
    AcknowledgementRow,
    AttemptRow,
    Base,
    CallerKeyRow,
    LeaseRow,
    LedgerRow,
    PersonRow,
    ReplicaRow,
    SessionRow,
    TokenRow,
)

LEFT_OUT = frozenset(str(row.__tablename__) for row in (ReplicaRow, AcknowledgementRow, LeaseRow, AttemptRow))
"""What speaks of processes that ran then, not of what was decided: gateways say anew what they route by."""

JUMP = 1_000_000
"""How far a restore moves the change counter on. Gateways may know changes that the backup does not: no number that one
of them can have seen may come again with another meaning, or it would take the restored store for the one it knows."""

BATCH = 1000
_TAKEN_AWAY = ((TokenRow, "id", "revoked_at"), (CallerKeyRow, "id", "revoked_at"), (PersonRow, "name", "disabled_at"))
"""Access that a restore must not give back to whom it was taken from after the backup."""
_EVENT = tuple(Event.__dataclass_fields__)
_TYPES: Mapping[Kind, Callable[[], Any]] = {
    Kind.PLAIN: sa.types.NullType,
    Kind.TIME: UTCDateTime,
    Kind.DAY: sa.Date,
    Kind.JSON: lambda: sa.JSON(none_as_null=True),
}


@dataclass(frozen=True)
class Head:
    """How far a store has come: its newest audit event and its change counter."""

    events: int
    hash: str
    serial: int


# -- into a file ----------------------------------------------------------------------------------


def dump(store: Store, sink: BinaryIO, *, now: datetime) -> Manifest:
    """Write one consistent snapshot of the store; StoreError when its file is damaged.

    An audit log that does not verify is written as it is, and the manifest says so: it is evidence.
    """
    migrate.check_schema(store)
    with Writer(sink) as writer, store.reading() as session:
        refuse_damage(session.connection())
        for table in kept_tables():
            columns = {column.name: _kind(column.type) for column in table.columns}
            rows = select(*table.columns).order_by(*table.primary_key.columns)
            found = session.execute(rows.execution_options(yield_per=BATCH))
            writer.table(table.name, columns, found)
        ledger = session.get_one(LedgerRow, 1)
        manifest = Manifest(
            schema=migrate.newest(),
            taken_at=now,
            dialect=store.dialect,
            events=ledger.audit_seq,
            head=ledger.audit_hash,
            broken=_what_is_broken(session),
            tables=writer.tables,
        )
        writer.close(manifest)
        return manifest


def kept_tables() -> list[sa.Table]:
    """Every table that a backup holds, those first that others refer to."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


def refuse_damage(connection: Connection) -> None:
    """StoreError when the SQLite file is damaged; PostgreSQL sees to its own files."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
        if found != "ok":
            raise StoreError(
                f"The store's file is damaged ({str(found).splitlines()[-1]}). Keep the file as it is, and restore a "
                "backup in another folder."
            )


def _kind(type_: sa.types.TypeEngine[Any]) -> Kind:
    if isinstance(type_, sa.JSON):
        return Kind.JSON
    if isinstance(type_, (sa.DateTime, UTCDateTime)):
        return Kind.TIME
    return Kind.DAY if isinstance(type_, sa.Date) else Kind.PLAIN


def _what_is_broken(session: Session) -> str:
    try:
        audit_log.verify(session)
    except AuditBroken as fault:
        return str(fault)
    return ""


def opened(backup: BackupFile) -> BackupFile:
    """The same backup, once its audit log was recomputed too; BadBackup when it does not fit."""
    manifest = backup.manifest
    if manifest.broken:
        raise BadBackup(
            f"{backup.path} was taken while the audit log did not verify ({manifest.broken}). Restore an earlier one."
        )
    previous, count = GENESIS, 0
    for row in backup.rows("audit_event"):
        event = Event(**{name: row[name] for name in _EVENT})
        if row["seq"] != count + 1 or chained(row["seq"], event, previous) != row["hash"]:
            raise BadBackup(f"{backup.path} cannot be used: its audit event {row['seq']} does not fit the chain.")
        previous, count = row["hash"], count + 1
    if (count, previous) != (manifest.events, manifest.head):
        raise BadBackup(f"{backup.path} cannot be used: its audit log is not the one that its manifest names.")
    return backup


# -- and back -------------------------------------------------------------------------------------


def head_of(store: Store) -> Head | None:
    """How far the store has come, or None while nobody and nothing is in it."""
    if migrate.current(store) is None:
        return None
    migrate.check_schema(store)
    with store.reading() as session:
        ledger = session.get_one(LedgerRow, 1)
        head = Head(ledger.audit_seq, ledger.audit_hash, ledger.serial)
    return None if head.events == 0 and migrate.is_empty(store) else head


def load(
    store: Store, backup: BackupFile, expected: Head | None, said: Callable[[list[str]], Event], *, now: datetime
) -> Head:
    """Put the backup in the place of everything in the store; how far that has come is returned.

    ``expected`` is what the store held when it was looked at: StoreInUse, and nothing is changed, when it moved since.
    ``said`` makes the audit event, given whose access was kept from coming back.
    """
    with in_our_words(), store.writes.execution_options(migrating=True).begin() as connection:
        migrate.wait_for_turn(connection)
        before = _ledger_alone(connection)
        if expected is not None and before != expected:
            raise StoreInUse("Somebody changed the store in the meantime. Nothing was touched; restore again.")
        if expected is None and before is not None and before.events > 0:
            raise StoreInUse("Somebody began to use the store in the meantime. Nothing was touched.")
        taken_away = _taken_away(connection) if before is not None else []
        _take_down(connection)
        migrate.upgrade_to(connection, backup.manifest.schema)
        _fill(connection, backup)
        migrate.upgrade_to(connection, migrate.newest())
        _go_on_counting(connection)
        with Session(connection, expire_on_commit=False) as session:
            return _finished(session, before, taken_away, said, now)


def _ledger_alone(connection: Connection) -> Head | None:
    """The ledger, which from now on nobody else can have until this transaction ends; None without one."""
    if not inspect(connection).has_table(str(LedgerRow.__tablename__)):
        return None
    if connection.dialect.name == "postgresql":
        # Every change locks this row first: whoever is in the middle of one ends it, and nobody begins another.
        connection.execute(text("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE"))
    row = connection.execute(text("SELECT audit_seq, audit_hash, serial FROM ledger")).one_or_none()
    return Head(*row) if row is not None else None


def _taken_away(connection: Connection) -> list[tuple[type[Any], str, datetime]]:
    found = []
    for row, key, ended in _TAKEN_AWAY:
        columns = sa.inspect(row).columns
        ids = connection.execute(select(columns[key], columns[ended]).where(columns[ended].is_not(None)))
        found += [(row, str(one), at) for one, at in ids]
    return found


def _take_down(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    cascade = " CASCADE" if connection.dialect.name == "postgresql" else ""
    for table in [*reversed(Base.metadata.sorted_tables), sa.table("alembic_version")]:
        if table.name in there:
            connection.execute(text(f"DROP TABLE {table.name}{cascade}"))
    if cascade:
        for name in connection.execute(
            text(
                "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE :ours"
            ),
            {"ours": r"%\_append\_only"},
        ).scalars():
            connection.execute(text(f"DROP FUNCTION {name}() CASCADE"))


def _fill(connection: Connection, backup: BackupFile) -> None:
    for name, facts in backup.manifest.tables.items():
        # A migration may have begun a table; what the backup holds is all of it.
        if connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None:  # noqa: S608
            connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608  # a table of ours, checked by the manifest
        columns = [sa.column(column, _TYPES[kind]()) for column, kind in facts.columns.items()]
        table = sa.table(name, *columns)
        rows = backup.rows(name)
        for batch in _batches(rows):
            connection.execute(table.insert(), batch)
        count = connection.execute(select(sa.func.count()).select_from(table)).scalar_one()
        if count != facts.rows:
            raise StoreError(f"The table {name} took {count} of {facts.rows} rows. Nothing was changed.")


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _go_on_counting(connection: Connection) -> None:
    """PostgreSQL numbers new rows by itself, and must go on after the highest that came with the backup."""
    if connection.dialect.name != "postgresql":
        return
    for table in Base.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
        ).scalar_one()
        if sequence is not None:
            top = select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            connection.execute(select(sa.func.setval(sequence, top, False)))


def _finished(
    session: Session,
    before: Head | None,
    taken_away: list[tuple[type[Any], str, datetime]],
    said: Callable[[list[str]], Event],
    now: datetime,
) -> Head:
    kept_out = []
    for row, key, at in taken_away:
        found = session.get(row, key)
        ended = "disabled_at" if row is PersonRow else "revoked_at"
        if found is not None and getattr(found, ended) is None:
            setattr(found, ended, at)
            kept_out.append(f"{row.__tablename__}:{key}")
    still_open = sa.update(SessionRow).where(sa.column("ended_at").is_(None))
    session.execute(still_open.values(ended_at=now, ended_by="restore"))
    ledger = session.get_one(LedgerRow, 1)
    session.info["ledger"] = ledger
    ledger.serial = max(ledger.serial, before.serial if before is not None else 0) + JUMP
    audit_log.append(session, said(kept_out))
    session.flush()
    refuse_damage(session.connection())
    _refuse_loose_ends(session)
    audit_log.verify(session)
    changes.announce(session, ledger.serial)
    ledger = session.get_one(LedgerRow, 1)
    return Head(ledger.audit_seq, ledger.audit_hash, ledger.serial)


def _refuse_loose_ends(session: Session) -> None:
    if session.get_bind().dialect.name == "sqlite":
        loose = session.execute(text("PRAGMA foreign_key_check")).first()
        if loose is not None:
            raise StoreError(f"The backup contradicts itself: {loose[0]} refers to a {loose[2]} that is not there.")
