"""What the scheduler sees to by itself: removing what has expired, verifying the audit log, reminding of holds.

Every function may be begun twice for the same slot: each looks at what is there and does what is left to do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, func, select, tuple_
from sqlmodel import SQLModel, col

from core.domain import aliases
from core.domain.aliases import Revision
from core.domain.permissions import Actor, insist, rule_on
from core.domain.schedule import slot_at
from core.services.attempts import ATTEMPTS_WINDOW
from core.services.recording import change, event
from core.store import audit_log, repositories
from core.store.audit_log import Verified
from core.store.database import Store
from core.store.tables import (
    AcknowledgementRow,
    AttemptRow,
    IdempotencyRow,
    JobRunRow,
    ReplicaRow,
    SessionRow,
    WindowRow,
)

DAY = timedelta(days=1)
KEEP_SESSIONS = timedelta(days=30)
KEEP_KEYS = timedelta(days=7)
# Their acknowledgements go with them and not before: without the first one that contains a revision a later one would
# stand in, and a receipt would say that a gateway took days.
KEEP_REPLICAS = timedelta(days=7)
KEEP_RUNS = timedelta(days=30)
HOLD_IS_LONG = timedelta(hours=24)

BATCH = 2000
"""Rows removed in one transaction, so that nobody waits long for the lock."""
MOST_PER_RUN = 400_000
"""Rows removed in one run; what is left waits for the next."""


# -- removing what has expired --------------------------------------------------------------------


@dataclass(frozen=True)
class Pruned:
    """What one run removed, by kind; ``more`` is True when its limit left something for the next run."""

    removed: Mapping[str, int]
    more: bool

    @property
    def note(self) -> str:
        """The run in words; empty when nothing was removed."""
        if not self.removed:
            return ""
        parts = ", ".join(f"{count} {what}" for what, count in self.removed.items())
        return f"removed {parts}" + ("; more is left for the next run" if self.more else "")


@dataclass(frozen=True)
class _Spent:
    """Rows that may go. ``matters`` is True where somebody may miss them, so that their removal is audited."""

    what: str
    row: type[SQLModel]
    where: ColumnElement[bool]
    matters: bool = False


def prune(
    store: Store, actor: Actor, *, keep_windows: timedelta, now: datetime, most: int = MOST_PER_RUN, batch: int = BATCH
) -> Pruned:
    """Remove what has expired, in short transactions, and at most ``most`` rows of it."""
    insist(actor, "store:prune")
    removed: dict[str, int] = {}
    audited: dict[str, int] = {}
    left = most
    for spent in _spent(now, keep_windows):
        count = sum(_batches(store, spent, left, batch))
        left -= count
        if count:
            removed[spent.what] = count
        if count and spent.matters:
            audited[spent.what] = count
    if audited:
        said = event(actor, "store.pruned", "store", now=now, after=audited)
        with change(store, actor, "store:prune", said) as session:
            audit_log.append(session, said)
    return Pruned(removed, more=left == 0)


def _spent(now: datetime, keep_windows: timedelta) -> tuple[_Spent, ...]:
    """All that may go. What is audited goes by whole days, so that there is one event a day and not one an hour."""
    today = slot_at(now, DAY)
    gone = select(col(ReplicaRow.id)).where(col(ReplicaRow.seen_at) < now - KEEP_REPLICAS)
    last_use = func.coalesce(col(SessionRow.ended_at), col(SessionRow.expires_at))
    return (
        _Spent("sign-in attempts", AttemptRow, col(AttemptRow.at) < now - ATTEMPTS_WINDOW),
        _Spent("idempotency keys", IdempotencyRow, col(IdempotencyRow.at) < now - KEEP_KEYS),
        _Spent("acknowledgements", AcknowledgementRow, col(AcknowledgementRow.replica).in_(gone)),
        _Spent(
            "gateways long gone",
            ReplicaRow,
            and_(
                col(ReplicaRow.seen_at) < now - KEEP_REPLICAS,
                ~exists().where(col(AcknowledgementRow.replica) == col(ReplicaRow.id)),
            ),
        ),
        _Spent("job runs", JobRunRow, col(JobRunRow.scheduled_for) < now - KEEP_RUNS),
        _Spent("sessions", SessionRow, last_use < today - KEEP_SESSIONS, matters=True),
        _Spent("traffic windows", WindowRow, col(WindowRow.start) < today - keep_windows, matters=True),
    )


def _batches(store: Store, spent: _Spent, left: int, batch: int) -> Iterator[int]:
    """Remove batch after batch and say how many rows each was, until none are left or ``left`` are gone."""
    key = list(spent.row.__table__.primary_key)  # type: ignore[attr-defined]
    while left > 0:
        size = min(batch, left)
        some = select(*key).where(spent.where).limit(size)
        with store.writing() as session:
            done = cast("CursorResult[object]", session.execute(delete(spent.row).where(tuple_(*key).in_(some))))
        yield done.rowcount
        left -= done.rowcount
        if done.rowcount < size:
            return


# -- verifying the audit log ----------------------------------------------------------------------


def verify_audit(store: Store, actor: Actor) -> Verified:
    """Recompute the chain of the audit log; AuditBroken names the first event that does not fit."""
    insist(actor, "audit:read")
    with store.reading() as session:
        return audit_log.verify(session)


# -- reminding of holds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class LongHold:
    """An alias that has been held for long, and whom to remind."""

    alias: str
    owner: str | None
    by: str
    since: datetime
    reason: str

    def sentence(self, now: datetime) -> str:
        """The reminder in words."""
        hours = (now - self.since).total_seconds() / 3600
        why = f": {self.reason}" if self.reason else ""
        return f"{self.alias} (owner {self.owner or 'nobody'}) is held by {self.by} for {hours:.0f} h{why}"


def long_holds(store: Store, actor: Actor, *, now: datetime) -> list[LongHold]:
    """The holds older than 24 hours, the oldest first, of the aliases that ``actor`` may see."""
    with store.reading() as session:
        newest = repositories.newest_revisions(session)
    seen = [r for r in newest if not r.state.retired and rule_on(actor, "alias:read", r.alias).allowed]
    return sorted((hold for r in seen for hold in _held_long(r, now)), key=lambda hold: hold.since)


def _held_long(revision: Revision, now: datetime) -> Iterator[LongHold]:
    for hold in aliases.held_longer_than([revision], HOLD_IS_LONG, now=now):
        yield LongHold(revision.alias, revision.state.owner, hold.by, hold.at, hold.reason)
