"""The audit log: appending to the chain inside a unit of work, reading it, and verifying it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.events import EVENTS, GENESIS, Event, chained
from core.errors import AuditBroken, UnrecordedChange
from core.store.tables import AuditRow, LedgerRow


def append(session: Session, event: Event) -> int:
    """Chain ``event`` to the log within the unit of work ``session``; its number is returned."""
    if event.kind not in EVENTS:
        raise UnrecordedChange(f"There is no audit event {event.kind!r}; add it to EVENTS first.")
    ledger: LedgerRow = session.info["ledger"]
    seq = ledger.audit_seq + 1
    ledger.audit_hash = chained(seq, event, ledger.audit_hash)
    ledger.audit_seq = seq
    session.add(
        AuditRow(
            seq=seq,
            at=event.at,
            kind=event.kind,
            subject=event.subject,
            actor=event.actor,
            actor_kind=event.actor_kind,
            via=event.via,
            outcome=event.outcome,
            reason=event.reason,
            before=dict(event.before),
            after=dict(event.after),
            hash=ledger.audit_hash,
        )
    )
    return seq


@dataclass(frozen=True)
class Verified:
    """The log is whole: ``events`` in number, ``head`` is the hash of the newest."""

    events: int
    head: str


def verify(session: Session, *, expected_head: str | None = None) -> Verified:
    """Recompute the whole chain; AuditBroken names the first row that does not fit.

    ``expected_head`` is a head noted elsewhere earlier: it must still be the hash of some event, which finds
    a log that was rewritten as a whole.
    """
    previous, count, seen = GENESIS, 0, expected_head in (None, GENESIS)
    for row in _rows(session):
        if row.seq != count + 1:
            raise AuditBroken(f"Event {count + 1} is missing: after {count} comes {row.seq}.")
        if chained(row.seq, as_event(row), previous) != row.hash:
            raise AuditBroken(
                f"Event {row.seq} ({row.kind} of {row.subject}) does not fit the chain: it was changed, "
                "inserted or moved."
            )
        previous, count = row.hash, row.seq
        seen = seen or row.hash == expected_head
    ledger = session.get_one(LedgerRow, 1)
    if (ledger.audit_seq, ledger.audit_hash) != (count, previous):
        raise AuditBroken(
            f"The log ends at event {count}, but the ledger has counted {ledger.audit_seq}: the end is gone."
        )
    if not seen:
        raise AuditBroken("The head that was noted earlier is not in the log: it was rewritten as a whole.")
    return Verified(count, previous)


def as_event(row: AuditRow) -> Event:
    """The value a row stands for."""
    return Event(
        row.kind,
        row.subject,
        row.actor,
        row.actor_kind,
        row.at,
        row.outcome,
        row.reason,
        row.via,
        row.before,
        row.after,
    )


def _rows(session: Session) -> Iterator[AuditRow]:
    """All rows in order, in pages, so that a long log needs no memory."""
    query = select(AuditRow).order_by(col(AuditRow.seq)).limit(1000)
    page = session.scalars(query).all()
    while page:
        yield from page
        last = page[-1].seq
        session.expunge_all()
        page = session.scalars(query.where(col(AuditRow.seq) > last)).all()
