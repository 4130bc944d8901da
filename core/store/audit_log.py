"""The audit log: appending to the chain inside a unit of work, reading it, and verifying it."""

from collections.abc import Iterator, Sequence
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
        if row.seq < 1:
            raise AuditBroken(f"Event {row.seq} was inserted: events are counted from 1.")
        if row.seq != count + 1:
            raise AuditBroken(f"Event {count + 1} is missing: the next one is {row.seq}.")
        if chained(row.seq, as_event(row), previous) != row.hash:
            raise AuditBroken(
                f"Event {row.seq} ({row.kind} of {row.subject}) does not fit the chain: it was changed, "
                "inserted or moved."
            )
        previous, count = row.hash, row.seq
        seen = seen or row.hash == expected_head
    _verify_end(session.get(LedgerRow, 1), count, previous)
    if not seen:
        raise AuditBroken("The head that was noted earlier is not in the log: it was rewritten as a whole.")
    return Verified(count, previous)


def _verify_end(ledger: LedgerRow | None, count: int, head: str) -> None:
    """The ledger knows how many events there are and the hash of the newest."""
    if ledger is None:
        raise AuditBroken("The ledger, which counts the events, is gone.")
    if count < ledger.audit_seq:
        raise AuditBroken(
            f"Event {count + 1} is missing: the log ends at {count}, but {ledger.audit_seq} were written."
        )
    if count > ledger.audit_seq:
        raise AuditBroken(f"Event {ledger.audit_seq + 1} was inserted: only {ledger.audit_seq} were written.")
    if head != ledger.audit_hash:
        raise AuditBroken(f"Event {count} is not the one that was written last: it was changed or inserted.")


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
    numbers = select(col(AuditRow.seq)).order_by(col(AuditRow.seq)).limit(1000)
    page = session.scalars(numbers).all()
    while page:
        yield from _readable(session, page)
        session.expunge_all()
        page = session.scalars(numbers.where(col(AuditRow.seq) > page[-1])).all()


def _readable(session: Session, page: Sequence[int]) -> Sequence[AuditRow]:
    """The rows numbered in ``page``; a time or JSON value that is none (SQLite keeps anything) names its row."""
    query = select(AuditRow).order_by(col(AuditRow.seq))
    try:
        return session.scalars(query.where(col(AuditRow.seq).between(page[0], page[-1]))).all()
    except (ValueError, TypeError) as fault:
        if len(page) == 1:
            raise AuditBroken(f"Event {page[0]} cannot be read ({fault}): it was changed.") from fault
        middle = len(page) // 2
        return [*_readable(session, page[:middle]), *_readable(session, page[middle:])]
