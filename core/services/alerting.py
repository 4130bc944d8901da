"""Alerts as use cases: looking, acknowledging, resolving, silencing, and reading what happened and was told.

Whatever happens to an alert is one unit of work: the alert, its change, the audit event, and a delivery in the queue
of every channel that is told. So a channel is told of exactly what happened, whoever dies in between.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core.domain import alerts as rules
from core.domain.alert_channels import is_told
from core.domain.alerts import Alert, AlertState, Did, Found, Patience, Severity, Sighting, Step
from core.domain.permissions import Actor, ActorKind, insist, rule_on
from core.errors import InvalidInput
from core.services.recording import change, event
from core.services.watches import WATCHES, Watch
from core.store import alerts as rows
from core.store import audit_log
from core.store.alerts import Change, Delivery
from core.store.database import Store
from core.store.looking import Seen

MAX_LIST = 500

_EVENT: dict[Did, str] = {
    Did.RAISED: "alert.raised",
    Did.ACKNOWLEDGED: "alert.acknowledged",
    Did.ESCALATED: "alert.escalated",
    Did.SILENCED: "alert.silenced",
    Did.UNSILENCED: "alert.silenced",
    Did.RESOLVED: "alert.resolved",
}


# -- looking --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Looked:
    """What came of a look."""

    raised: tuple[Alert, ...] = ()
    resolved: tuple[Alert, ...] = ()
    escalated: tuple[Alert, ...] = ()

    @property
    def note(self) -> str:
        """The look in words; empty when nothing changed."""
        told = (("raised", self.raised), ("resolved", self.resolved), ("escalated", self.escalated))
        return "; ".join(f"{word} {alert.id} ({alert.title})" for word, alerts in told for alert in alerts)


def look(
    store: Store,
    actor: Actor,
    seen: Seen,
    *,
    escalate_after: timedelta,
    now: datetime,
    watches: tuple[Watch, ...] = WATCHES,
) -> Looked:
    """Raise what holds for long enough, resolve what is over, escalate what nobody took."""
    insist(actor, "alert:handle")
    found = {one.key: one for watch in watches for one in watch.find(seen)}
    with store.reading() as session:
        if not found and not rows.sightings(session) and not rows.unresolved(session):
            return Looked()
    attempted = event(actor, "alert.raised", "alerts", now=now)
    with change(store, actor, "alert:handle", attempted) as session:
        # Decided under the lock: of two schedulers that look at once the second one sees what the first one raised.
        raised, resolved = _step(session, actor, found, watches, now)
        due = [a for a in rows.unresolved(session) if rules.due_escalation(a, after=escalate_after, now=now)]
        minutes = f"nobody acknowledged it within {escalate_after.total_seconds() / 60:g} min"
        escalated = [
            _happened(session, actor, rules.escalated(a, now=now), Did.ESCALATED, minutes, now=now) for a in due
        ]
        return Looked(tuple(raised), tuple(resolved), tuple(escalated))


def _step(
    session: Session, actor: Actor, found: dict[str, Found], watches: Iterable[Watch], now: datetime
) -> tuple[list[Alert], list[Alert]]:
    by_name = {watch.name: watch for watch in watches}
    remembered, newest = rows.sightings(session), rows.newest_by_key(session)
    waiting = {key for key, alert in newest.items() if alert.state is not AlertState.RESOLVED}
    raised: list[Alert] = []
    resolved: list[Alert] = []
    for key in sorted({*found, *remembered, *waiting}):
        watch = by_name.get(key.partition(":")[0])
        patience = watch.patience if watch else Patience()
        alert, seen = newest.get(key), remembered.get(key)
        judged = rules.judged(patience, key, found.get(key), seen, alert, now=now)
        _remember(session, key, seen, judged.sighting)
        if judged.step is Step.RAISE and watch is not None:
            new = rules.raised(found[key], id=0, watch=watch.name, severity=watch.severity, newest=alert, now=now)
            raised.append(
                _happened(session, actor, rows.add_alert(session, new), Did.RAISED, new.because, now=now, new=True)
            )
        elif judged.step is Step.RESOLVE and alert is not None:
            over = rules.resolved(alert, by=actor.name, person=False, now=now)
            resolved.append(_happened(session, actor, over, Did.RESOLVED, judged.because, now=now))
    return raised, resolved


def _remember(session: Session, key: str, before: Sighting | None, after: Sighting | None) -> None:
    if before != after:
        rows.remember(session, key, after)


# -- what people do -------------------------------------------------------------------------------


def acknowledge(store: Store, actor: Actor, number: int, *, reason: str = "", now: datetime) -> Alert:
    """Say that you look after it: it is not escalated any more."""
    return _done(
        store,
        actor,
        number,
        Did.ACKNOWLEDGED,
        lambda alert: rules.acknowledged(alert, by=actor.name, now=now),
        reason=reason,
        now=now,
    )


def resolve(store: Store, actor: Actor, number: int, *, reason: str = "", now: datetime) -> Alert:
    """Say that it is over. If its condition holds on, it is raised anew after a quarter of an hour."""
    person = actor.kind is not ActorKind.SYSTEM
    return _done(
        store,
        actor,
        number,
        Did.RESOLVED,
        lambda alert: rules.resolved(alert, by=actor.name, person=person, now=now),
        reason=reason,
        now=now,
    )


def silence(
    store: Store, actor: Actor, number: int, *, until: datetime | None, reason: str = "", now: datetime
) -> Alert:
    """Let nobody be told of its condition until then; None ends a silence."""
    return _done(
        store,
        actor,
        number,
        Did.SILENCED if until is not None else Did.UNSILENCED,
        lambda alert: rules.silenced(alert, until=until, by=actor.name, now=now),
        reason=reason,
        now=now,
    )


def _done(
    store: Store,
    actor: Actor,
    number: int,
    did: Did,
    decide: Callable[[Alert], Alert],
    *,
    reason: str,
    now: datetime,
) -> Alert:
    _insist_on_some(actor, "alert:read")
    with store.reading() as session:
        about = rows.alert(session, number)
    attempted = event(actor, _EVENT[did], f"alert:{number}", now=now, reason=reason)
    with change(store, actor, "alert:handle", attempted, alias=about.alias) as session:
        return _happened(session, actor, decide(rows.alert(session, number)), did, reason, now=now)


def _happened(
    session: Session, actor: Actor, after: Alert, did: Did, reason: str, *, now: datetime, new: bool = False
) -> Alert:
    """Keep what happened, put it on record, and let everybody be told who is."""
    if not new:
        rows.keep_alert(session, after)
    happened = Change(uuid.uuid4().hex, after.id, after.changes, did, now, actor.name, reason)
    rows.add_change(session, happened)
    facts = {"key": after.key, "state": after.state.value}
    if did in (Did.SILENCED, Did.UNSILENCED) and after.silenced_until is not None:
        facts["silenced_until"] = after.silenced_until.isoformat()
    said = event(actor, _EVENT[did], f"alert:{after.id}", now=now, reason=reason[:2000], after=facts)
    audit_log.append(session, said)
    heard = rows.heard_of(session, after.id)
    for channel in rows.channels(session):
        if is_told(channel, after, did, heard=channel.name in heard, now=now):
            rows.queue(session, channel.name, happened.id, change=happened.id, by=actor.name, now=now)
    return after


# -- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """One alert with all that happened to it and was told of it."""

    alert: Alert
    changes: tuple[Change, ...]
    deliveries: tuple[Delivery, ...]


def alert_list(
    store: Store,
    actor: Actor,
    *,
    states: Sequence[AlertState] | None = None,
    alias: str | None = None,
    watch: str | None = None,
    limit: int = 100,
) -> list[Alert]:
    """The alerts that fit and that the actor may see: unresolved ones first, then the newest."""
    _insist_on_some(actor, "alert:read")
    _check_limit(limit)
    if watch is not None and watch not in {one.name for one in WATCHES}:
        raise InvalidInput(f"There is no watch {watch!r}. Watches are {', '.join(one.name for one in WATCHES)}.")
    with store.reading() as session:
        found = rows.alerts(session, states=states, alias=alias, watch=watch, limit=MAX_LIST)
    return [alert for alert in found if rule_on(actor, "alert:read", alert.alias).allowed][:limit]


def story(store: Store, actor: Actor, number: int) -> Story:
    """One alert with all that happened to it."""
    _insist_on_some(actor, "alert:read")
    with store.reading() as session:
        found = rows.alert(session, number)
        insist(actor, "alert:read", found.alias)
        told = rows.deliveries(session, alert=number, limit=MAX_LIST)
        return Story(
            found, tuple(rows.changes_of(session, number)), tuple(delivery for delivery, _about in reversed(told))
        )


def delivery_list(
    store: Store, actor: Actor, *, channel: str | None = None, alert: int | None = None, limit: int = 100
) -> list[Delivery]:
    """What channels were told, newest first, as far as the actor may see the alerts; tests with the channels."""
    _insist_on_some(actor, "alert:read")
    _check_limit(limit)
    sees_tests = rule_on(actor, "alert_channel:read").allowed
    with store.reading() as session:
        found = rows.deliveries(session, channel=channel, alert=alert, limit=MAX_LIST)
    may = [d for d, a in found if (rule_on(actor, "alert:read", a.alias).allowed if a else sees_tests)]
    return may[:limit]


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIST:
        raise InvalidInput(f"A list holds 1 to {MAX_LIST}, not {limit}.")


def _insist_on_some(actor: Actor, action: str) -> None:
    """Whoever may see the alerts of a single alias may ask; they are given what they may see."""
    named = {grant.alias for grant in actor.grants if grant.alias} | (actor.aliases or frozenset())
    if not any(rule_on(actor, action, alias).allowed for alias in named):
        insist(actor, action)


def worst(alerts: Iterable[Alert]) -> Severity | None:
    """The worst severity among alerts that are not over."""
    found = {alert.severity for alert in alerts if alert.state is not AlertState.RESOLVED}
    return Severity.CRITICAL if Severity.CRITICAL in found else next(iter(found), None)
