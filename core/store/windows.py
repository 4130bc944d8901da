"""Traffic as it was counted: the windows of the gateways, read back and added up."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.domain.traffic import Counts
from core.store.database import Store
from core.store.tables import WindowRow

RECENT = timedelta(minutes=5)
"""The time that "now" means in traffic figures."""

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Traffic:
    """What passed during ``span``, with figures that are None (blind) while nothing did."""

    counts: Counts
    span: timedelta

    @property
    def per_minute(self) -> float:
        """Requests per minute."""
        return self.counts.requests / (self.span.total_seconds() / 60)


@dataclass(frozen=True)
class Moment:
    """One window of the sparkline, over all versions."""

    start: datetime
    counts: Counts


def windows(
    session: Session, *, since: datetime, until: datetime | None = None, alias: str | None = None
) -> list[WindowRow]:
    """The windows that began between two times, oldest first."""
    query = select(WindowRow).where(col(WindowRow.start) >= since).order_by(col(WindowRow.start))
    if until is not None:
        query = query.where(col(WindowRow.start) < until)
    if alias is not None:
        query = query.where(col(WindowRow.alias) == alias)
    return list(session.scalars(query))


def counts_of(row: WindowRow) -> Counts:
    """The value a row stands for."""
    return Counts(
        row.requests,
        dict(row.failures),
        row.format_checked,
        row.format_valid,
        row.input_tokens,
        row.output_tokens,
        row.fell_back,
        dict(row.callers),
        row.latency_sum_ms,
        list(row.buckets),
    )


def counts_by_version(
    session: Session, *, since: datetime, until: datetime | None = None, alias: str | None = None
) -> dict[tuple[str, str], Counts]:
    """The sums by alias and version."""
    found: dict[tuple[str, str], Counts] = {}
    for row in windows(session, since=since, until=until, alias=alias):
        key = (row.alias, row.version)
        found[key] = found.get(key, Counts()) + counts_of(row)
    return found


def traffic_by_version(
    store: Store, alias: str, *, since: datetime, until: datetime | None = None
) -> dict[str, Counts]:
    """What each version behind ``alias`` did between two times, in a snapshot of its own."""
    with store.reading() as session:
        found = counts_by_version(session, since=since, until=until, alias=alias)
    return {version: counts for (_alias, version), counts in found.items()}


def moments(rows: Iterable[WindowRow]) -> tuple[Moment, ...]:
    """The rows window by window, all versions and gateways together."""
    found: dict[datetime, Counts] = {}
    for row in rows:
        found[row.start] = found.get(row.start, Counts()) + counts_of(row)
    return tuple(Moment(start, counts) for start, counts in sorted(found.items()))


def last_requests(session: Session) -> dict[str, datetime]:
    """When each alias was last asked anything, to the window."""
    newest = select(col(WindowRow.alias), func.max(col(WindowRow.start))).group_by(col(WindowRow.alias))
    return {row[0]: row[1] for row in session.execute(newest)}


def requests_since(session: Session, since: datetime) -> int:
    """How many requests all aliases together got since then."""
    return session.scalars(select(func.sum(col(WindowRow.requests))).where(col(WindowRow.start) >= since)).one() or 0
