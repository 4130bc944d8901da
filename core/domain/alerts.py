"""An alert: one condition that somebody must know of, from the moment it holds until it does not.

    open → acknowledged → resolved

A *watch* finds conditions; a condition has a key, and at most one alert that is not resolved has that key. A
condition must hold for the watch's patience before it is raised, and be gone for as long as the watch says before it
is resolved, so that a figure that hovers around its limit pages nobody twice. What cannot be read is *blind*: it
neither raises an alert nor resolves one.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.errors import AlertResolved, InvalidInput, NothingToChange

LONGEST_SILENCE = timedelta(days=30)
AGAIN_AFTER = timedelta(minutes=15)
"""How long what a person resolved stays resolved, though the condition holds on."""


class Severity(StrEnum):
    """How soon somebody must look."""

    CRITICAL = "critical"
    WARNING = "warning"


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Did(StrEnum):
    """What can happen to an alert."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    SILENCED = "silenced"
    UNSILENCED = "unsilenced"
    RESOLVED = "resolved"


TOLD: frozenset[Did] = frozenset({Did.RAISED, Did.ACKNOWLEDGED, Did.ESCALATED, Did.RESOLVED})
"""What channels are told. A silence is not: it is there so that nobody hears anything."""


@dataclass(frozen=True)
class Found:
    """A condition that a watch found. ``blind`` says that it cannot be told whether it holds."""

    key: str
    title: str = ""
    because: str = ""
    alias: str | None = None
    owner: str | None = None
    path: str = "/alerts"
    blind: bool = False


@dataclass(frozen=True)
class Patience:
    """How long a condition must hold before it is raised, and be gone before it is resolved."""

    raise_after: timedelta = timedelta(0)
    resolve_after: timedelta = timedelta(0)


@dataclass(frozen=True)
class Sighting:
    """A condition as the looks at it found it: since when it holds without a break, and when it was last found."""

    key: str
    since: datetime
    last: datetime


@dataclass(frozen=True)
class Alert:
    """One alert as it stands. ``changes`` counts what happened to it, the raising included."""

    id: int
    key: str
    watch: str
    severity: Severity
    title: str
    because: str
    alias: str | None
    owner: str | None
    path: str
    opened_at: datetime
    state: AlertState = AlertState.OPEN
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolved_by_person: bool = False
    silenced_until: datetime | None = None
    silenced_by: str | None = None
    escalated_at: datetime | None = None
    changes: int = 1

    def is_silent(self, now: datetime) -> bool:
        """Does somebody want to hear nothing of it for now?"""
        return self.silenced_until is not None and now < self.silenced_until


# -- from looks to steps --------------------------------------------------------------------------


class Step(StrEnum):
    """What a look leads to."""

    RAISE = "raise"
    RESOLVE = "resolve"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Judged:
    """What one look at a condition comes to: what to remember of it (None for nothing), and what to do."""

    sighting: Sighting | None
    step: Step
    because: str


def judged(
    patience: Patience, key: str, found: Found | None, seen: Sighting | None, newest: Alert | None, *, now: datetime
) -> Judged:
    """What a look comes to that found this, given what is remembered and the newest alert with the same key."""
    unresolved = newest is not None and newest.state is not AlertState.RESOLVED
    if found is not None and found.blind:
        if unresolved:
            return Judged(Sighting(key, seen.since if seen else now, now), Step.NOTHING, "it cannot be told")
        return Judged(None, Step.NOTHING, "it cannot be told")
    if found is None:
        return _gone(patience, seen, unresolved, now)
    sighting = Sighting(key, seen.since if seen else now, now)
    if unresolved:
        return Judged(sighting, Step.NOTHING, "it is raised already")
    if now - sighting.since < patience.raise_after:
        return Judged(sighting, Step.NOTHING, f"it must hold for {patience.raise_after} first")
    if newest is not None and _resolved_by_hand_lately(newest, now):
        return Judged(sighting, Step.NOTHING, f"{newest.resolved_by} resolved it a moment ago")
    return Judged(sighting, Step.RAISE, "it holds")


def _resolved_by_hand_lately(alert: Alert, now: datetime) -> bool:
    return alert.resolved_by_person and alert.resolved_at is not None and now - alert.resolved_at < AGAIN_AFTER


def _gone(patience: Patience, seen: Sighting | None, unresolved: bool, now: datetime) -> Judged:
    if not unresolved:
        return Judged(None, Step.NOTHING, "nothing was found")
    if seen is not None and now - seen.last < patience.resolve_after:
        return Judged(seen, Step.NOTHING, f"it must be gone for {patience.resolve_after} first")
    return Judged(None, Step.RESOLVE, "it does not hold any more")


# -- the states -----------------------------------------------------------------------------------


def raised(
    found: Found, *, id: int, watch: str, severity: Severity, newest: Alert | None = None, now: datetime
) -> Alert:
    """A new alert. A silence of the condition that has not ended holds for it, too."""
    silent = newest if newest is not None and newest.is_silent(now) else None
    return Alert(
        id,
        found.key,
        watch,
        severity,
        found.title,
        found.because,
        found.alias,
        found.owner,
        found.path,
        now,
        silenced_until=silent.silenced_until if silent else None,
        silenced_by=silent.silenced_by if silent else None,
    )


def acknowledged(alert: Alert, *, by: str, now: datetime) -> Alert:
    """Somebody looks after it."""
    _insist_unresolved(alert)
    if alert.state is AlertState.ACKNOWLEDGED:
        raise NothingToChange(f"Alert {alert.id} was acknowledged by {alert.acknowledged_by} already.")
    return replace(
        alert,
        state=AlertState.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=by,
        changes=alert.changes + 1,
    )


def resolved(alert: Alert, *, by: str, person: bool, now: datetime) -> Alert:
    """It is over: the condition is gone, or a person says so."""
    _insist_unresolved(alert)
    return replace(
        alert,
        state=AlertState.RESOLVED,
        resolved_at=now,
        resolved_by=by,
        resolved_by_person=person,
        changes=alert.changes + 1,
    )


def silenced(alert: Alert, *, until: datetime | None, by: str, now: datetime) -> Alert:
    """Tell nobody of it until then; None ends a silence."""
    _insist_unresolved(alert)
    if until is None:
        if not alert.is_silent(now):
            raise NothingToChange(f"Alert {alert.id} is not silenced.")
        return replace(alert, silenced_until=now, silenced_by=by, changes=alert.changes + 1)
    if until <= now:
        raise InvalidInput("A silence ends in the future.")
    if until - now > LONGEST_SILENCE:
        raise InvalidInput(f"A silence lasts at most {LONGEST_SILENCE.days} days.")
    if until == alert.silenced_until:
        raise NothingToChange(f"Alert {alert.id} is silenced until then already.")
    return replace(alert, silenced_until=until, silenced_by=by, changes=alert.changes + 1)


def due_escalation(alert: Alert, *, after: timedelta, now: datetime) -> bool:
    """Did nobody acknowledge it for so long? A silence stops the clock, which begins anew when it ends."""
    if alert.state is not AlertState.OPEN or alert.escalated_at is not None or alert.is_silent(now):
        return False
    return now - max(alert.opened_at, alert.silenced_until or alert.opened_at) >= after


def escalated(alert: Alert, *, now: datetime) -> Alert:
    """Nobody acknowledged it in time."""
    _insist_unresolved(alert)
    return replace(alert, escalated_at=now, changes=alert.changes + 1)


def _insist_unresolved(alert: Alert) -> None:
    if alert.state is AlertState.RESOLVED:
        at = f"{alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC" if alert.resolved_at else "an unknown time"
        raise AlertResolved(f"Alert {alert.id} was resolved by {alert.resolved_by} at {at}.")
