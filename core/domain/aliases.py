"""An alias is a name that callers keep; its revisions say which exact version it meant, when, by whom and why.

Every write appends one revision holding the whole state, so history is never rewritten. The functions
here decide: they take the history and what was asked, and return the next revision or refuse.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain.permissions import Actor
from core.errors import (
    AliasHeld,
    AliasProtected,
    AliasRetired,
    InvalidInput,
    NoRollbackTarget,
    NothingToChange,
    StaleRevision,
    UndoOvertaken,
    UnknownRevision,
)

MINIMUM_DWELL = timedelta(minutes=10)
"""How long a version must have been stable at 100 % before it counts as having served well."""


class Cause(StrEnum):
    """Why a revision exists. The words are those of the history and the audit log."""

    CREATED = "created"
    FLIPPED = "flipped"
    ROLLED_BACK = "rolled back"
    UNDONE = "undone"
    HELD = "held"
    RELEASED = "released"
    DESCRIBED = "described"
    PROTECTED = "protected"
    UNPROTECTED = "unprotected"
    RETIRED = "retired"


@dataclass(frozen=True)
class Hold:
    """Automatic steps wait until a person releases the alias."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class State:
    """All that one revision says about an alias.

    ``fallbacks`` are versions tried in order when the stable one fails before its first byte.
    """

    stable: str
    fallbacks: tuple[str, ...] = ()
    description: str = ""
    owner: str | None = None
    protected: bool = False
    hold: Hold | None = None
    retired: bool = False


@dataclass(frozen=True)
class Revision:
    """One state of an alias. ``serial`` is the store-wide change number it was committed under."""

    alias: str
    number: int
    state: State
    cause: Cause
    by: str
    automatic: bool
    at: datetime
    reason: str = ""
    reverts: int | None = None
    serial: int = 0


History = Sequence[Revision]
"""All revisions of one alias, oldest first, without gaps: ``history[n - 1]`` is revision ``n``."""

_FACETS: dict[str, tuple[str, ...]] = {
    "serving": ("stable", "fallbacks", "retired"),
    "hold": ("hold",),
    "card": ("description", "owner"),
    "protection": ("protected",),
}


def facets_changed(history: History, number: int) -> frozenset[str]:
    """Which sides of the alias revision ``number`` changed: serving, hold, card, protection."""
    after = history[number - 1].state
    if number == 1:
        return frozenset(_FACETS)
    before = history[number - 2].state
    return frozenset(
        facet for facet, fields in _FACETS.items() if any(getattr(before, f) != getattr(after, f) for f in fields)
    )


def state_at(history: History, at: datetime) -> Revision | None:
    """The revision in force at ``at``, or None before the alias was created."""
    return next((r for r in reversed(history) if r.at <= at), None)


# -- what served, and what may serve again --------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """One uninterrupted time during which a version was stable at 100 %; ``until`` is None while it lasts."""

    version: str
    since: datetime
    until: datetime | None
    left_by: Revision | None

    def dwell(self, now: datetime) -> timedelta:
        """How long it lasted, or has lasted so far."""
        return (self.until or now) - self.since


def spans(history: History) -> tuple[Span, ...]:
    """The times each version served this alias, oldest first."""
    found: list[Span] = []
    for revision in history:
        if found and found[-1].version == revision.state.stable:
            continue
        if found:
            found[-1] = replace(found[-1], until=revision.at, left_by=revision)
        found.append(Span(revision.state.stable, revision.at, None, None))
    return tuple(found)


def goes_forward(history: History, number: int) -> bool:
    """Did this revision send traffic to something new (True), or return it to something proven (False)?"""
    revision = history[number - 1]
    if revision.cause is Cause.UNDONE and revision.reverts is not None:
        return not goes_forward(history, revision.reverts)
    return revision.cause in (Cause.CREATED, Cause.FLIPPED)


@dataclass(frozen=True)
class RollbackTarget:
    """A version one may roll back to, and why; ``caution`` says what speaks against it, or is None."""

    version: str
    because: str
    served_until: datetime
    caution: str | None = None


def rollback_targets(
    history: History, *, now: datetime, minimum_dwell: timedelta = MINIMUM_DWELL
) -> tuple[RollbackTarget, ...]:
    """The versions this alias may be rolled back to, the best first.

    A version qualifies if it was stable at 100 % for ``minimum_dwell`` and was not left by a rollback the
    last time it served; so repeated rollbacks walk back in time and never return to a version just left.
    Versions that only lack the dwell follow, with a caution; versions left by a rollback are not offered.
    """
    current = history[-1].state.stable
    proven: list[RollbackTarget] = []
    brief: list[RollbackTarget] = []
    judged = {current}
    past = [s for s in spans(history) if s.until is not None and s.left_by is not None]
    for span in reversed(past):
        if span.version in judged or span.until is None or span.left_by is None:
            continue
        judged.add(span.version)
        if not goes_forward(history, span.left_by.number):
            continue
        longest = max(s.dwell(now) for s in past if s.version == span.version)
        because = f"served {_length(longest)} at 100 % and was left by a flip, not by a rollback"
        if longest >= minimum_dwell:
            proven.append(RollbackTarget(span.version, because, span.until))
        else:
            caution = f"it served only {_length(longest)}; {_length(minimum_dwell)} are asked for"
            brief.append(RollbackTarget(span.version, because, span.until, caution))
    return (*proven, *brief)


def _length(span: timedelta) -> str:
    """A duration in the largest unit that suits it."""
    seconds = span.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# -- deciding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Who asks for a change, when, why, and which revision they were looking at."""

    by: Actor
    now: datetime
    seen_revision: int
    reason: str = ""


def created(name: str, state: State, *, by: Actor, now: datetime, reason: str = "") -> Revision:
    """The first revision of a new alias."""
    return Revision(name, 1, state, Cause.CREATED, by.name, by.is_automatic, now, reason)


def flip(history: History, version: str, asked: Asked) -> Revision:
    """Point the alias at ``version``, which may be new to it."""
    now = _open(history, asked, touches="serving")
    if now.state.stable == version:
        raise NothingToChange(f"{now.alias} already serves {version} (revision {now.number}).")
    _refuse_alone(now, f"flipping it to {version}")
    return _next(history, replace(now.state, stable=version), Cause.FLIPPED, asked)


def roll_back(
    history: History, asked: Asked, *, to: str | None = None, minimum_dwell: timedelta = MINIMUM_DWELL
) -> Revision:
    """Return the alias to the version that last served well, or to ``to``, which must have served it before.

    Never waits for approval, and holds the alias, so that no automatic step brings the version back.
    """
    now = _open(history, asked, touches="serving", automatic_may_pass_hold=True)
    version = to or _best_target(history, asked, minimum_dwell)
    if version == now.state.stable:
        raise NothingToChange(f"{now.alias} already serves {version} (revision {now.number}).")
    if all(span.version != version for span in spans(history)):
        raise NoRollbackTarget(f"{version} never served {now.alias}, so it is a flip and not a rollback.")
    hold = now.state.hold or Hold(asked.by.name, asked.now, f"after rollback from {now.state.stable}")
    return _next(history, replace(now.state, stable=version, hold=hold), Cause.ROLLED_BACK, asked)


def undo(history: History, number: int, asked: Asked) -> Revision:
    """Put back what revision ``number`` changed, as a new revision; what changed later must not depend on it."""
    target = _revision(history, number)
    if number == 1:
        raise InvalidInput(f"Revision 1 created {target.alias}; retire the alias instead of undoing it.")
    before, after = history[number - 2].state, target.state
    fields = [f for names in _FACETS.values() for f in names if getattr(before, f) != getattr(after, f)]
    if not fields:
        raise NothingToChange(f"Revision {number} of {target.alias} changed nothing that could be undone.")
    now = _open(history, asked, touches="serving", even_retired="retired" in fields)
    overtaken = [f for f in fields if getattr(now.state, f) != getattr(after, f)]
    if overtaken:
        raise UndoOvertaken(
            f"Revision {number} of {now.alias} cannot be undone: its {', '.join(overtaken)} changed again since. "
            "Flip or edit it to the state you want."
        )
    if not goes_forward(history, number) and "stable" in fields:
        _refuse_alone(now, f"undoing revision {number}, which returns it to {before.stable},")
    state = replace(now.state, **{f: getattr(before, f) for f in fields})
    return replace(_next(history, state, Cause.UNDONE, asked), reverts=number)


def hold(history: History, asked: Asked) -> Revision:
    """Keep automatic steps away; people, fallbacks and automatic rollback are not blocked."""
    now = _open(history, asked, touches="hold", automatic_may_pass_hold=True)
    if now.state.hold is not None:
        raise NothingToChange(f"{now.alias} is already held by {now.state.hold.by}.")
    held = Hold(asked.by.name, asked.now, asked.reason)
    return _next(history, replace(now.state, hold=held), Cause.HELD, asked)


def release(history: History, asked: Asked) -> Revision:
    """Let automatic steps go on."""
    now = _open(history, asked, touches="hold")
    if now.state.hold is None:
        raise NothingToChange(f"{now.alias} is not held.")
    return _next(history, replace(now.state, hold=None), Cause.RELEASED, asked)


def describe(
    history: History,
    asked: Asked,
    *,
    description: str | None = None,
    owner: str | None = None,
    fallbacks: tuple[str, ...] | None = None,
) -> Revision:
    """Edit description, owner or fallback chain; None leaves a field as it is, an empty owner clears it."""
    touches = "card" if fallbacks is None else "serving"
    now = _open(history, asked, touches=touches)
    state = now.state
    if description is not None:
        state = replace(state, description=description)
    if owner is not None:
        state = replace(state, owner=owner or None)
    if fallbacks is not None:
        state = replace(state, fallbacks=tuple(dict.fromkeys(fallbacks)))
    if state == now.state:
        raise NothingToChange(f"{now.alias} is already described like this.")
    return _next(history, state, Cause.DESCRIBED, asked)


def protect(history: History, asked: Asked, *, protected: bool) -> Revision:
    """Ask for a second person before every flip, or stop asking."""
    now = _open(history, asked, touches="protection")
    if now.state.protected == protected:
        raise NothingToChange(f"{now.alias} is already {'protected' if protected else 'unprotected'}.")
    cause = Cause.PROTECTED if protected else Cause.UNPROTECTED
    return _next(history, replace(now.state, protected=protected), cause, asked)


def retire(history: History, asked: Asked) -> Revision:
    """End the alias: callers are refused from now on; its history stays, and undo brings it back."""
    now = _open(history, asked, touches="serving")
    return _next(history, replace(now.state, retired=True), Cause.RETIRED, asked)


# -- what the decisions share ---------------------------------------------------------------------


def _open(
    history: History,
    asked: Asked,
    *,
    touches: str,
    automatic_may_pass_hold: bool = False,
    even_retired: bool = False,
) -> Revision:
    """The newest revision, once the actor may build on it."""
    now = history[-1]
    _refuse_stale(history, asked, touches)
    if now.state.retired and not even_retired:
        raise AliasRetired(f"{now.alias} was retired by {now.by} at {now.at:%Y-%m-%d %H:%M} UTC.")
    if asked.by.is_automatic and now.state.hold and not automatic_may_pass_hold:
        raise AliasHeld(f"{now.alias} is held by {now.state.hold.by}: {now.state.hold.reason}.")
    return now


def _refuse_stale(history: History, asked: Asked, touches: str) -> None:
    """People are stopped by what other people changed there; automatic steps by any change at all."""
    now = history[-1]
    if asked.seen_revision > now.number or asked.seen_revision < 1:
        raise UnknownRevision(f"{now.alias} has revisions 1 to {now.number}, not {asked.seen_revision}.")
    for later in reversed(history[asked.seen_revision :]):
        in_the_way = asked.by.is_automatic or (not later.automatic and touches in facets_changed(history, later.number))
        if in_the_way:
            raise StaleRevision(
                f"{now.alias} was {later.cause} by {later.by} {_length(asked.now - later.at)} ago and serves "
                f"{now.state.stable} (revision {now.number}, you saw {asked.seen_revision}). Nothing was changed."
            )


def _refuse_alone(now: Revision, doing: str) -> None:
    if now.state.protected:
        raise AliasProtected(
            f"{now.alias} is protected: {doing} needs a second person. Approvals are not available yet, so an "
            "admin must unprotect it first. Rolling back never needs anybody."
        )


def _best_target(history: History, asked: Asked, minimum_dwell: timedelta) -> str:
    targets = rollback_targets(history, now=asked.now, minimum_dwell=minimum_dwell)
    if not targets:
        raise NoRollbackTarget(
            f"{history[-1].alias} has no earlier version to roll back to: every version it served before was "
            "itself left by a rollback, or it never served another. Flip it to a version you trust."
        )
    return targets[0].version


def _revision(history: History, number: int) -> Revision:
    if not 1 <= number <= len(history):
        raise UnknownRevision(f"{history[-1].alias} has revisions 1 to {len(history)}, not {number}.")
    return history[number - 1]


def _next(history: History, state: State, cause: Cause, asked: Asked) -> Revision:
    now = history[-1]
    at = max(asked.now, now.at)  # a clock that steps back must not make history run backwards
    return Revision(now.alias, now.number + 1, state, cause, asked.by.name, asked.by.is_automatic, at, asked.reason)


def held_longer_than(history: History, limit: timedelta, *, now: datetime) -> Iterator[Hold]:
    """The hold in force, if it is older than ``limit``."""
    hold_now = history[-1].state.hold
    if hold_now is not None and now - hold_now.at > limit:
        yield hold_now
