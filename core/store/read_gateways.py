"""What the gateways page reads: every gateway and how far it has followed, and receipts of the newest revisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.domain import receipts
from core.domain.receipts import Receipt, Replica
from core.store import repositories
from core.store.attention import LATE_AFTER
from core.store.database import Store
from core.store.read_versions import Sees
from core.store.tables import AcknowledgementRow, LedgerRow, ReplicaRow, RevisionRow

NEWEST = 10
"""Revisions whose receipts are shown."""

REMEMBERED = timedelta(days=1)
"""How long a gateway that is gone stays on the page."""

STATES: dict[str, str] = {
    "current": "it routes by the newest change",
    "following": "a change was made within the last 15 seconds, and it has not said yet that it routes by it",
    "behind": "it did not take a change within 15 seconds, and may serve an older revision",
    "silent": "it was not heard of for 15 seconds and did not say good-bye: stopped hard, or cut off from the store",
    "stopped": "it was stopped in good order",
}
"""Every state of a gateway, and what it says."""


@dataclass(frozen=True)
class Gateway:
    """A gateway process: its state, how many changes it has not applied, and how many of these move an alias."""

    replica: Replica
    state: str
    changes_behind: int
    revisions_behind: int


@dataclass(frozen=True)
class GatewaysPage:
    """Gateways that matter now, those of the last day that are gone, and receipts, newest revision first."""

    serial: int
    live: tuple[Gateway, ...]
    gone: tuple[Gateway, ...]
    receipts: tuple[Receipt, ...]
    last_change: datetime | None

    @property
    def dropped(self) -> int:
        """Outcomes that the live gateways could not count since they started."""
        return sum(one.replica.dropped for one in self.live)


def gateways_page(store: Store, *, now: datetime, sees: Sees) -> GatewaysPage:
    """Gateways and receipts as they stand at ``now``."""
    with store.reading() as session:
        serial = session.scalars(select(col(LedgerRow.serial))).one()
        newest_first = select(ReplicaRow).order_by(col(ReplicaRow.name), col(ReplicaRow.started_at).desc())
        replicas = [repositories.as_replica(row) for row in session.scalars(newest_first)]
        known = [_gateway(session, replica, serial, now) for replica in replicas if now - replica.seen_at < REMEMBERED]
        return GatewaysPage(
            serial=serial,
            live=tuple(g for g in known if g.state not in ("silent", "stopped")),
            gone=tuple(g for g in known if g.state in ("silent", "stopped")),
            receipts=_receipts(session, replicas, now, sees),
            last_change=session.scalar(select(func.max(col(RevisionRow.at)))),
        )


def _gateway(session: Session, replica: Replica, serial: int, now: datetime) -> Gateway:
    missing = select(func.count(), func.min(col(RevisionRow.at))).where(
        col(RevisionRow.serial) > replica.applied_serial
    )
    revisions, oldest = session.execute(missing).one()
    return Gateway(
        replica,
        _state(replica, serial, now, oldest_missing=oldest),
        max(0, serial - replica.applied_serial),
        revisions,
    )


def _state(replica: Replica, serial: int, now: datetime, *, oldest_missing: datetime | None) -> str:
    if replica.stopped_at is not None:
        return "stopped"
    if not replica.is_live(now):
        return "silent"
    if replica.applied_serial >= serial:
        return "current"
    is_late = oldest_missing is not None and now - oldest_missing > LATE_AFTER
    return "behind" if is_late else "following"


def _receipts(session: Session, replicas: Iterable[Replica], now: datetime, sees: Sees) -> tuple[Receipt, ...]:
    live = [replica for replica in replicas if replica.is_live(now)]
    newest = session.scalars(select(RevisionRow).order_by(col(RevisionRow.serial).desc()).limit(20 * NEWEST))
    shown = [row for row in newest if sees(row.alias)][:NEWEST]
    return tuple(_receipt(session, row, live, now) for row in shown)


def _receipt(session: Session, row: RevisionRow, live: list[Replica], now: datetime) -> Receipt:
    first = (
        select(col(AcknowledgementRow.replica), func.min(col(AcknowledgementRow.at)))
        .where(
            col(AcknowledgementRow.serial) >= row.serial,
            col(AcknowledgementRow.replica).in_([replica.id for replica in live]),
        )
        .group_by(col(AcknowledgementRow.replica))
    )
    applied = {found[0]: found[1] for found in session.execute(first)}
    return receipts.drawn_up(
        alias=row.alias,
        revision=row.number,
        version=row.stable,
        committed_at=row.at,
        replicas=live,
        applied_at=applied,
        now=now,
    )
