"""A version left for doing badly is quarantined: nothing serves it again by itself, and nobody by accident.

A rollback quarantines the version it leaves, and so does undoing a forward step. What serves a quarantined version
already, behind another alias, goes on; but nothing may *begin* to serve it without an override that says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.domain.aliases import Asked, Cause, History, Revision, State, goes_forward
from core.domain.durations import in_words
from core.errors import Quarantined


@dataclass(frozen=True)
class Quarantine:
    """One reason why a version must not serve: the revision that left it. ``issue`` is the known issue it added.

    ``serial`` is the change number of that revision: what was decided before it was decided without this knowledge.
    """

    id: int
    version: str
    alias: str
    revision: int
    serial: int
    since: datetime
    by: str
    reason: str
    issue: int
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str = ""


def names(quarantines: Iterable[Quarantine]) -> frozenset[str]:
    """The versions that are quarantined."""
    return frozenset(q.version for q in quarantines)


def left_badly(history: History) -> str | None:
    """The version that the newest revision left for doing badly, or None."""
    if len(history) < 2:
        return None
    left, newest = history[-2].state.stable, history[-1]
    return None if left == newest.state.stable or goes_forward(history, newest.number) else left


def why(newest: Revision) -> str:
    """The known issue of the version that ``newest`` left for doing badly."""
    undone = f" (revision {newest.reverts} undone)" if newest.cause is Cause.UNDONE else ""
    said = f": {newest.reason}" if newest.reason else "; no reason was given"
    return f"rolled back from {newest.alias} by {newest.by}{undone}{said}"


def lifted_by_undo(before: Revision, after: Revision, quarantines: Sequence[Quarantine]) -> tuple[Quarantine, ...]:
    """What ``after`` lifts, because it undoes the very revision that imposed it and returns to the version."""
    if after.cause is not Cause.UNDONE or before.state.stable == after.state.stable:
        return ()
    return tuple(
        q for q in quarantines if (q.alias, q.revision, q.version) == (after.alias, after.reverts, after.state.stable)
    )


def begins_to_serve(before: State | None, after: State) -> tuple[str, ...]:
    """The versions that ``after`` serves, at once or when another fails, and ``before`` did not."""
    if after.retired:
        return ()
    awake = before is not None and not before.retired
    stable = () if awake and before and before.stable == after.stable else (after.stable,)
    return (*stable, *(f for f in after.fallbacks if before is None or f not in before.fallbacks))


def ruled(
    before: Revision | None, after: Revision, quarantines: Sequence[Quarantine], asked: Asked, *, override: str | None
) -> tuple[Revision, tuple[str, ...]]:
    """``after`` and the versions whose quarantine it overrides; Quarantined when it must not be.

    The override's reason goes into the revision. An automatic step may never override.
    """
    still = [q for q in quarantines if before is None or q not in lifted_by_undo(before, after, quarantines)]
    new = begins_to_serve(before.state if before else None, after.state)
    barred = tuple(name for name in new if name in names(still))
    if not barred:
        return after, ()
    if override is None or asked.by.is_automatic:
        raise Quarantined(_refusal(after.alias, next(q for q in still if q.version == barred[0]), asked))
    said = f"quarantine of {', '.join(barred)} overridden: {override}"
    return replace(after, reason=f"{after.reason} ({said})" if after.reason else said), barred


def _refusal(alias: str, found: Quarantine, asked: Asked) -> str:
    ago = in_words(asked.now - found.since)
    return (
        f"{found.version} was quarantined {ago} ago ({found.reason}), so {alias} may not begin to serve it. "
        "Choose another version, lift the quarantine, or override it with a reason. Nothing was changed."
    )


def standing_fallbacks(history: History, quarantines: Sequence[Quarantine]) -> tuple[str, ...]:
    """The fallbacks that may really be tried: those in quarantine rest, unless named after it began, by an override."""
    newest = history[-1]
    return tuple(
        name
        for name in newest.state.fallbacks
        if all(q.serial < _named_since(history, name) for q in quarantines if q.version == name)
    )


def _named_since(history: History, fallback: str) -> int:
    """The change number of the revision that made ``fallback`` one, in the newest run of revisions that name it."""
    found = history[-1].serial
    for revision in reversed(history):
        if fallback not in revision.state.fallbacks:
            break
        found = revision.serial
    return found
