"""All that the watches of alerts read, as it is at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.domain.receipts import Replica
from core.store import leases, read_models, repositories
from core.store.database import Store
from core.store.leases import DONE, FAILED, Run
from core.store.read_models import AliasSummary
from core.store.tables import JobRunRow, ReplicaRow

LOOKS = "watch-alerts"
"""The job that looks."""
LOOKED_LATELY = timedelta(minutes=5)


@dataclass(frozen=True)
class Seen:
    """What there is to be watched: every alias, every gateway that ever joined, and how each job ended last."""

    at: datetime
    aliases: tuple[AliasSummary, ...] = ()
    replicas: tuple[Replica, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def live(self) -> tuple[Replica, ...]:
        """The gateways heard of lately."""
        return tuple(replica for replica in self.replicas if replica.is_live(self.at))


def seen(store: Store, *, now: datetime) -> Seen:
    """What there is at ``now``."""
    overview = read_models.overview(store, now=now)
    with store.reading() as session:
        rows = session.scalars(select(ReplicaRow).order_by(col(ReplicaRow.name), col(ReplicaRow.started_at)))
        replicas = tuple(repositories.as_replica(row) for row in rows)
        return Seen(now, overview.aliases, replicas, tuple(_last_ended(session)))


def is_watched(store: Store, *, now: datetime) -> bool:
    """Did the watches run lately? Without a scheduler nobody looks, and silence means nothing."""
    runs = leases.runs_of(store, LOOKS, limit=1)
    return bool(runs) and now - runs[0].scheduled_for < LOOKED_LATELY


def _last_ended(session: Session) -> Sequence[Run]:
    """The newest run of every job that was done or failed."""
    ended = col(JobRunRow.outcome).in_((DONE, FAILED))
    newest = select(col(JobRunRow.job), func.max(col(JobRunRow.scheduled_for)).label("at")).where(ended)
    last = newest.group_by(col(JobRunRow.job)).subquery()
    joined = select(JobRunRow).join(
        last, (col(JobRunRow.job) == last.c.job) & (col(JobRunRow.scheduled_for) == last.c.at)
    )
    return [
        Run(r.job, r.scheduled_for, r.holder, r.fence, r.started_at, r.finished_at, r.outcome, r.note)
        for r in session.scalars(joined.order_by(col(JobRunRow.job)))
    ]
