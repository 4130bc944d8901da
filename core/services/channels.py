"""Where alerts are sent: channels are added, changed, removed and tested here. No secret is ever given or kept."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.domain.alert_channels import Channel, checked_channel
from core.domain.permissions import Actor, insist
from core.errors import AlreadyExists, InvalidInput, NothingToChange
from core.services.recording import change, event
from core.store import alerts as rows
from core.store import audit_log
from core.store.alerts import Delivery
from core.store.database import Store
from core.store.tables import AlertChannelRow

MAX_CHANNELS = 50


def channels(store: Store, actor: Actor) -> list[Channel]:
    """Every channel, by name."""
    insist(actor, "alert_channel:read")
    with store.reading() as session:
        return rows.channels(session)


def channel(store: Store, actor: Actor, name: str) -> Channel:
    """One channel; NotFound names the nearest."""
    insist(actor, "alert_channel:read")
    with store.reading() as session:
        return rows.channel(session, name)


def add_channel(store: Store, actor: Actor, new: Channel, *, now: datetime) -> Channel:
    """Add a channel; the same again is no change, another under the same name is AlreadyExists."""
    insist(actor, "alert_channel:write")
    checked_channel(new)
    said = event(actor, "alert_channel.added", _subject(new.name), now=now, after=rows.channel_columns(new))
    with change(store, actor, "alert_channel:write", said) as session:
        known = {one.name: one for one in rows.channels(session)}
        if new.name in known:
            if known[new.name] == new:
                return new
            raise AlreadyExists(f"There is an alert channel {new.name} already. Change it, or choose another name.")
        if len(known) >= MAX_CHANNELS:
            raise InvalidInput(f"There are {MAX_CHANNELS} alert channels already; remove one first.")
        session.add(AlertChannelRow(**rows.channel_columns(new), added_at=now, added_by=actor.name))
        audit_log.append(session, said)
        return new


def change_channel(store: Store, actor: Actor, name: str, wanted: Mapping[str, Any], *, now: datetime) -> Channel:
    """Change fields of a channel; an empty text or None clears one. Its kind stays. One turned off is told nothing."""
    attempted = event(actor, "alert_channel.changed", _subject(name), now=now)
    with change(store, actor, "alert_channel:write", attempted) as session:
        old = rows.channel(session, name)
        given: dict[str, Any] = {key: None if value == "" else value for key, value in wanted.items()}
        new = checked_channel(replace(old, **given))
        if new == old:
            raise NothingToChange(f"Alert channel {name} is already like this.")
        row = session.get_one(AlertChannelRow, name)
        before, after = rows.channel_columns(old), rows.channel_columns(new)
        for column, value in after.items():
            setattr(row, column, value)
        if not new.enabled:
            rows.drop_waiting(session, name, "the channel was turned off", now=now)
        audit_log.append(
            session, event(actor, "alert_channel.changed", _subject(name), now=now, before=before, after=after)
        )
        return new


def remove_channel(store: Store, actor: Actor, name: str, *, now: datetime) -> Channel:
    """Remove a channel; what it was still to be told is dropped, what it was told stays in the log."""
    attempted = event(actor, "alert_channel.removed", _subject(name), now=now)
    with change(store, actor, "alert_channel:write", attempted) as session:
        old = rows.channel(session, name)
        rows.drop_waiting(session, name, "the channel was removed", now=now)
        session.delete(session.get_one(AlertChannelRow, name))
        said = event(actor, "alert_channel.removed", _subject(name), now=now, before=rows.channel_columns(old))
        audit_log.append(session, said)
        return old


def test_channel(store: Store, actor: Actor, name: str, *, now: datetime) -> Delivery:
    """Let the scheduler send a test, the same way as an alert; what waits for its turn is tried at once, too."""
    said = event(actor, "alert_channel.tested", _subject(name), now=now)
    with change(store, actor, "alert_channel:write", said) as session:
        if not rows.channel(session, name).enabled:
            raise InvalidInput(f"Alert channel {name} is turned off; turn it on first.")
        queued = rows.queue(session, name, uuid.uuid4().hex, change=None, by=actor.name, now=now)
        rows.hurry(session, name, now=now)
        audit_log.append(session, said)
        return queued


def _subject(name: str) -> str:
    return f"alert_channel:{name}"
