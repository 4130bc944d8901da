"""What the screens show: one query function per screen, values ready to be drawn, nothing to decide."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from core.domain.aliases import Revision, RollbackTarget, rollback_targets
from core.domain.permissions import Grant
from core.domain.receipts import Replica
from core.domain.traffic import WINDOW, Counts, added
from core.domain.versions import KnownIssue, PromptVersion, Provider, Version
from core.store import repositories
from core.store.database import Store
from core.store.tables import (
    AuditRow,
    KnownIssueRow,
    PersonRow,
    ProviderRow,
    ReplicaRow,
    RevisionRow,
    VersionRow,
    WindowRow,
)

RECENT = timedelta(minutes=5)
"""The time that "now" means in traffic figures."""

HOUR = timedelta(hours=1)

ERRORS_DEGRADED = 0.02
FORMAT_DEGRADED = 0.95
ENOUGH = 20
"""Requests below which figures are shown but no state is read from them."""


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
class Condition:
    """The state of an alias in one word, and why. Silence is unknown, never healthy."""

    word: str  # healthy | degraded | unknown | retired
    because: str


@dataclass(frozen=True)
class Change:
    """A revision, and the version it took the alias away from (None where that stayed)."""

    revision: Revision
    came_from: str | None


@dataclass(frozen=True)
class AliasSummary:
    """One alias on the overview: what serves, how it goes, and the last time it moved.

    ``before`` is the traffic of the hour before that move, read for degraded aliases only.
    """

    revision: Revision
    traffic: Traffic
    condition: Condition
    moved: Revision
    came_from: str | None = None
    last_request: datetime | None = None
    before: Counts | None = None


@dataclass(frozen=True)
class Overview:
    """The first screen."""

    aliases: tuple[AliasSummary, ...]
    replicas: tuple[Replica, ...]
    changes_last_day: int
    last_change: datetime | None
    providers: int
    versions: int
    recent: tuple[Change, ...] = ()
    caller_keys: int = 0


def overview(store: Store, *, now: datetime) -> Overview:
    """Every alias with its last minutes of traffic; those that need attention come first."""
    with store.reading() as session:
        newest = repositories.newest_revisions(session)
        moves = _last_moves(session)
        rows = _windows(session, since=now - RECENT)
        last = _last_requests(session)
        summaries = [_summary(session, r, rows, moves.get(r.alias, Change(r, None)), last) for r in newest]
        recent = _changes(session, since=now - timedelta(days=1))
        return Overview(
            aliases=tuple(sorted(summaries, key=_worst_first)),
            replicas=_live(session, now),
            changes_last_day=len(recent),
            last_change=max((r.at for r in newest), default=None),
            providers=_number_of(session, ProviderRow),
            versions=_number_of(session, VersionRow),
            recent=recent,
            caller_keys=_number_of(session, CallerKeyRow),
        )


def _summary(
    session: Session,
    revision: Revision,
    rows: Iterable[WindowRow],
    change: Change,
    last: Mapping[str, datetime],
) -> AliasSummary:
    own = [row for row in rows if row.alias == revision.alias]
    # A version that served before and serves again is judged by what it did since.
    since = change.revision.at - WINDOW
    serving = added(_counts(w) for w in own if w.version == revision.state.stable and w.start >= since)
    state = condition(revision, serving)
    before = None
    if state.word == "degraded" and change.came_from:
        before = _hour_before(session, revision.alias, change.came_from, change.revision.at)
    return AliasSummary(
        revision,
        Traffic(added(_counts(w) for w in own), RECENT),
        state,
        change.revision,
        change.came_from,
        last.get(revision.alias),
        before,
    )


def _hour_before(session: Session, alias: str, version: str, at: datetime) -> Counts:
    found = _counts_by_version(session, since=at - HOUR, until=at, alias=alias)
    return found.get((alias, version), Counts())


def condition(revision: Revision, serving: Counts) -> Condition:
    """The state of an alias, from what its stable version did in the last minutes."""
    if revision.state.retired:
        return Condition("retired", f"retired by {revision.by}")
    errors, valid = serving.error_rate, serving.format_validity
    if errors is None or serving.requests < ENOUGH:
        return Condition("unknown", f"{serving.requests} requests in 5 min are too few to tell")
    if errors > ERRORS_DEGRADED:
        return Condition("degraded", f"errors {errors:.1%}, limit {ERRORS_DEGRADED:.0%}")
    if valid is not None and valid < FORMAT_DEGRADED and serving.format_checked >= ENOUGH:
        return Condition("degraded", f"format valid {valid:.1%}, limit {FORMAT_DEGRADED:.0%}")
    return Condition("healthy", f"errors {errors:.1%} of {serving.requests} requests in 5 min")


def _worst_first(summary: AliasSummary) -> tuple[int, str]:
    order = {"degraded": 0, "unknown": 2, "healthy": 2, "retired": 3}
    held = summary.revision.state.hold is not None
    return (
        1 if held and summary.condition.word != "degraded" else order[summary.condition.word],
        summary.revision.alias,
    )


# -- the alias page -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bundle:
    """A version with what belongs to it, as dialogs compare it."""

    version: Version
    provider: Provider
    prompt: PromptVersion | None
    issues: tuple[KnownIssue, ...]


@dataclass(frozen=True)
class Moment:
    """One window of the sparkline."""

    start: datetime
    counts: Counts


@dataclass(frozen=True)
class AliasPage:
    """All that the alias page shows. ``before`` is the traffic of the hour before the last move."""

    now: Revision
    history: tuple[Revision, ...]
    moved: Revision
    serving: Bundle
    previous: Bundle | None
    targets: tuple[RollbackTarget, ...]
    target: Bundle | None
    recent: Traffic
    before: Traffic
    condition: Condition
    moments: tuple[Moment, ...]
    callers: Mapping[str, int]
    replicas: tuple[Replica, ...]


def alias_page(store: Store, alias: str, *, now: datetime, minimum_dwell: timedelta) -> AliasPage:
    """The alias called ``alias`` as the on-call engineer sees it; UnknownAlias names the nearest."""
    with store.reading() as session:
        history = repositories.history(session, alias)
        newest = history[-1]
        moved = last_move(history)
        earlier = history[moved.number - 2].state.stable if moved.number > 1 else None
        targets = rollback_targets(history, now=now, minimum_dwell=minimum_dwell)
        recent = _counts_by_version(session, since=max(now - RECENT, moved.at - WINDOW), alias=alias)
        serving = recent.get((alias, newest.state.stable), Counts())
        span = max(min(RECENT, now - moved.at), WINDOW)
        hour = timedelta(hours=1)
        before = _counts_by_version(session, since=moved.at - hour, until=moved.at, alias=alias)
        last_hour = _windows(session, since=now - hour, alias=alias)
        return AliasPage(
            now=newest,
            history=tuple(history),
            moved=moved,
            serving=bundle(session, newest.state.stable),
            previous=bundle(session, earlier) if earlier else None,
            targets=targets,
            target=bundle(session, targets[0].version) if targets else None,
            recent=Traffic(serving, span),
            before=Traffic(before.get((alias, earlier), Counts()) if earlier else Counts(), hour),
            condition=condition(newest, serving),
            moments=_moments(last_hour),
            callers=added(_counts(w) for w in last_hour).callers,
            replicas=_live(session, now),
        )


def last_move(history: Iterable[Revision]) -> Revision:
    """The revision at which the version in force began to serve."""
    found: Revision | None = None
    for revision in history:
        if found is None or revision.state.stable != found.state.stable:
            found = revision
    assert found is not None
    return found


def bundle(session: Session, name: str) -> Bundle:
    """A version with its provider, prompt and open known issues."""
    version = repositories.version(session, name)
    open_issues = select(KnownIssueRow).where(
        col(KnownIssueRow.version) == name, col(KnownIssueRow.resolved_at).is_(None)
    )
    return Bundle(
        version,
        repositories.provider(session, version.provider),
        repositories.prompt(session, version.prompt) if version.prompt else None,
        tuple(repositories.as_issue(row) for row in session.scalars(open_issues)),
    )


def bundle_of(store: Store, name: str) -> Bundle:
    """As ``bundle``, in a snapshot of its own."""
    with store.reading() as session:
        return bundle(session, name)


def flip_choices(store: Store) -> tuple[Version, ...]:
    """The versions one may flip to, newest first."""
    with store.reading() as session:
        return tuple(repositories.versions(session))


def who_holds_roles(store: Store) -> list[tuple[str, tuple[Grant, ...]]]:
    """People who can sign in, with their grants, for "who can do this instead"."""
    with store.reading() as session:
        names = session.scalars(select(col(PersonRow.name)).where(col(PersonRow.disabled_at).is_(None)))
        return [(name, repositories.grants(session, name)) for name in names.all()]


def audit_of(store: Store, subject: str, *, limit: int = 50) -> list[AuditRow]:
    """The newest audit events about ``subject``, newest first."""
    newest = select(AuditRow).where(col(AuditRow.subject) == subject).order_by(col(AuditRow.seq).desc()).limit(limit)
    with store.reading() as session:
        return list(session.scalars(newest))


def live_replicas(store: Store, *, now: datetime) -> tuple[Replica, ...]:
    """The gateways heard of lately, by name."""
    with store.reading() as session:
        return _live(session, now)


# -- traffic --------------------------------------------------------------------------------------


def traffic_by_version(
    store: Store, alias: str, *, since: datetime, until: datetime | None = None
) -> dict[str, Counts]:
    """What each version behind ``alias`` did between two times."""
    with store.reading() as session:
        found = _counts_by_version(session, since=since, until=until, alias=alias)
    return {version: counts for (_alias, version), counts in found.items()}


def _windows(
    session: Session, *, since: datetime, until: datetime | None = None, alias: str | None = None
) -> list[WindowRow]:
    query = select(WindowRow).where(col(WindowRow.start) >= since).order_by(col(WindowRow.start))
    if until is not None:
        query = query.where(col(WindowRow.start) < until)
    if alias is not None:
        query = query.where(col(WindowRow.alias) == alias)
    return list(session.scalars(query))


def _counts_by_version(
    session: Session, *, since: datetime, until: datetime | None = None, alias: str | None = None
) -> dict[tuple[str, str], Counts]:
    found: dict[tuple[str, str], Counts] = {}
    for row in _windows(session, since=since, until=until, alias=alias):
        key = (row.alias, row.version)
        found[key] = found.get(key, Counts()) + _counts(row)
    return found


def _counts(row: WindowRow) -> Counts:
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


def _moments(rows: Iterable[WindowRow]) -> tuple[Moment, ...]:
    found: dict[datetime, Counts] = {}
    for row in rows:
        found[row.start] = found.get(row.start, Counts()) + _counts(row)
    return tuple(Moment(start, counts) for start, counts in sorted(found.items()))


def _last_moves(session: Session) -> dict[str, Revision]:
    """For every alias the revision at which the version in force began to serve."""
    before = aliased(RevisionRow)
    is_next = (col(before.alias) == col(RevisionRow.alias)) & (col(before.number) == col(RevisionRow.number) - 1)
    newest = (
        select(col(RevisionRow.alias), func.max(col(RevisionRow.number)).label("number"))
        .join(before, is_next, isouter=True)
        .where(col(before.number).is_(None) | (col(before.stable) != col(RevisionRow.stable)))
        .group_by(col(RevisionRow.alias))
        .subquery()
    )
    rows = session.scalars(
        select(RevisionRow).join(
            newest, (col(RevisionRow.alias) == newest.c.alias) & (col(RevisionRow.number) == newest.c.number)
        )
    )
    return {row.alias: repositories.as_revision(row) for row in rows}


def _live(session: Session, now: datetime) -> tuple[Replica, ...]:
    rows = session.scalars(select(ReplicaRow).order_by(col(ReplicaRow.name)))
    return tuple(r for r in map(repositories.as_replica, rows) if r.is_live(now))


def _number_of(session: Session, row: type[ProviderRow] | type[VersionRow]) -> int:
    return session.scalars(select(func.count()).select_from(row)).one()
