"""What the screens show: one query function per screen, values ready to be drawn, nothing to decide."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.domain import aliases
from core.domain.aliases import Asked, History, Revision, RollbackTarget, rollback_targets
from core.domain.permissions import Actor, ActorKind, Grant
from core.domain.quarantine import Quarantine
from core.domain.quarantine import names as versions_in
from core.domain.receipts import Replica
from core.domain.shifts import wilson
from core.domain.traffic import WINDOW, Counts, added
from core.domain.versions import KnownIssue, PromptVersion, Provider, Version
from core.errors import PinrailError
from core.store import repositories
from core.store.database import Store
from core.store.tables import (
    AuditRow,
    CallerKeyRow,
    KnownIssueRow,
    LedgerRow,
    PersonRow,
    ProviderRow,
    ReplicaRow,
    RevisionRow,
    VersionRow,
    WindowRow,
)
from core.store.windows import (
    HOUR,
    RECENT,
    Moment,
    Traffic,
    counts_by_version,
    counts_of,
    last_requests,
    moments,
    requests_since,
    windows,
)

ERRORS_DEGRADED = 0.02
FORMAT_DEGRADED = 0.95
ENOUGH = 20
"""Requests below which figures are shown but no state is read from them."""

ONE_SIDED = 1.645


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

    ``traffic`` is of all versions, ``serving`` of the one that serves, since it serves. ``before`` is the traffic of
    the hour before the last move, read for degraded aliases only.
    """

    revision: Revision
    traffic: Traffic
    condition: Condition
    moved: Revision
    came_from: str | None = None
    last_request: datetime | None = None
    before: Counts | None = None
    serving: Counts = field(default_factory=Counts)


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
        rows = windows(session, since=now - RECENT)
        last = last_requests(session)
        live = _live(session, now)
        summaries = [
            _summary(session, r, rows, moves.get(r.alias, Change(r, None)), last, gateways=len(live)) for r in newest
        ]
        recent = _changes(session, since=now - timedelta(days=1))
        return Overview(
            aliases=tuple(sorted(summaries, key=_worst_first)),
            replicas=live,
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
    *,
    gateways: int,
) -> AliasSummary:
    own = [row for row in rows if row.alias == revision.alias]
    # A version that served before and serves again is judged by what it did since.
    since = change.revision.at - WINDOW
    serving = added(counts_of(w) for w in own if w.version == revision.state.stable and w.start >= since)
    state = condition(revision, serving, gateways=gateways)
    before = None
    if state.word == "degraded" and change.came_from:
        before = _hour_before(session, revision.alias, change.came_from, change.revision.at)
    return AliasSummary(
        revision,
        Traffic(added(counts_of(w) for w in own), RECENT),
        state,
        change.revision,
        change.came_from,
        last.get(revision.alias),
        before,
        serving,
    )


def _hour_before(session: Session, alias: str, version: str, at: datetime) -> Counts:
    found = counts_by_version(session, since=at - HOUR, until=at, alias=alias)
    return found.get((alias, version), Counts())


def condition(revision: Revision, serving: Counts, *, gateways: int) -> Condition:
    """The state of an alias, from what its stable version did in the last minutes.

    A share beyond its limit makes it degraded once its one-sided 95 % bound is beyond it, too: one error among the
    first 42 requests after a rollback says nothing yet, and is called unknown.
    """
    if revision.state.retired:
        return Condition("retired", f"retired by {revision.by}")
    if not gateways:
        return Condition("unknown", "no gateway is running")
    errors, valid = serving.error_rate, serving.format_validity
    if errors is None or serving.requests < ENOUGH:
        return Condition("unknown", f"{serving.requests} requests in 5 min are too few to tell")
    wrong: list[str] = []
    unclear: list[str] = []
    if errors > ERRORS_DEGRADED:
        low, _high = wilson(errors, serving.requests, z=ONE_SIDED)
        found = wrong if low > ERRORS_DEGRADED else unclear
        found.append(f"errors {errors:.1%}, limit {ERRORS_DEGRADED:.0%}")
    if valid is not None and valid < FORMAT_DEGRADED and serving.format_checked >= ENOUGH:
        _low, high = wilson(valid, serving.format_checked, z=ONE_SIDED)
        found = wrong if high < FORMAT_DEGRADED else unclear
        found.append(f"format valid {valid:.1%}, limit {FORMAT_DEGRADED:.0%}")
    if wrong:
        return Condition("degraded", "; ".join(wrong))
    if unclear:
        return Condition("unknown", f"{'; '.join(unclear)}; {serving.requests} requests are too few to tell")
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
class AliasPage:
    """All that the alias page shows. ``before`` is the traffic of the hour before the last move.

    ``why_not_undo`` holds, for each revision that cannot be undone now, the reason; ``why_not_flip`` likewise.
    """

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
    why_not_undo: Mapping[int, str]
    why_not_flip: str | None
    per_minute: float
    quarantines: tuple[Quarantine, ...] = ()
    """All that is quarantined now, whichever alias left it."""

    @property
    def resting(self) -> Mapping[str, Quarantine]:
        """The newest quarantine of each version that is in one."""
        return {q.version: q for q in self.quarantines}

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every revision with where it came from, newest first."""
        pairs = zip((None, *self.history), self.history, strict=False)
        return tuple(Change(after, _left(before, after)) for before, after in reversed(list(pairs)))


def alias_page(store: Store, alias: str, *, now: datetime, minimum_dwell: timedelta) -> AliasPage:
    """The alias called ``alias`` as the on-call engineer sees it; UnknownAlias names the nearest."""
    with store.reading() as session:
        history = repositories.history(session, alias)
        newest, moved = history[-1], last_move(history)
        earlier = history[moved.number - 2].state.stable if moved.number > 1 else None
        resting = repositories.open_quarantines(session)
        targets = rollback_targets(history, now=now, minimum_dwell=minimum_dwell, quarantined=versions_in(resting))
        last_hour = windows(session, since=now - HOUR, alias=alias)
        since = max(now - RECENT, moved.at - WINDOW)
        serving = added(counts_of(w) for w in last_hour if w.version == newest.state.stable and w.start >= since)
        live = _live(session, now)
        everybody = added(counts_of(w) for w in last_hour if w.start >= now - RECENT)
        return AliasPage(
            now=newest,
            history=tuple(history),
            moved=moved,
            serving=bundle(session, newest.state.stable),
            previous=bundle(session, earlier) if earlier else None,
            targets=targets,
            target=bundle(session, targets[0].version) if targets else None,
            recent=Traffic(serving, max(min(RECENT, now - moved.at), WINDOW)),
            before=Traffic(_hour_before(session, alias, earlier, moved.at) if earlier else Counts(), HOUR),
            condition=condition(newest, serving, gateways=len(live)),
            moments=moments(last_hour),
            callers=added(counts_of(w) for w in last_hour).callers,
            replicas=live,
            why_not_undo=_why_not_undo(history, now, versions_in(resting)),
            why_not_flip=_why_not_flip(history, now),
            per_minute=Traffic(everybody, RECENT).per_minute,
            quarantines=tuple(resting),
        )


def _left(before: Revision | None, after: Revision) -> str | None:
    moved = before is not None and before.state.stable != after.state.stable
    return before.state.stable if before is not None and moved else None


_SOMEBODY = Actor("somebody", ActorKind.PERSON)
"""Stands for the person who looks, to ask the domain what it would refuse to anybody."""


def _why_not_undo(history: History, now: datetime, quarantined: frozenset[str]) -> dict[int, str]:
    asked = Asked(_SOMEBODY, now, history[-1].number, quarantined=quarantined)
    refused = ((r.number, _refusal(aliases.undo, history, r.number, asked)) for r in history)
    return {number: because for number, because in refused if because is not None}


def _why_not_flip(history: History, now: datetime) -> str | None:
    asked = Asked(_SOMEBODY, now, history[-1].number)
    return _refusal(aliases.flip, history, "another version", asked)


def _refusal(decide: Callable[..., Revision], *given: object) -> str | None:
    try:
        decide(*given)
    except PinrailError as refusal:
        return str(refusal)
    return None


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
        can_sign_in = col(PersonRow.disabled_at).is_(None) & col(PersonRow.password_hash).is_not(None)
        names = session.scalars(select(col(PersonRow.name)).where(can_sign_in).order_by(col(PersonRow.name)))
        return [(name, repositories.grants(session, name)) for name in names.all()]


def audit_of(store: Store, subject: str, *, limit: int = 50) -> list[AuditRow]:
    """The newest audit events about ``subject``, newest first."""
    newest = select(AuditRow).where(col(AuditRow.subject) == subject).order_by(col(AuditRow.seq).desc()).limit(limit)
    with store.reading() as session:
        return list(session.scalars(newest))


def was_seeded(store: Store) -> bool:
    """Did the demo workspace write this store?"""
    seeds = select(col(AuditRow.seq)).where(col(AuditRow.kind) == "store.seeded").limit(1)
    with store.reading() as session:
        return session.scalars(seeds).first() is not None


@dataclass(frozen=True)
class Pulse:
    """Differs from an earlier one as soon as a page would look different, and costs three small queries."""

    serial: int
    traffic: int
    replicas: tuple[tuple[str, int], ...]


def pulse(store: Store, *, now: datetime) -> Pulse:
    """The store's pulse at ``now``."""
    with store.reading() as session:
        return Pulse(
            session.scalars(select(col(LedgerRow.serial))).one(),
            requests_since(session, now - 6 * WINDOW),
            tuple((r.name, r.applied_serial) for r in _live(session, now)),
        )


def live_replicas(store: Store, *, now: datetime) -> tuple[Replica, ...]:
    """The gateways heard of lately, by name."""
    with store.reading() as session:
        return _live(session, now)


# -- what several screens need ---------------------------------------------------------------------


_PLACE = (col(RevisionRow.alias), col(RevisionRow.number))
_EARLIER = (
    func.lag(col(RevisionRow.stable)).over(partition_by=col(RevisionRow.alias), order_by=col(RevisionRow.number))
).label("earlier")


def _last_moves(session: Session) -> dict[str, Change]:
    """For every alias the newest revision that took it to another version (or created it)."""
    seen = select(*_PLACE, col(RevisionRow.stable), _EARLIER).subquery()
    moving = seen.c.earlier.is_(None) | (seen.c.earlier != seen.c.stable)
    last = select(seen.c.alias, func.max(seen.c.number).label("number")).where(moving).group_by(seen.c.alias).subquery()
    found = (
        select(RevisionRow, seen.c.earlier)
        .join(last, (last.c.alias == col(RevisionRow.alias)) & (last.c.number == col(RevisionRow.number)))
        .join(seen, (seen.c.alias == col(RevisionRow.alias)) & (seen.c.number == col(RevisionRow.number)))
    )
    return {row.alias: Change(repositories.as_revision(row), earlier) for row, earlier in session.execute(found)}


def _changes(session: Session, *, since: datetime) -> tuple[Change, ...]:
    """What happened to any alias since then, newest first."""
    seen = select(*_PLACE, _EARLIER).subquery()
    found = (
        select(RevisionRow, seen.c.earlier)
        .join(seen, (seen.c.alias == col(RevisionRow.alias)) & (seen.c.number == col(RevisionRow.number)))
        .where(col(RevisionRow.at) > since)
        .order_by(col(RevisionRow.serial).desc())
    )
    return tuple(
        Change(repositories.as_revision(row), earlier if earlier != row.stable else None)
        for row, earlier in session.execute(found)
    )


def _live(session: Session, now: datetime) -> tuple[Replica, ...]:
    rows = session.scalars(select(ReplicaRow).order_by(col(ReplicaRow.name)))
    return tuple(r for r in map(repositories.as_replica, rows) if r.is_live(now))


def _number_of(session: Session, row: type[ProviderRow] | type[VersionRow] | type[CallerKeyRow]) -> int:
    return session.scalars(select(func.count()).select_from(row)).one()
