"""An alias is a name that callers keep; its revisions say which exact version it meant, when, by whom and why.

Every write appends one revision holding the whole state, so history is never rewritten. The functions
here decide: they take the history and what was asked, and return the next revision or refuse.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain.durations import in_words
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
    """The times each version served this alias, oldest first. While an alias is retired nothing serves it."""
    found: list[Span] = []
    for revision in history:
        serves = None if revision.state.retired else revision.state.stable
        if found and found[-1].until is None:
            if found[-1].version == serves:
                continue
            found[-1] = replace(found[-1], until=revision.at, left_by=revision)
        if serves is not None:
            found.append(Span(serves, revision.at, None, None))
    return tuple(found)


def goes_forward(history: History, number: int) -> bool:
    """Did this revision send traffic to something new (True), or return it to something proven (False)?"""
    return _directions(history)[number - 1]


def _directions(history: History) -> list[bool]:
    """For each revision whether it goes forward; what undoes a step goes the other way."""
    forward: list[bool] = []
    for revision in history:
        if revision.cause is Cause.UNDONE and revision.reverts is not None:
            forward.append(not forward[revision.reverts - 1])
        else:
            forward.append(revision.cause in (Cause.CREATED, Cause.FLIPPED))
    return forward


def _left_well(history: History) -> dict[int, bool]:
    """By revision: was the version it left, left for something new or with the whole alias, and not for doing badly?"""
    return {r.number: forward or r.state.retired for r, forward in zip(history, _directions(history), strict=True)}


@dataclass(frozen=True)
class RollbackTarget:
    """A version one may roll back to, and why; ``caution`` says what speaks against it, or is None."""

    version: str
    because: str
    served_until: datetime
    caution: str | None = None


def rollback_targets(
    history: History,
    *,
    now: datetime,
    minimum_dwell: timedelta = MINIMUM_DWELL,
    quarantined: Collection[str] = (),
) -> tuple[RollbackTarget, ...]:
    """The versions this alias may be rolled back to, the best first.

    A version qualifies if it was stable at 100 % for ``minimum_dwell`` and was not left by a rollback the
    last time it served; so repeated rollbacks walk back in time and never return to a version just left.
    Time that ended in a rollback is no proof of anything. Versions that only lack the dwell follow, with a
    caution; versions left by a rollback, or quarantined, are not offered.
    """
    current = history[-1].state.stable
    proven: list[RollbackTarget] = []
    brief: list[RollbackTarget] = []
    judged = {current, *quarantined}
    well, served = _left_well(history), spans(history)
    for span in reversed(served):
        if span.version in judged or span.until is None or span.left_by is None:
            continue
        judged.add(span.version)
        if not well[span.left_by.number]:
            continue
        longest = max(
            s.dwell(now) for s in served if s.version == span.version and s.left_by and well[s.left_by.number]
        )
        because = f"served {in_words(longest)} at 100 % and was left by a flip, not by a rollback"
        if longest >= minimum_dwell:
            proven.append(RollbackTarget(span.version, because, span.until))
        else:
            caution = f"it served only {in_words(longest)}; {in_words(minimum_dwell)} are asked for"
            brief.append(RollbackTarget(span.version, because, span.until, caution))
    return (*proven, *brief)


# -- deciding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Who asks for a change, when, why, which revision they were looking at, and what is quarantined meanwhile."""

    by: Actor
    now: datetime
    seen_revision: int
    reason: str = ""
    quarantined: frozenset[str] = frozenset()


def created(name: str, state: State, *, by: Actor, now: datetime, reason: str = "") -> Revision:
    """The first revision of a new alias."""
    return Revision(name, 1, state, Cause.CREATED, by.name, by.is_automatic, now, reason)


def flip(history: History, version: str, asked: Asked) -> Revision:
    """Point the alias at ``version``, which may be new to it."""
    now = _open(history, asked, touches=("serving",))
    if now.state.stable == version:
        raise NothingToChange(f"{now.alias} already serves {version} (revision {now.number}).")
    _refuse_alone(now, f"flipping it to {version}")
    return _next(history, replace(now.state, stable=version), Cause.FLIPPED, asked)


def roll_back(
    history: History, asked: Asked, *, to: str | None = None, minimum_dwell: timedelta = MINIMUM_DWELL
) -> Revision:
    """Return the alias to the version that last served well, or to ``to``, which must be one of its targets.

    Never waits for approval, and holds the alias, so that no automatic step brings the version back.
    """
    now = _open(history, asked, touches=("serving",), automatic_may_pass_hold=True)
    version = to or _best_target(history, asked, minimum_dwell)
    if version == now.state.stable:
        raise NothingToChange(f"{now.alias} already serves {version} (revision {now.number}).")
    _refuse_bad_target(history, version, asked)
    hold = now.state.hold or Hold(asked.by.name, _moment(history, asked), f"after rollback from {now.state.stable}")
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
    now = _open(history, asked, touches=facets_changed(history, number), even_retired="retired" in fields)
    # What is back where it was by now, such as a hold released after a rollback, is in nobody's way.
    fields = [f for f in fields if getattr(now.state, f) != getattr(before, f)]
    if not fields:
        raise NothingToChange(f"{now.alias} is already as it was before revision {number}.")
    overtaken = [f for f in fields if getattr(now.state, f) != getattr(after, f)]
    if overtaken:
        raise UndoOvertaken(
            f"Revision {number} of {now.alias} cannot be undone: its {', '.join(overtaken)} changed again since. "
            "Flip or edit it to the state you want."
        )
    if "stable" in fields and undo_needs_flip(history, number, asked.quarantined):
        _refuse_alone(now, f"undoing revision {number}, which returns it to {before.stable},")
    if "fallbacks" in fields:
        _refuse_alone(now, f"undoing revision {number}, which changes its fallbacks,")
    state = replace(now.state, **{f: getattr(before, f) for f in fields})
    return replace(_next(history, state, Cause.UNDONE, asked), reverts=number)


def undo_needs_flip(history: History, number: int, quarantined: Collection[str] = ()) -> bool:
    """Would undoing this revision send traffic to what is no rollback target now? Then it needs what a flip needs."""
    before = history[number - 2].state.stable
    if before == history[-1].state.stable:
        return False
    targets = rollback_targets(history, now=history[-1].at, quarantined=quarantined)
    return not goes_forward(history, number) or all(target.version != before for target in targets)


def hold(history: History, asked: Asked) -> Revision:
    """Keep automatic steps away; people, fallbacks and automatic rollback are not blocked."""
    now = _open(history, asked, touches=("hold",), automatic_may_pass_hold=True)
    if now.state.hold is not None:
        raise NothingToChange(f"{now.alias} is already held by {now.state.hold.by}.")
    held = Hold(asked.by.name, _moment(history, asked), asked.reason)
    return _next(history, replace(now.state, hold=held), Cause.HELD, asked)


def release(history: History, asked: Asked) -> Revision:
    """Let automatic steps go on."""
    now = _open(history, asked, touches=("hold",))
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
    edited = {"card": description is not None or owner is not None, "serving": fallbacks is not None}
    now = _open(history, asked, touches=[facet for facet, is_edited in edited.items() if is_edited])
    state = now.state
    if description is not None:
        state = replace(state, description=description)
    if owner is not None:
        state = replace(state, owner=owner or None)
    if fallbacks is not None:
        state = replace(state, fallbacks=tuple(dict.fromkeys(fallbacks)))
    if state.fallbacks != now.state.fallbacks:
        _refuse_alone(now, "changing its fallbacks, which may have to answer for it,")
    if state == now.state:
        raise NothingToChange(f"{now.alias} is already described like this.")
    return _next(history, state, Cause.DESCRIBED, asked)


def protect(history: History, asked: Asked, *, protected: bool) -> Revision:
    """Ask for a second person before every flip, or stop asking."""
    now = _open(history, asked, touches=("protection",))
    if now.state.protected == protected:
        raise NothingToChange(f"{now.alias} is already {'protected' if protected else 'unprotected'}.")
    cause = Cause.PROTECTED if protected else Cause.UNPROTECTED
    return _next(history, replace(now.state, protected=protected), cause, asked)


def retire(history: History, asked: Asked) -> Revision:
    """End the alias: callers are refused from now on; its history stays, and undo brings it back."""
    now = _open(history, asked, touches=("serving",))
    return _next(history, replace(now.state, retired=True), Cause.RETIRED, asked)


# -- what the decisions share ---------------------------------------------------------------------


def _open(
    history: History,
    asked: Asked,
    *,
    touches: Collection[str],
    automatic_may_pass_hold: bool = False,
    even_retired: bool = False,
) -> Revision:
    """The newest revision, once the actor may build on it."""
    now = history[-1]
    _refuse_stale(history, asked, touches)
    if now.state.retired and not even_retired:
        raise AliasRetired(
            f"{now.alias} was retired by {now.by} at {now.at:%Y-%m-%d %H:%M} UTC. "
            f"Undoing revision {now.number} brings it back."
        )
    if asked.by.is_automatic and now.state.hold and not automatic_may_pass_hold:
        why = f" ({now.state.hold.reason})" if now.state.hold.reason else ""
        raise AliasHeld(
            f"{now.alias} is held by {now.state.hold.by}{why}: automatic steps wait until a person releases it."
        )
    return now


def _refuse_stale(history: History, asked: Asked, touches: Collection[str]) -> None:
    """People are stopped by what other people changed there; automatic steps by any change at all."""
    now = history[-1]
    if asked.seen_revision > now.number or asked.seen_revision < 1:
        raise UnknownRevision(f"{now.alias} has revisions 1 to {now.number}, not {asked.seen_revision}.")
    for later in reversed(history[asked.seen_revision :]):
        same_side = not facets_changed(history, later.number).isdisjoint(touches)
        if asked.by.is_automatic or (same_side and not later.automatic):
            raise StaleRevision(
                f"{now.alias} was {later.cause} by {later.by} {in_words(asked.now - later.at)} ago and serves "
                f"{now.state.stable} (revision {now.number}, you saw {asked.seen_revision}). Nothing was changed."
            )


def _refuse_alone(now: Revision, doing: str) -> None:
    if now.state.protected:
        raise AliasProtected(
            f"{now.alias} is protected: {doing} needs a second person. Approvals are not available yet, so an "
            "admin must unprotect it first. Rolling back never needs anybody."
        )


def _best_target(history: History, asked: Asked, minimum_dwell: timedelta) -> str:
    """The best target, for somebody who wants to be rid of the version that served at the revision they saw."""
    now, seen = history[-1], history[asked.seen_revision - 1].state.stable
    last = next((s for s in reversed(spans(history)) if s.version == seen), None)
    left_by = last.left_by if last else None
    if last and left_by and left_by.number > asked.seen_revision and not _left_well(history)[left_by.number]:
        # An automatic rollback was faster. A second step back is not what this person asked for.
        raise NothingToChange(
            f"{now.alias} was {left_by.cause} from {seen} by {left_by.by} already and serves {now.state.stable} "
            f"(revision {now.number}). Look again before you roll it back further."
        )
    targets = rollback_targets(history, now=asked.now, minimum_dwell=minimum_dwell, quarantined=asked.quarantined)
    best = next((t for t in targets if t.version != seen), None)
    if best is None:
        raise NoRollbackTarget(
            f"{now.alias} has no earlier version to roll back to: every version it served before was "
            "itself left by a rollback or is quarantined, or there was none. Flip it to a version you trust."
        )
    return best.version


def _refuse_bad_target(history: History, version: str, asked: Asked) -> None:
    """A rollback may pass protection, so it leads to what was left well, and to nothing else."""
    if any(t.version == version for t in rollback_targets(history, now=asked.now, quarantined=asked.quarantined)):
        return
    alias = history[-1].alias
    left_by = next((s.left_by for s in reversed(spans(history)) if s.version == version), None)
    if left_by is None:
        raise NoRollbackTarget(f"{version} never served {alias}, so it is a flip and not a rollback.")
    if version in asked.quarantined:
        raise NoRollbackTarget(f"{version} is quarantined, so going there is a flip with an override.")
    raise NoRollbackTarget(
        f"{version} was itself left by a rollback (revision {left_by.number} of {alias}), so going there again is a "
        "flip and not a rollback."
    )


def _revision(history: History, number: int) -> Revision:
    if not 1 <= number <= len(history):
        raise UnknownRevision(f"{history[-1].alias} has revisions 1 to {len(history)}, not {number}.")
    return history[number - 1]


def _moment(history: History, asked: Asked) -> datetime:
    """When the change counts as made: a clock that steps back must not make history run backwards."""
    return max(asked.now, history[-1].at)


def _next(history: History, state: State, cause: Cause, asked: Asked) -> Revision:
    now, at = history[-1], _moment(history, asked)
    return Revision(now.alias, now.number + 1, state, cause, asked.by.name, asked.by.is_automatic, at, asked.reason)


def held_longer_than(history: History, limit: timedelta, *, now: datetime) -> Iterator[Hold]:
    """The hold in force, if it is older than ``limit``."""
    hold_now = history[-1].state.hold
    if hold_now is not None and now - hold_now.at > limit:
        yield hold_now
