"""Alerts over HTTP: what is open, taking and silencing it, the channels that are told, and what they were told."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.asking import Asking, AskingNow, WritingNow
from app.api.doors import WRITES, door
from app.api.shapes import (
    AddChannel,
    AlertView,
    ChangeChannel,
    ChannelView,
    DeliveryView,
    HandleAlert,
    Page,
    SilenceAlert,
)
from core import errors
from core.domain.alerts import Alert, AlertState
from core.services import alerting, channels

router = APIRouter()

Number = Annotated[int, Path(alias="alert", ge=1, le=2**31 - 1, description="The number of the alert.")]
ChannelName = Annotated[str, Path(alias="channel", max_length=64, description="The name of the channel.")]
Limit = Annotated[int, Query(ge=1, le=alerting.MAX_LIST)]
HANDLES = (*WRITES, errors.NotFound, errors.AlertResolved, errors.NothingToChange)


def _view(at: Asking, alert: Alert) -> AlertView:
    return AlertView.from_domain(alert, base_url=at.pinrail.settings.base_url, now=at.now)


# -- alerts ---------------------------------------------------------------------------------------


@router.get("/alerts", tags=["alerts"], **door("alert:read"))
def list_alerts(
    at: AskingNow,
    state: Annotated[list[AlertState] | None, Query(description="May be given more than once.")] = None,
    alias: Annotated[str | None, Query(max_length=64)] = None,
    watch: Annotated[str | None, Query(max_length=64, description="Such as `alias-degraded`.")] = None,
    limit: Limit = 100,
) -> Page[AlertView]:
    """List alerts: those that are not resolved first, critical ones before warnings, then the newest."""
    found = alerting.alert_list(at.store, at.actor, states=state, alias=alias, watch=watch, limit=limit)
    return Page(items=tuple(_view(at, alert) for alert in found))


@router.get("/alerts/{alert}", tags=["alerts"], **door("alert:read", errors.NotFound))
def get_alert(at: AskingNow, number: Number) -> AlertView:
    """See one alert, what happened to it, and who was told."""
    found = alerting.story(at.store, at.actor, number)
    return AlertView.from_domain(found.alert, base_url=at.pinrail.settings.base_url, now=at.now, story=found)


@router.post("/alerts/{alert}/acknowledge", tags=["alerts"], **door("alert:handle", *HANDLES))
def acknowledge_alert(at: WritingNow, number: Number, body: HandleAlert) -> AlertView:
    """Say that you look after an alert, so that it is not escalated."""

    def work() -> AlertView:
        return _view(at, alerting.acknowledge(at.store, at.actor, number, reason=body.reason, now=at.now))

    return at.once(body, AlertView, work)


@router.post("/alerts/{alert}/resolve", tags=["alerts"], **door("alert:handle", *HANDLES))
def resolve_alert(at: WritingNow, number: Number, body: HandleAlert) -> AlertView:
    """Say that an alert is over. If its condition holds on, a new one is raised after a quarter of an hour."""

    def work() -> AlertView:
        return _view(at, alerting.resolve(at.store, at.actor, number, reason=body.reason, now=at.now))

    return at.once(body, AlertView, work)


@router.post("/alerts/{alert}/silence", tags=["alerts"], **door("alert:handle", *HANDLES))
def silence_alert(at: WritingNow, number: Number, body: SilenceAlert) -> AlertView:
    """Let nobody be told of an alert's condition until then, for 30 days at most; null ends a silence."""

    def work() -> AlertView:
        done = alerting.silence(at.store, at.actor, number, until=body.until, reason=body.reason, now=at.now)
        return _view(at, done)

    return at.once(body, AlertView, work)


# -- channels -------------------------------------------------------------------------------------


@router.get("/alert-channels", tags=["alert channels"], **door("alert_channel:read"))
def list_alert_channels(at: AskingNow) -> Page[ChannelView]:
    """List where alerts are sent, by name."""
    return Page(items=tuple(ChannelView.from_domain(c) for c in channels.channels(at.store, at.actor)))


@router.get("/alert-channels/{channel}", tags=["alert channels"], **door("alert_channel:read", errors.NotFound))
def get_alert_channel(at: AskingNow, name: ChannelName) -> ChannelView:
    """See one channel."""
    return ChannelView.from_domain(channels.channel(at.store, at.actor, name))


@router.post(
    "/alert-channels",
    tags=["alert channels"],
    status_code=201,
    **door("alert_channel:write", *WRITES, errors.AlreadyExists),
)
def add_alert_channel(at: WritingNow, body: AddChannel) -> ChannelView:
    """Add a channel. Adding the same again changes nothing."""

    def work() -> ChannelView:
        return ChannelView.from_domain(channels.add_channel(at.store, at.actor, body.to_domain(), now=at.now))

    return at.once(body, ChannelView, work)


@router.patch(
    "/alert-channels/{channel}",
    tags=["alert channels"],
    **door("alert_channel:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def change_alert_channel(at: WritingNow, name: ChannelName, body: ChangeChannel) -> ChannelView:
    """Change a channel; what is left out stays. One that is turned off is told nothing, and not later either."""

    def work() -> ChannelView:
        done = channels.change_channel(at.store, at.actor, name, body.wanted(), now=at.now)
        return ChannelView.from_domain(done)

    return at.once(body, ChannelView, work)


@router.delete(
    "/alert-channels/{channel}", tags=["alert channels"], **door("alert_channel:write", *WRITES, errors.NotFound)
)
def remove_alert_channel(at: WritingNow, name: ChannelName) -> ChannelView:
    """Remove a channel; what it was told stays in the log."""

    def work() -> ChannelView:
        return ChannelView.from_domain(channels.remove_channel(at.store, at.actor, name, now=at.now))

    return at.once(None, ChannelView, work)


@router.post(
    "/alert-channels/{channel}/test", tags=["alert channels"], **door("alert_channel:write", *WRITES, errors.NotFound)
)
def test_alert_channel(at: WritingNow, name: ChannelName) -> DeliveryView:
    """Let the scheduler send a test. `GET /alert-deliveries` says how that went."""

    def work() -> DeliveryView:
        return DeliveryView.from_domain(channels.test_channel(at.store, at.actor, name, now=at.now))

    return at.once(None, DeliveryView, work)


@router.get("/alert-deliveries", tags=["alert channels"], **door("alert:read"))
def list_alert_deliveries(
    at: AskingNow,
    channel: Annotated[str | None, Query(max_length=64)] = None,
    alert: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Limit = 100,
) -> Page[DeliveryView]:
    """List what channels were told and are to be told, newest first."""
    found = alerting.delivery_list(at.store, at.actor, channel=channel, alert=alert, limit=limit)
    return Page(items=tuple(DeliveryView.from_domain(delivery) for delivery in found))
