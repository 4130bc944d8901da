"""Who may run scheduled work, and which run of it was done: a lease row with a fence, and runs claimed under it.

The lease is taken by compare-and-swap, on the store's clock, once it ran out or was given back. Each new holder gets
a fence one higher, which is checked, under a lock on the lease row, whenever a run is claimed or finished: a
holder that slept through the end of its lease can do neither. A run is unique to its job and slot, so a slot
is run once even while two schedulers both believe to hold the lease.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, Executable, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col

from core.errors import LeaseLost
from core.store.database import Store
from core.store.tables import JobRunRow, LeaseRow

DONE, FAILED, ABANDONED = "done", "failed", "abandoned"


@dataclass(frozen=True)
class Lease:
    """The right of ``holder`` to run scheduled work until ``expires_at``; ``fence`` tells holders apart for good."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


@dataclass(frozen=True)
class Run:
    """One run of a job; ``outcome`` is done, failed or abandoned, and None while it lasts. ``note`` is a sentence."""

    job: str
    scheduled_for: datetime
    holder: str
    fence: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    note: str = ""


def time_of(store: Store) -> datetime:
    """The store's own clock: the only one that holders on different machines share."""
    with store.reading() as session:
        if store.dialect == "postgresql":
            at = session.execute(text("SELECT clock_timestamp()")).scalar_one()
            return cast(datetime, at).astimezone(UTC)
        return datetime.fromisoformat(
            session.execute(text("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")).scalar_one()
        )


# -- the lease ------------------------------------------------------------------------------------


def take(store: Store, name: str, *, holder: str, lasts: timedelta, now: datetime) -> Lease | None:
    """The lease ``name`` if it is free or ran out by ``now``; None while somebody else holds it."""
    free = or_(col(LeaseRow.expires_at) <= now, col(LeaseRow.holder) == holder)
    taken = (
        update(LeaseRow)
        .where(col(LeaseRow.name) == name, free)
        .values(holder=holder, fence=col(LeaseRow.fence) + 1, expires_at=now + lasts)
    )
    first = {"name": name, "holder": holder, "fence": 1, "expires_at": now + lasts}
    with store.writing() as session:
        if not _changed(session, taken) and not _inserted(session, store, LeaseRow, first):
            return None
        row = session.get_one(LeaseRow, name)
        return Lease(name, holder, row.fence, row.expires_at)


def renew(store: Store, lease: Lease, *, lasts: timedelta, now: datetime) -> Lease:
    """The same lease for longer; LeaseLost when somebody else took it meanwhile."""
    with store.writing() as session:
        row = _insist(session, lease)
        row.expires_at = max(row.expires_at, now + lasts)
        return Lease(lease.name, lease.holder, lease.fence, row.expires_at)


def give_back(store: Store, lease: Lease, *, now: datetime) -> None:
    """End the lease early, so that another scheduler goes on at once; nothing if it is somebody else's by now."""
    ended = update(LeaseRow).where(*_mine(lease)).values(expires_at=now)
    with store.writing() as session:
        _changed(session, ended)


def holder_of(store: Store, name: str) -> Lease | None:
    """The lease as it stands, also after it ran out; None when nobody ever held it."""
    with store.reading() as session:
        row = session.get(LeaseRow, name)
        return Lease(row.name, row.holder, row.fence, row.expires_at) if row is not None else None


# -- runs -----------------------------------------------------------------------------------------


def claim(store: Store, lease: Lease, job: str, scheduled_for: datetime, *, now: datetime) -> Run | None:
    """The run of ``job`` for this slot, if it is not done or under way; LeaseLost when the lease is not ours any more.

    A run that an earlier holder left unfinished is taken over. Unfinished runs of earlier slots are put down as
    abandoned: the holder runs a job once at a time, so nobody can still be at them.
    """
    run = Run(job, scheduled_for, lease.holder, lease.fence, now)
    with store.writing() as session:
        _insist(session, lease)
        _put_down_abandoned(session, run)
        new = _inserted(session, store, JobRunRow, vars(run))
        return run if new or _taken_over(session, run) else None


def _put_down_abandoned(session: Session, run: Run) -> None:
    note = f"not finished when the next run began at {run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    earlier = (col(JobRunRow.job) == run.job, col(JobRunRow.scheduled_for) < run.scheduled_for)
    unfinished = update(JobRunRow).where(*earlier, col(JobRunRow.finished_at).is_(None))
    session.execute(unfinished.values(finished_at=run.started_at, outcome=ABANDONED, note=note))


def _taken_over(session: Session, run: Run) -> bool:
    left = (*_slot(run), col(JobRunRow.finished_at).is_(None), col(JobRunRow.fence) < run.fence)
    ours = {"holder": run.holder, "fence": run.fence, "started_at": run.started_at}
    return _changed(session, update(JobRunRow).where(*left).values(**ours))


def finish(store: Store, lease: Lease, run: Run, outcome: str, note: str, *, now: datetime) -> None:
    """Put down how a run ended; LeaseLost, and nothing is put down, when somebody else may have taken it over."""
    ours = (*_slot(run), col(JobRunRow.fence) == run.fence, col(JobRunRow.finished_at).is_(None))
    ended = update(JobRunRow).where(*ours).values(finished_at=now, outcome=outcome, note=note)
    with store.writing() as session:
        _insist(session, lease)
        if not _changed(session, ended):
            raise LeaseLost(f"The run of {run.job} for {run.scheduled_for:%Y-%m-%d %H:%M} UTC is not ours any more.")


def latest_runs(store: Store) -> list[Run]:
    """The newest run of every job, by job."""
    newest = select(col(JobRunRow.job), func.max(col(JobRunRow.scheduled_for)).label("at")).group_by(col(JobRunRow.job))
    last = newest.subquery()
    joined = select(JobRunRow).join(
        last, (col(JobRunRow.job) == last.c.job) & (col(JobRunRow.scheduled_for) == last.c.at)
    )
    with store.reading() as session:
        return [_as_run(row) for row in session.scalars(joined.order_by(col(JobRunRow.job)))]


def runs_of(store: Store, job: str, *, limit: int = 50) -> list[Run]:
    """The runs of ``job``, newest first."""
    newest = select(JobRunRow).where(col(JobRunRow.job) == job).order_by(col(JobRunRow.scheduled_for).desc())
    with store.reading() as session:
        return [_as_run(row) for row in session.scalars(newest.limit(limit))]


# -- what they share ------------------------------------------------------------------------------


def _insist(session: Session, lease: Lease) -> LeaseRow:
    """The lease row, locked, while it is still ours."""
    row = session.scalars(select(LeaseRow).where(*_mine(lease)).with_for_update()).one_or_none()
    if row is None:
        raise LeaseLost(f"{lease.holder} does not hold the lease {lease.name} any more (its fence was {lease.fence}).")
    return row


def _mine(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        col(LeaseRow.name) == lease.name,
        col(LeaseRow.holder) == lease.holder,
        col(LeaseRow.fence) == lease.fence,
    )


def _slot(run: Run) -> tuple[ColumnElement[bool], ...]:
    return col(JobRunRow.job) == run.job, col(JobRunRow.scheduled_for) == run.scheduled_for


def _inserted(session: Session, store: Store, row: type[SQLModel], values: dict[str, object]) -> bool:
    """Whether the row was not there yet; one that is stays as it is."""
    dialect = postgresql if store.dialect == "postgresql" else sqlite
    table = row.__table__  # type: ignore[attr-defined]
    new = dialect.insert(table).values(**values).on_conflict_do_nothing().returning(*table.primary_key)
    return session.execute(new).first() is not None


def _changed(session: Session, statement: Executable) -> bool:
    return cast("CursorResult[object]", session.execute(statement)).rowcount == 1


def _as_run(row: JobRunRow) -> Run:
    return Run(
        row.job, row.scheduled_for, row.holder, row.fence, row.started_at, row.finished_at, row.outcome, row.note
    )
