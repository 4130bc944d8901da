"""What the audit page reads: events by filter, in pages that go on at a number, and an export with an end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import col

from core.domain.events import Event
from core.store import audit_log
from core.store.database import Store
from core.store.tables import AuditRow

ON_ONE_PAGE = 50
BATCH = 1000
MOST_EXPORTED = 50_000
"""Events in one export, so that neither store nor process is held for long; a filter by time leads to the others."""


@dataclass(frozen=True)
class Filter:
    """Which events: all that fit every field. None fits any; ``since`` is included, ``until`` is not."""

    who: str | None = None
    subject: str | None = None
    kind: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Every event fits."""
        return self == Filter()


@dataclass(frozen=True)
class Entry:
    """An event with its number in the log and the hash that binds it there."""

    seq: int
    event: Event
    hash: str


@dataclass(frozen=True)
class AuditPage:
    """One page of events, newest first; ``before`` is where the next page goes on, None at the end."""

    entries: tuple[Entry, ...]
    before: int | None


def audit_page(store: Store, wanted: Filter, *, before: int | None = None, limit: int = ON_ONE_PAGE) -> AuditPage:
    """The newest events that fit, or those before number ``before``."""
    query = _fitting(wanted, before).limit(limit + 1)
    with store.reading() as session:
        found = [_entry(row) for row in session.scalars(query)]
    shown = tuple(found[:limit])
    return AuditPage(shown, shown[-1].seq if len(found) > limit else None)


def exported(store: Store, wanted: Filter, *, most: int = MOST_EXPORTED) -> Iterator[Entry]:
    """The newest ``most`` events that fit, newest first, read in batches so that few are held at a time."""
    before: int | None = None
    left = most
    while left > 0:
        size = min(BATCH, left)
        with store.reading() as session:
            batch = [_entry(row) for row in session.scalars(_fitting(wanted, before).limit(size))]
        yield from batch
        if len(batch) < size:
            return
        left -= size
        before = batch[-1].seq


def _fitting(wanted: Filter, before: int | None) -> Select[Any]:
    query: Select[Any] = select(AuditRow).order_by(col(AuditRow.seq).desc())
    same: dict[str, Any] = {
        "actor": wanted.who,
        "subject": wanted.subject,
        "kind": wanted.kind,
        "outcome": wanted.outcome,
    }
    for name, value in same.items():
        if value is not None:
            query = query.where(getattr(AuditRow, name) == value)
    if wanted.since is not None:
        query = query.where(col(AuditRow.at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(AuditRow.at) < wanted.until)
    if before is not None:
        query = query.where(col(AuditRow.seq) < before)
    return query


def _entry(row: AuditRow) -> Entry:
    return Entry(row.seq, audit_log.as_event(row), row.hash)
