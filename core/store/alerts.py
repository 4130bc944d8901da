"""Alerts, channels and deliveries as rows: read into domain values, written within a unit of work, claimed one by one.

A delivery is put into the queue in the transaction of the change it tells of. Whoever sends it claims it first, by
compare-and-swap, for a short while: two senders never send it at once, and a claim that ran out, because its holder
died between sending and putting that down, lets it be sent again under the same event id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Executable, case, func, or_, select, update
from sqlmodel import Session, col

from core.domain.alert_channels import Channel, Notice
from core.domain.alerts import Alert, AlertState, Did, Severity, Sighting
from core.domain.names import no_such
from core.errors import NotFound
from core.store.database import Store
from core.store.tables import AlertChangeRow, AlertChannelRow, AlertRow, DeliveryRow, SightingRow

WAITING, SENT, GAVE_UP, DROPPED = "waiting", "sent", "gave up", "dropped"
MAX_ID = 2**31 - 1


@dataclass(frozen=True)
class Change:
    """One thing that happened to an alert. ``id`` is its event id."""

    id: str
    alert: int
    number: int
    did: Did
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Delivery:
    """What one channel is to be told, or was. Without ``did`` and ``alert`` it is a test."""

    id: int
    channel: str
    event_id: str
    did: Did | None
    alert: int | None
    asked_by: str
    state: str  # waiting | sent | gave up | dropped
    created_at: datetime
    attempts: int
    next_at: datetime
    ended_at: datetime | None
    note: str


@dataclass(frozen=True)
class Queued:
    """A delivery that was claimed, with what to tell and whom."""

    delivery: Delivery
    channel: Channel
    notice: Notice
    claim: str


# -- alerts ---------------------------------------------------------------------------------------


def alert(session: Session, number: int, *, lock: bool = False) -> Alert:
    """One alert; NotFound when there is none."""
    row = session.get(AlertRow, number, with_for_update=lock or None) if 0 < number <= MAX_ID else None
    if row is None:
        raise NotFound(f"There is no alert {number}.")
    return as_alert(row)


def newest_by_key(session: Session) -> dict[str, Alert]:
    """The newest alert of every key."""
    newest = select(func.max(col(AlertRow.id))).group_by(col(AlertRow.key))
    return {row.key: as_alert(row) for row in session.scalars(select(AlertRow).where(col(AlertRow.id).in_(newest)))}


def alerts(
    session: Session,
    *,
    states: Sequence[AlertState] | None = None,
    alias: str | None = None,
    watch: str | None = None,
    limit: int,
) -> list[Alert]:
    """Alerts that fit: the unresolved ones first, critical before warning, then the newest."""
    where: list[ColumnElement[bool]] = []
    if states is not None:
        where.append(col(AlertRow.state).in_([state.value for state in states]))
    if alias is not None:
        where.append(col(AlertRow.alias) == alias)
    if watch is not None:
        where.append(col(AlertRow.watch) == watch)
    urgency = (
        case((col(AlertRow.state) == AlertState.RESOLVED.value, 1), else_=0),
        case(
            (col(AlertRow.state) == AlertState.RESOLVED.value, 0),
            (col(AlertRow.severity) == Severity.CRITICAL.value, 0),
            else_=1,
        ),
        col(AlertRow.id).desc(),
    )
    rows = session.scalars(select(AlertRow).where(*where).order_by(*urgency).limit(limit))
    return [as_alert(row) for row in rows]


def unresolved(session: Session) -> list[Alert]:
    """Every alert that is not over."""
    rows = session.scalars(select(AlertRow).where(col(AlertRow.state) != AlertState.RESOLVED.value))
    return [as_alert(row) for row in rows]


def changes_of(session: Session, number: int) -> list[Change]:
    """What happened to an alert, the first thing first."""
    rows = select(AlertChangeRow).where(col(AlertChangeRow.alert) == number).order_by(col(AlertChangeRow.number))
    return [_as_change(row) for row in session.scalars(rows)]


def add_alert(session: Session, new: Alert) -> Alert:
    """Keep a new alert; it comes back with its number."""
    row = AlertRow(**{**_columns(new), "id": None})
    session.add(row)
    session.flush()
    return as_alert(row)


def keep_alert(session: Session, changed: Alert) -> None:
    """Keep an alert as it is now."""
    row = session.get_one(AlertRow, changed.id)
    for name, value in _columns(changed).items():
        setattr(row, name, value)


def add_change(session: Session, change: Change) -> None:
    """Keep what happened to an alert."""
    session.add(AlertChangeRow(**{**vars(change), "did": change.did.value}))
    session.flush()


def as_alert(row: AlertRow) -> Alert:
    """The value a row stands for."""
    values = {name: getattr(row, name) for name in Alert.__dataclass_fields__}
    return Alert(**{**values, "severity": Severity(row.severity), "state": AlertState(row.state)})


def _columns(found: Alert) -> dict[str, Any]:
    return {**vars(found), "severity": found.severity.value, "state": found.state.value}


def _as_change(row: AlertChangeRow) -> Change:
    return Change(row.id, row.alert, row.number, Did(row.did), row.at, row.by, row.reason)


# -- sightings ------------------------------------------------------------------------------------


def sightings(session: Session) -> dict[str, Sighting]:
    """All that earlier looks remember, by key."""
    return {row.key: Sighting(row.key, row.since, row.last) for row in session.scalars(select(SightingRow))}


def remember(session: Session, key: str, seen: Sighting | None) -> None:
    """Keep what a look remembers of a key, or forget it."""
    row = session.get(SightingRow, key)
    if seen is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(SightingRow(key=key, since=seen.since, last=seen.last))
    else:
        row.since, row.last = seen.since, seen.last


# -- channels -------------------------------------------------------------------------------------


def channels(session: Session) -> list[Channel]:
    """Every channel, by name."""
    return [as_channel(row) for row in session.scalars(select(AlertChannelRow).order_by(col(AlertChannelRow.name)))]


def channel(session: Session, name: str) -> Channel:
    """One channel; NotFound names the nearest."""
    known = {one.name: one for one in channels(session)}
    if name not in known:
        raise NotFound(no_such("alert channel", name, known))
    return known[name]


def as_channel(row: AlertChannelRow) -> Channel:
    """The value a row stands for."""
    values = {name: getattr(row, name) for name in Channel.__dataclass_fields__}
    return Channel(**{**values, "recipients": tuple(row.recipients), "least": Severity(row.least)})


def channel_columns(found: Channel) -> dict[str, Any]:
    """A channel as columns."""
    return {**vars(found), "recipients": list(found.recipients), "least": found.least.value}


# -- the queue ------------------------------------------------------------------------------------


def heard_of(session: Session, number: int) -> frozenset[str]:
    """The channels that were, or will be, told of an alert."""
    told = (
        select(col(DeliveryRow.channel))
        .join(AlertChangeRow, col(AlertChangeRow.id) == col(DeliveryRow.change))
        .where(col(AlertChangeRow.alert) == number, col(DeliveryRow.state) != DROPPED)
    )
    return frozenset(session.scalars(told))


def queue(session: Session, channel: str, event_id: str, *, change: str | None, by: str, now: datetime) -> Delivery:
    """Let a channel be told, after all that it is still to be told."""
    row = DeliveryRow(
        channel=channel, event_id=event_id, change=change, asked_by=by, state=WAITING, created_at=now, next_at=now
    )
    session.add(row)
    session.flush()
    return as_delivery(row, None)


def hurry(session: Session, channel: str, *, now: datetime) -> None:
    """Let the channel be tried at once, whatever it waits for."""
    waiting = (col(DeliveryRow.channel) == channel, col(DeliveryRow.state) == WAITING)
    session.execute(update(DeliveryRow).where(*waiting, col(DeliveryRow.next_at) > now).values(next_at=now))


def drop_waiting(session: Session, channel: str, because: str, *, now: datetime) -> None:
    """A channel that was removed or turned off is not told any more."""
    waiting = (col(DeliveryRow.channel) == channel, col(DeliveryRow.state) == WAITING)
    session.execute(update(DeliveryRow).where(*waiting).values(state=DROPPED, ended_at=now, note=because))


def waiting_channels(store: Store) -> list[str]:
    """The channels that have something to be told."""
    names = select(col(DeliveryRow.channel)).where(col(DeliveryRow.state) == WAITING).distinct()
    with store.reading() as session:
        return sorted(session.scalars(names))


def claim_next(store: Store, name: str, *, claim: str, lasts: timedelta, base_url: str, now: datetime) -> Queued | None:
    """Claim the oldest delivery of a channel; None while it is not due, or somebody else is at it.

    Only the oldest may be sent, so that a channel hears everything in its order.
    """
    with store.writing() as session:
        oldest = select(func.min(col(DeliveryRow.id))).where(
            col(DeliveryRow.channel) == name, col(DeliveryRow.state) == WAITING
        )
        first = session.scalars(oldest).one_or_none()
        if first is None:
            return None
        free = or_(col(DeliveryRow.claimed_until).is_(None), col(DeliveryRow.claimed_until) <= now)
        due = (col(DeliveryRow.id) == first, col(DeliveryRow.state) == WAITING, col(DeliveryRow.next_at) <= now, free)
        taken = update(DeliveryRow).where(*due).values(
            claim=claim, claimed_until=now + lasts, attempts=col(DeliveryRow.attempts) + 1
        )  # fmt: skip
        if not _changed(session, taken):
            return None
        row = session.get_one(DeliveryRow, first, populate_existing=True)
        return _queued(session, row, claim, base_url)


def _queued(session: Session, row: DeliveryRow, claim: str, base_url: str) -> Queued:
    to = as_channel(session.get_one(AlertChannelRow, row.channel))
    change = session.get_one(AlertChangeRow, row.change) if row.change is not None else None
    delivery = as_delivery(row, change)
    if change is None:
        test = Notice(row.event_id, "test", row.created_at, row.asked_by, "", f"{base_url}/alerts")
        return Queued(delivery, to, test, claim)
    about = as_alert(session.get_one(AlertRow, change.alert))
    notice = Notice(
        row.event_id, f"alert.{change.did}", change.at, change.by, change.reason, base_url + about.path, about
    )
    return Queued(delivery, to, notice, claim)


def settle(
    store: Store, queued: Queued, state: str, note: str, *, next_at: datetime | None = None, now: datetime
) -> bool:
    """Put down how an attempt ended; False, and nothing is put down, when the claim is not ours any more."""
    ours = (col(DeliveryRow.id) == queued.delivery.id, col(DeliveryRow.claim) == queued.claim)
    values: dict[str, object] = {"state": state, "note": note, "claim": None, "claimed_until": None}
    if next_at is not None:
        values["next_at"] = next_at
    if state != WAITING:
        values["ended_at"] = now
    with store.writing() as session:
        return _changed(session, update(DeliveryRow).where(*ours, col(DeliveryRow.state) == WAITING).values(**values))


def deliveries(
    session: Session, *, channel: str | None = None, alert: int | None = None, limit: int
) -> list[tuple[Delivery, Alert | None]]:
    """What channels were told and are to be told, newest first, each with its alert."""
    query = (
        select(DeliveryRow, AlertChangeRow, AlertRow)
        .outerjoin(AlertChangeRow, col(AlertChangeRow.id) == col(DeliveryRow.change))
        .outerjoin(AlertRow, col(AlertRow.id) == col(AlertChangeRow.alert))
        .order_by(col(DeliveryRow.id).desc())
    )
    if channel is not None:
        query = query.where(col(DeliveryRow.channel) == channel)
    if alert is not None:
        query = query.where(col(AlertRow.id) == alert)
    found = session.execute(query.limit(limit))
    return [(as_delivery(row, change), as_alert(about) if about is not None else None) for row, change, about in found]


def as_delivery(row: DeliveryRow, change: AlertChangeRow | None) -> Delivery:
    """The value a row stands for."""
    assert row.id is not None
    return Delivery(
        row.id,
        row.channel,
        row.event_id,
        Did(change.did) if change is not None else None,
        change.alert if change is not None else None,
        row.asked_by,
        row.state,
        row.created_at,
        row.attempts,
        row.next_at,
        row.ended_at,
        row.note,
    )


def _changed(session: Session, statement: Executable) -> bool:
    return cast("CursorResult[object]", session.execute(statement)).rowcount == 1
