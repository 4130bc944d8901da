"""Moving aliases: create, flip, roll back, undo, hold, release, describe, protect, retire.

Every function is one transaction: lock, load, let the domain decide, store, append the audit event. Each
takes the revision the actor saw (``seen_revision``) and may take an idempotency key; asking again under the
same key has no second effect and returns the first result.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core.domain import aliases
from core.domain.aliases import Asked, History, Revision, State
from core.domain.evacuation import Errand
from core.domain.names import checked_slug, checked_text
from core.domain.permissions import Actor, insist
from core.errors import AlreadyExists, InvalidInput
from core.services import quarantines
from core.services.recording import MAX_WORDS, change, event, once
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import AliasRow, EvacuationMoveRow

MAX_FALLBACKS = 8
MAX_OWNER = 200


@dataclass(frozen=True)
class Moved:
    """What a write on an alias did. ``replayed`` is True when the idempotency key had done it before.

    ``quarantined`` is the version that it left for doing badly, if it did.
    """

    alias: str
    revision: int
    serial: int
    cause: str
    version: str
    previous_version: str | None
    by: str
    at: datetime
    replayed: bool = False
    quarantined: str | None = None


def create(
    store: Store,
    actor: Actor,
    alias: str,
    version: str,
    *,
    description: str = "",
    owner: str | None = None,
    protected: bool = False,
    fallbacks: tuple[str, ...] = (),
    reason: str = "",
    override_quarantine: str | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Create ``alias`` serving ``version``; AlreadyExists when the name is taken."""
    checked_slug("an alias", alias)
    _check_words(description, owner)
    state = State(version, _distinct(fallbacks), description, owner or None, protected)
    asked = {"create": alias, **_card(state), "stable": version, **_over(override_quarantine)}
    attempted = event(actor, "alias.created", _subject(alias), now=now, reason=reason)
    with change(store, actor, "alias:create", attempted, alias=alias) as session:

        def work() -> dict[str, Any]:
            if session.get(AliasRow, alias) is not None:
                raise AlreadyExists(f"There is an alias {alias} already. Flip it, or choose another name.")
            _refuse_unknown_versions(session, (version, *state.fallbacks))
            revision = aliases.created(alias, state, by=actor, now=now, reason=reason)
            return _stored(session, Asked(actor, now, 0, reason), (), revision, "alias.created", override_quarantine)

        return _moved(once(session, actor, idempotency_key, asked, now=now, work=work))


def flip(
    store: Store,
    actor: Actor,
    alias: str,
    version: str,
    *,
    seen_revision: int,
    reason: str = "",
    override_quarantine: str | None = None,
    errand: Errand | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Move ``alias`` to ``version``: model, prompt and parameters together.

    Quarantined when the version is, unless ``override_quarantine`` says why it shall serve all the same.
    """
    asked = Asked(actor, now, seen_revision, reason)

    def decide(session: Session, history: History) -> Revision:
        _refuse_unknown_versions(session, (version,))
        return aliases.flip(history, version, asked)

    details = {"version": version}
    override = override_quarantine
    return _move(store, "alias:flip", "alias.flipped", alias, asked, decide, idempotency_key, details, override, errand)


def roll_back(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    to: str | None = None,
    seen_revision: int,
    reason: str = "",
    errand: Errand | None = None,
    idempotency_key: str | None = None,
    minimum_dwell: timedelta = aliases.MINIMUM_DWELL,
    now: datetime,
) -> Moved:
    """Return ``alias`` to the version that last served well, or to ``to``; never waits for anybody.

    The version it leaves is quarantined.
    """
    asked = Asked(actor, now, seen_revision, reason)

    def decide(session: Session, history: History) -> Revision:
        aware = quarantines.aware(session, asked)
        return aliases.roll_back(history, aware, to=to, minimum_dwell=minimum_dwell)

    kind, details = "alias.rolled_back", {"to": to}
    return _move(store, "alias:roll_back", kind, alias, asked, decide, idempotency_key, details, errand=errand)


def undo(
    store: Store,
    actor: Actor,
    alias: str,
    number: int,
    *,
    seen_revision: int,
    reason: str = "",
    override_quarantine: str | None = None,
    errand: Errand | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Put back what revision ``number`` changed. Going back needs what a rollback needs, forward what a flip needs.

    Going back quarantines the version it leaves; undoing a rollback lifts what that rollback put into quarantine.
    """
    asked = Asked(actor, now, seen_revision, reason)

    def decide(session: Session, history: History) -> Revision:
        aware = quarantines.aware(session, asked)
        for action in actions_of_undo(history, number, aware.quarantined):
            insist(actor, action, alias)
        return aliases.undo(history, number, aware)

    # What undoing needs depends on what is undone, so the table is asked again inside, under the lock.
    details, override = {"number": number}, override_quarantine
    return _move(store, "alias:read", "alias.undone", alias, asked, decide, idempotency_key, details, override, errand)


def hold(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    seen_revision: int,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Keep automatic steps away from ``alias``."""
    asked = Asked(actor, now, seen_revision, reason)

    def decide(_session: Session, history: History) -> Revision:
        return aliases.hold(history, asked)

    return _move(store, "alias:hold", "alias.held", alias, asked, decide, idempotency_key)


def release(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    seen_revision: int,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Let automatic steps on ``alias`` go on."""
    asked = Asked(actor, now, seen_revision, reason)

    def decide(_session: Session, history: History) -> Revision:
        return aliases.release(history, asked)

    return _move(store, "alias:hold", "alias.released", alias, asked, decide, idempotency_key)


def describe(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    description: str | None = None,
    owner: str | None = None,
    fallbacks: tuple[str, ...] | None = None,
    seen_revision: int,
    reason: str = "",
    override_quarantine: str | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Edit description, owner or fallbacks; None leaves a field as it is.

    Quarantined when a new fallback is, unless ``override_quarantine`` says why it shall be tried all the same.
    """
    _check_words(description, owner)
    asked = Asked(actor, now, seen_revision, reason)
    chain = _distinct(fallbacks) if fallbacks is not None else None

    def decide(session: Session, history: History) -> Revision:
        _refuse_unknown_versions(session, chain or ())
        return aliases.describe(history, asked, description=description, owner=owner, fallbacks=chain)

    details, override = {"description": description, "owner": owner, "fallbacks": chain}, override_quarantine
    return _move(store, "alias:describe", "alias.described", alias, asked, decide, idempotency_key, details, override)


def protect(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    protected: bool,
    seen_revision: int,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """Ask for a second person before every flip of ``alias``, or stop asking."""
    asked = Asked(actor, now, seen_revision, reason)
    kind = "alias.protected" if protected else "alias.unprotected"

    def decide(_session: Session, history: History) -> Revision:
        return aliases.protect(history, asked, protected=protected)

    return _move(store, "alias:protect", kind, alias, asked, decide, idempotency_key)


def retire(
    store: Store,
    actor: Actor,
    alias: str,
    *,
    seen_revision: int,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Moved:
    """End ``alias``: its callers are refused from now on. Undo brings it back."""
    asked = Asked(actor, now, seen_revision, reason)

    def decide(_session: Session, history: History) -> Revision:
        return aliases.retire(history, asked)

    return _move(store, "alias:retire", "alias.retired", alias, asked, decide, idempotency_key)


# -- what they share ------------------------------------------------------------------------------


def _move(
    store: Store,
    action: str,
    kind: str,
    alias: str,
    asked: Asked,
    decide: Callable[[Session, History], Revision],
    key: str | None,
    details: dict[str, Any] | None = None,
    override: str | None = None,
    errand: Errand | None = None,
) -> Moved:
    attempted = event(asked.by, kind, _subject(alias), now=asked.now, reason=asked.reason)
    request = {"kind": kind, "alias": alias, **(details or {}), **_over(override)}
    with change(store, asked.by, action, attempted, alias=alias) as session:

        def work() -> dict[str, Any]:
            history = repositories.history(session, alias)
            return _stored(session, asked, history, decide(session, history), kind, override, errand)

        return _moved(once(session, asked.by, key, request, now=asked.now, work=work))


def _over(override: str | None) -> dict[str, Any]:
    """Said only where there is one, so that requests of before quarantine are still the same requests."""
    return {} if override is None else {"override_quarantine": override}


def _stored(
    session: Session,
    asked: Asked,
    history: History,
    decided: Revision,
    kind: str,
    override: str | None = None,
    errand: Errand | None = None,
) -> dict[str, Any]:
    after, overridden = quarantines.ruled(session, history, decided, asked, override=override)
    before, actor = history[-1] if history else None, asked.by
    serial = repositories.add_revision(session, after)
    blames = errand.blames if errand else None
    quarantined = quarantines.settle(session, actor, history, after, serial=serial, blames=blames)
    old = {"revision": before.number, **_facts(before.state)} if before else {}
    new = {"revision": after.number, **_facts(after.state)}
    if errand:
        new["evacuation"] = errand.evacuation
        session.add(EvacuationMoveRow(evacuation=errand.evacuation, alias=after.alias, revision=after.number))
    if overridden:
        new["quarantine_overridden"] = {"versions": list(overridden), "reason": override}
    said = event(actor, kind, _subject(after.alias), now=after.at, reason=after.reason, before=old, after=new)
    audit_log.append(session, said)
    return {
        "alias": after.alias,
        "revision": after.number,
        "serial": serial,
        "cause": after.cause.value,
        "version": after.state.stable,
        "previous_version": before.state.stable if before else None,
        "by": after.by,
        "at": after.at.isoformat(),
        "quarantined": quarantined,
    }


def _moved(done: tuple[dict[str, Any], bool]) -> Moved:
    result, replayed = done
    return Moved(**{**result, "at": datetime.fromisoformat(result["at"])}, replayed=replayed)


def _facts(state: State) -> dict[str, Any]:
    hold_now = state.hold
    facts = {**asdict(state), "fallbacks": list(state.fallbacks)}
    return {**facts, "hold": {"by": hold_now.by, "reason": hold_now.reason} if hold_now else None}


def _card(state: State) -> dict[str, Any]:
    return {**_facts(state), "hold": None}


def _subject(alias: str) -> str:
    return f"alias:{alias}"


def _check_words(description: str | None, owner: str | None) -> None:
    checked_text("A description", description or "", most=MAX_WORDS)
    checked_text("An owner", owner or "", most=MAX_OWNER)


def _distinct(fallbacks: tuple[str, ...]) -> tuple[str, ...]:
    chain = tuple(dict.fromkeys(fallbacks))
    if len(chain) > MAX_FALLBACKS:
        raise InvalidInput(f"An alias has at most {MAX_FALLBACKS} fallbacks, not {len(chain)}.")
    return chain


def _refuse_unknown_versions(session: Session, names: tuple[str, ...]) -> None:
    for name in names:
        repositories.version(session, name)


def actions_of_undo(history: History, number: int, quarantined: Collection[str] = ()) -> tuple[str, ...]:
    """What undoing needs: the same as doing the reverse by hand."""
    if not 1 <= number <= len(history):
        return ()
    needs = {
        "hold": "alias:hold",
        "card": "alias:describe",
        "protection": "alias:protect",
    }
    changed = aliases.facets_changed(history, number)
    actions = [needs[facet] for facet in ("hold", "card", "protection") if facet in changed]
    if "serving" in changed:
        actions.append(_serving_action(history, number, quarantined))
    return tuple(actions)


def _serving_action(history: History, number: int, quarantined: Collection[str]) -> str:
    before = history[number - 2].state if number > 1 else history[0].state
    after = history[number - 1].state
    if before.retired != after.retired:
        return "alias:retire"
    if before.stable == after.stable:
        return "alias:describe"
    return "alias:flip" if aliases.undo_needs_flip(history, number, quarantined) else "alias:roll_back"
