"""Alerts as they are shown and asked for: alerts, what happened to them, channels, and what those were told."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from app.api.shapes.bodies import Body, Reason, Slug, Until
from app.api.shapes.common import View
from core.domain.alert_channels import CHANNEL_KINDS, Channel
from core.domain.alerts import Alert, Severity

if TYPE_CHECKING:  # the command line on a laptop needs the views and no database
    from core.services.alerting import Story
    from core.store.alerts import Change, Delivery


class AlertChangeView(View):
    """One thing that happened to an alert."""

    event_id: str = Field(description="What channels are told as the event id.")
    did: str = Field(description="raised, acknowledged, escalated, silenced, unsilenced or resolved.")
    at: datetime
    by: str
    reason: str

    @classmethod
    def from_domain(cls, change: "Change") -> Self:
        """The view of a change."""
        return cls(event_id=change.id, did=change.did.value, at=change.at, by=change.by, reason=change.reason)


class DeliveryView(View):
    """What a channel was told, or is to be told."""

    id: int
    channel: str
    event_id: str
    event: str = Field(description="What happened to the alert, or test.")
    alert: int | None = Field(description="Null for a test.")
    state: str = Field(description="waiting, sent, gave up or dropped.")
    created_at: datetime
    attempts: int
    next_at: datetime | None = Field(description="When it is tried next; null once it is over.")
    ended_at: datetime | None
    note: str = Field(description="What the channel answered, or why it could not be told.")

    @classmethod
    def from_domain(cls, delivery: "Delivery") -> Self:
        """The view of a delivery."""
        return cls(
            id=delivery.id,
            channel=delivery.channel,
            event_id=delivery.event_id,
            event=delivery.did.value if delivery.did else "test",
            alert=delivery.alert,
            state=delivery.state,
            created_at=delivery.created_at,
            attempts=delivery.attempts,
            next_at=delivery.next_at if delivery.ended_at is None else None,
            ended_at=delivery.ended_at,
            note=delivery.note,
        )


class AlertView(View):
    """One alert: a condition that held, and whether somebody looks after it."""

    id: int
    key: str = Field(description="Names the condition; of alerts with the same key one at most is not resolved.")
    watch: str
    severity: str = Field(description="critical or warning.")
    state: str = Field(description="open, acknowledged or resolved.")
    title: str
    because: str
    alias: str | None
    owner: str | None
    link: str = Field(description="Where to look and act.")
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    silenced_until: datetime | None = Field(description="Null when it is not silenced.")
    escalated_at: datetime | None
    changes: tuple[AlertChangeView, ...] | None = Field(None, description="The first thing first; null in lists.")
    deliveries: tuple[DeliveryView, ...] | None = Field(None, description="The first one first; null in lists.")

    @classmethod
    def from_domain(cls, alert: Alert, *, base_url: str, now: datetime, story: "Story | None" = None) -> Self:
        """The view of an alert at ``now``, with its story where that is wanted."""
        return cls(
            id=alert.id,
            key=alert.key,
            watch=alert.watch,
            severity=alert.severity.value,
            state=alert.state.value,
            title=alert.title,
            because=alert.because,
            alias=alert.alias,
            owner=alert.owner,
            link=base_url + alert.path,
            opened_at=alert.opened_at,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=alert.acknowledged_by,
            resolved_at=alert.resolved_at,
            resolved_by=alert.resolved_by,
            silenced_until=alert.silenced_until if alert.is_silent(now) else None,
            escalated_at=alert.escalated_at,
            changes=None if story is None else tuple(AlertChangeView.from_domain(c) for c in story.changes),
            deliveries=None if story is None else tuple(DeliveryView.from_domain(d) for d in story.deliveries),
        )


class ChannelView(View):
    """Somewhere alerts are sent. What is secret stands in an environment variable of the scheduler's process."""

    name: str
    kind: str
    url: str | None
    url_env: str | None
    secret_env: str | None
    user_env: str | None
    sender: str | None
    recipients: tuple[str, ...]
    least: str = Field(description="The least severity it is told of.")
    escalations_only: bool = Field(description="It is told only of what nobody acknowledged in time.")
    enabled: bool

    @classmethod
    def from_domain(cls, channel: Channel) -> Self:
        """The view of a channel."""
        return cls(**{**vars(channel), "least": channel.least.value})


# -- bodies ---------------------------------------------------------------------------------------

Variable = Annotated[
    str | None, Field(max_length=128, description="The *name* of an environment variable of the scheduler's process.")
]
Mailboxes = Annotated[tuple[str, ...], Field(max_length=20)]


class HandleAlert(Body):
    """Acknowledge or resolve an alert."""

    reason: Reason = ""


class SilenceAlert(Body):
    """Let nobody be told of the alert's condition for a while; null ends a silence."""

    until: Until | None
    reason: Reason = ""


class AddChannel(Body):
    """Add a channel. Which fields it needs hangs on its kind."""

    name: Slug
    kind: str = Field(max_length=64, json_schema_extra={"enum": [kind.name for kind in CHANNEL_KINDS]})
    url: str | None = Field(None, max_length=500, description="Without secrets; `url_env` is for one with.")
    url_env: Variable = None
    secret_env: Variable = None
    user_env: Variable = None
    sender: str | None = Field(None, max_length=320)
    recipients: Mailboxes = ()
    least: Severity = Severity.WARNING
    escalations_only: bool = False
    enabled: bool = True

    def to_domain(self) -> Channel:
        """The channel that is asked for; an empty text is as good as none."""
        given: dict[str, Any] = {key: None if value == "" else value for key, value in dict(self).items()}
        return Channel(**given)


class ChangeChannel(Body):
    """Change a channel; what is left out stays as it is, null clears a text."""

    url: str | None = Field(None, max_length=500)
    url_env: Variable = None
    secret_env: Variable = None
    user_env: Variable = None
    sender: str | None = Field(None, max_length=320)
    recipients: Mailboxes = ()
    least: Severity = Severity.WARNING
    escalations_only: bool = False
    enabled: bool = True

    def wanted(self) -> Mapping[str, Any]:
        """What is to be changed."""
        return {name: getattr(self, name) for name in self.model_fields_set}
