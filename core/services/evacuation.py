"""Evacuating a provider or a version: preview, move every alias by the normal rules, and return.

Each alias is moved in a unit of work of its own, against the revision of the preview: what somebody moved meanwhile is
reported and never forced. The permission is that of the move itself, so a rollback-only token may evacuate whatever a
rollback can move, and an alias that would have to be flipped to a fallback stays and is reported.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain import evacuation
from core.domain.aliases import MINIMUM_DWELL, Cause, Revision
from core.domain.evacuation import MAX_MOVES, MAX_SAID, Concern, Errand, Plan, Wanted
from core.domain.permissions import Actor, insist, rule_on
from core.domain.receipts import Receipt
from core.errors import InvalidInput, NotFound, NothingToChange, NotPermitted, PinrailError, UndoOvertaken
from core.services import flips, serving
from core.services.flips import Moved
from core.services.reading import insist_on_some_alias
from core.services.recording import event
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import EvacuationMoveRow, EvacuationRow, RevisionRow


@dataclass(frozen=True)
class Result:
    """What came of one alias: a revision, or the refusal by code and message."""

    alias: str
    moved: Moved | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Evacuation:
    """One evacuation: ``moves`` are its revisions that still may be returned or were, in the order of aliases."""

    id: str
    concern: Concern
    reason: str
    by: str
    at: datetime
    moves: tuple["Move", ...] = ()


@dataclass(frozen=True)
class Move:
    """One revision of an evacuation; ``returned`` is the revision that undid it, if one did."""

    revision: Revision
    came_from: str
    returned: int | None
    receipt: Receipt | None = None


# -- looking first ----------------------------------------------------------------------------------


def preview(
    store: Store, actor: Actor, concern: Concern, *, now: datetime, minimum_dwell: timedelta = MINIMUM_DWELL
) -> list[Plan]:
    """Where every alias that is concerned would go, as far as the actor may see aliases. Nothing is changed."""
    insist_on_some_alias(actor)
    with store.reading() as session:
        plans = _plans(session, concern, now=now, minimum_dwell=minimum_dwell)
    return [_as_allowed(actor, one) for one in plans if rule_on(actor, "alias:read", one.alias).allowed]


def _plans(session: Session, concern: Concern, *, now: datetime, minimum_dwell: timedelta) -> list[Plan]:
    if concern.provider is not None:
        repositories.provider(session, concern.provider)
    if concern.version is not None:
        repositories.version(session, concern.version)
    concerned = concern.versions(repositories.versions(session))
    quarantines = repositories.open_quarantines(session)
    found = []
    for newest in repositories.newest_revisions(session):
        if concerned.isdisjoint((newest.state.stable, *newest.state.fallbacks)):
            continue
        history = repositories.history(session, newest.alias)
        found.append(evacuation.plan(history, concerned, quarantines, now=now, minimum_dwell=minimum_dwell))
    return [one for one in found if one is not None]


def _as_allowed(actor: Actor, one: Plan) -> Plan:
    """The plan as this actor can carry it out: what they may not move stays, and the ruling says why."""
    if one.action is None:
        return one
    ruling = rule_on(actor, one.action, one.alias)
    return one if ruling.allowed else replace(one, target=None, action=None, because=ruling.because)


# -- moving -----------------------------------------------------------------------------------------


def run(
    store: Store,
    actor: Actor,
    concern: Concern,
    wanted: Sequence[Wanted],
    *,
    reason: str = "",
    now: datetime,
    minimum_dwell: timedelta = MINIMUM_DWELL,
) -> tuple[Evacuation, list[Result]]:
    """Move every alias of ``wanted`` that can be moved; NotPermitted when the actor may move none of them."""
    if not wanted or len(wanted) > MAX_MOVES or len({one.alias for one in wanted}) != len(wanted):
        raise InvalidInput(f"An evacuation moves 1 to {MAX_MOVES} aliases, each of them once.")
    if len(reason) > MAX_SAID:
        raise InvalidInput(f"The reason of an evacuation has at most {MAX_SAID} characters.")
    _insist_on_one(actor, ("alias:roll_back", "alias:flip"), [one.alias for one in wanted])
    with store.reading() as session:
        plans = {p.alias: p for p in _plans(session, concern, now=now, minimum_dwell=minimum_dwell)}
    made = _begun(store, actor, concern, reason, now)
    errand, why = Errand(made.id, concern.blames), evacuation.reason(made.id, concern, reason)

    def move(one: Wanted) -> Moved:
        plan = plans.get(one.alias)
        if plan is None or plan.target is None:
            raise NothingToChange(
                f"{one.alias} stays: {plan.because if plan else f'{concern.words} is not behind it'}."
            )
        if plan.target != one.target:
            raise NothingToChange(f"{one.alias} would go to {plan.target} by now, not to {one.target}. Look again.")
        given: dict[str, Any] = {"seen_revision": one.seen_revision, "reason": why, "errand": errand, "now": now}
        if plan.action == "alias:flip":
            return flips.flip(store, actor, one.alias, plan.target, **given)
        return flips.roll_back(store, actor, one.alias, to=plan.target, minimum_dwell=minimum_dwell, **given)

    return made, [_tried(one.alias, partial(move, one)) for one in wanted]


def give_back(
    store: Store, actor: Actor, name: str, *, reason: str = "", now: datetime
) -> tuple[Evacuation, list[Result]]:
    """Undo each revision of an evacuation that nothing overtook since; the others are reported and left.

    Undoing asks for what it always asks for: going back to what was left by a rollback is a flip.
    """
    made = show(store, actor, name, now=now)
    left = [move for move in made.moves if move.returned is None]
    if not left:
        raise NothingToChange(f"Everything that evacuation {name} moved, and you may see, was returned already.")
    _insist_on_one(actor, ("alias:flip",), [move.revision.alias for move in left])
    why = evacuation.reason(name, made.concern, f"returned{f': {reason}' if reason else ''}")
    errand = Errand(name, blames=False)

    def back(move: Move) -> Moved:
        newest = _newest(store, move.revision.alias)
        if newest.state.stable != move.revision.state.stable:
            raise UndoOvertaken(f"{newest.alias} was {newest.cause} by {newest.by} since; it is left as it is.")
        override = f"evacuation {name} is returned" if _own_only(store, made, move.came_from) else None
        return flips.undo(
            store,
            actor,
            newest.alias,
            move.revision.number,
            seen_revision=newest.number,
            reason=why,
            override_quarantine=override,
            errand=errand,
            now=now,
        )

    results = [_tried(move.revision.alias, partial(back, move)) for move in left]
    said = event(actor, "evacuation.returned", f"evacuation:{name}", now=now, reason=reason)
    with store.unit_of_work() as session:
        audit_log.append(session, said)
    return show(store, actor, name, now=now), results


def _own_only(store: Store, made: Evacuation, version: str) -> bool:
    """Is the version quarantined by this evacuation alone? Then its return may pass that, and nothing else."""
    own = {(move.revision.alias, move.revision.number) for move in made.moves}
    with store.reading() as session:
        found = [q for q in repositories.open_quarantines(session) if q.version == version]
    return bool(found) and all((q.alias, q.revision) in own for q in found)


def _tried(alias: str, work: Callable[[], Moved]) -> Result:
    """One alias must not keep the others from safety, so its refusal is an answer."""
    try:
        return Result(alias, work())
    except PinrailError as refusal:
        return Result(alias, None, refusal.code, str(refusal))


def _insist_on_one(actor: Actor, actions: Sequence[str], aliases: Sequence[str]) -> None:
    """Somebody who may move nothing of it is refused as a whole."""
    if not any(rule_on(actor, action, alias).allowed for action in actions for alias in aliases):
        insist(actor, actions[0], aliases[0])
        raise NotPermitted(f"Not permitted: {actor.name} may move none of these aliases.")


def _begun(store: Store, actor: Actor, concern: Concern, reason: str, now: datetime) -> Evacuation:
    made = Evacuation(f"ev-{secrets.token_hex(4)}", concern, reason, actor.name, now)
    facts = {"provider": concern.provider, "version": concern.version}
    with store.unit_of_work() as session:
        session.add(EvacuationRow(id=made.id, reason=reason, by=actor.name, at=now, **facts))
        said = event(actor, "evacuation.begun", f"evacuation:{made.id}", now=now, reason=reason, after=facts)
        audit_log.append(session, said)
    return made


def _newest(store: Store, alias: str) -> Revision:
    with store.reading() as session:
        return repositories.history(session, alias)[-1]


# -- seeing -----------------------------------------------------------------------------------------


def show(store: Store, actor: Actor, name: str, *, now: datetime) -> Evacuation:
    """One evacuation, what it moved as far as the actor may see it, and where that is in force."""
    insist_on_some_alias(actor)
    with store.reading() as session:
        row = session.get(EvacuationRow, name)
        if row is None:
            raise NotFound(f"There is no evacuation {name}.")
        rows = _revisions(session, name)
        undone = {(r.alias, r.reverts): r.number for r in rows if r.cause is Cause.UNDONE}
        moves = tuple(
            Move(r, _left(session, r), undone.get((r.alias, r.number)))
            for r in rows
            if r.cause is not Cause.UNDONE and rule_on(actor, "alias:read", r.alias).allowed
        )
    found = Evacuation(row.id, Concern(row.provider, row.version), row.reason, row.by, row.at)
    receipts = {m.revision.alias: serving.receipt(store, m.revision.alias, m.revision.number, now=now) for m in moves}
    return replace(found, moves=tuple(replace(m, receipt=receipts[m.revision.alias]) for m in moves))


def _revisions(session: Session, name: str) -> list[Revision]:
    query = (
        select(RevisionRow)
        .join(
            EvacuationMoveRow,
            (col(EvacuationMoveRow.alias) == col(RevisionRow.alias))
            & (col(EvacuationMoveRow.revision) == col(RevisionRow.number)),
        )
        .where(col(EvacuationMoveRow.evacuation) == name)
        .order_by(col(RevisionRow.alias), col(RevisionRow.number))
    )
    return [repositories.as_revision(row) for row in session.scalars(query)]


def _left(session: Session, revision: Revision) -> str:
    return session.get_one(RevisionRow, (revision.alias, revision.number - 1)).stable


def listed(store: Store, actor: Actor) -> list[Evacuation]:
    """Every evacuation, newest first, without its moves."""
    insist_on_some_alias(actor)
    with store.reading() as session:
        rows = session.scalars(select(EvacuationRow).order_by(col(EvacuationRow.at).desc(), col(EvacuationRow.id)))
        return [Evacuation(r.id, Concern(r.provider, r.version), r.reason, r.by, r.at) for r in rows]
