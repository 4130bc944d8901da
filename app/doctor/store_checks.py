"""What the doctor asks of the store itself: schema, version, files, clock, audit log, backups."""

import sqlite3
from datetime import timedelta

from sqlalchemy import select, text
from sqlmodel import col

from app.doctor.findings import Level, Patient, Seen
from core.errors import AuditBroken, PinrailError, StoreUnreachable
from core.store import audit_log, leases, migrate
from core.store.tables import AuditRow

SQLITE_MENDED = (3, 51, 3)
"""From here on SQLite does not lose a committed write to the WAL-reset fault; it has it since 3.7.0."""
OLDEST_POSTGRESQL = 140000
QUICK_EVENTS = 1000
CLOCK_CARE, CLOCK_ILL = timedelta(seconds=2), timedelta(seconds=15)
BACKUP_IS_OLD = timedelta(days=7)


def schema(patient: Patient) -> Seen:
    """Does the store answer, and has it the schema that this program needs?"""
    try:
        migrate.check_schema(patient.pinrail.store)
    except StoreUnreachable as fault:
        yield Level.ILL, str(fault), "See that the store runs and that PINRAIL_DATABASE_URL or --data names it."
    except PinrailError as fault:
        yield Level.ILL, str(fault), "Run `pinrail db upgrade` with the newest program that uses this store."
    else:
        yield Level.WELL, f"The store answers and is at schema {migrate.newest()}.", ""


def database_version(patient: Patient) -> Seen:
    """Is the database one that Pinrail can rely on?"""
    if patient.pinrail.store.dialect == "sqlite":
        version = sqlite3.sqlite_version
        if sqlite3.sqlite_version_info < SQLITE_MENDED:
            yield (
                Level.CARE,
                f"SQLite {version} has a very rare fault that can lose a committed write in WAL mode (until 3.51.2).",
                "Take backups, run a Python with SQLite 3.51.3 or newer, or use PostgreSQL for what must not be lost.",
            )
        else:
            yield Level.WELL, f"SQLite {version}.", ""
        return
    with patient.pinrail.store.reading() as session:
        number = int(session.execute(text("SHOW server_version_num")).scalar_one())
        version = session.execute(text("SHOW server_version")).scalar_one()
    if number < OLDEST_POSTGRESQL:
        yield (
            Level.CARE,
            f"PostgreSQL {version} is no longer supported by its makers.",
            "Upgrade to PostgreSQL 14 or newer.",
        )
    else:
        yield Level.WELL, f"PostgreSQL {version}.", ""


def store_file(patient: Patient) -> Seen:
    """Is the SQLite file undamaged? PostgreSQL sees to its own."""
    store = patient.pinrail.store
    if store.dialect != "sqlite":
        yield Level.WELL, "PostgreSQL sees to its own files.", ""
        return
    pragma = "integrity_check" if patient.full else "quick_check"
    with store.reading() as session:
        found = session.execute(text(f"PRAGMA {pragma}(1)")).scalar_one()
    if found == "ok":
        yield Level.WELL, f"SQLite's {pragma} finds nothing.", ""
    else:
        yield (
            Level.ILL,
            f"The store's file is damaged: {str(found).splitlines()[-1]}.",
            "Stop Pinrail, keep the file as it is, and `pinrail restore` the newest backup in another folder.",
        )


def clock(patient: Patient) -> Seen:
    """Do this machine and the database agree on the time?"""
    store = patient.pinrail.store
    theirs = leases.time_of(store)
    ours = patient.pinrail.now()
    apart = abs(theirs - ours)
    said = f"This machine's clock and the database's differ by {apart.total_seconds():.1f} s."
    if apart > CLOCK_CARE:
        level = Level.ILL if apart > CLOCK_ILL else Level.CARE
        yield level, said, "Let both follow a time server (NTP): receipts and leases are counted in seconds."
    else:
        yield Level.WELL, said, ""


def audit(patient: Patient) -> Seen:
    """Does the audit log verify? Its last 1,000 events, or with --full all of them."""
    last = None if patient.full else QUICK_EVENTS
    try:
        with patient.pinrail.store.reading() as session:
            found = audit_log.verify(session, last=last)
    except AuditBroken as fault:
        yield (
            Level.ILL,
            f"The audit log does not verify: {fault}",
            "Keep the database as it is, run `pinrail backup` for evidence, and find out who wrote to it.",
        )
        return
    how = "all of them" if last is None or found.events <= last else f"the last {last:,} recomputed"
    yield Level.WELL, f"The audit log is whole: {found.events:,} events, {how}.", ""


def backup(patient: Patient) -> Seen:
    """Was a backup taken lately?"""
    newest = select(col(AuditRow.at)).where(col(AuditRow.kind) == "store.backed_up").order_by(col(AuditRow.seq).desc())
    with patient.pinrail.store.reading() as session:
        at = session.scalars(newest.limit(1)).first()
    remedy = "Run `pinrail backup FILE` from cron or a timer, or see that your database's own backups are taken."
    if at is None:
        yield Level.CARE, "No backup was ever taken with `pinrail backup`.", remedy
    elif patient.now - at > BACKUP_IS_OLD:
        yield Level.CARE, f"The newest backup is {(patient.now - at).days} days old.", remedy
    else:
        yield Level.WELL, f"The newest backup was taken at {at:%Y-%m-%d %H:%M} UTC.", ""
