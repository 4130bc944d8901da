"""What runs and what happened, as it is shown: gateways, the status of everything, the audit log."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from app.api.shapes.common import View
from core.domain.events import Event
from core.domain.receipts import Replica

if TYPE_CHECKING:  # the command line on a laptop needs the views and no database
    from core.store.read_models import AliasSummary, Overview


class ReplicaView(View):
    """A gateway process as the store knows it."""

    id: str
    name: str
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    applied_serial: int = Field(description="It routes by this change and all before it.")
    dropped: int = Field(description="Outcomes it could not count because its queue was full.")
    live: bool = Field(description="Heard of lately, and did not say good-bye.")

    @classmethod
    def from_domain(cls, replica: Replica, *, now: datetime) -> Self:
        """The view of a gateway at ``now``."""
        return cls(**vars(replica), live=replica.is_live(now))


class AliasStatusView(View):
    """One alias with its last five minutes. Figures are null (blind) while there is nothing to read them from."""

    alias: str
    revision: int
    version: str
    condition: str = Field(description="healthy, degraded, unknown or retired.")
    because: str
    held: bool
    protected: bool
    requests_per_minute: float
    error_rate: float | None
    format_validity: float | None
    latency_p95_ms: float | None
    moved_cause: str
    moved_by: str
    moved_at: datetime

    @classmethod
    def from_domain(cls, summary: "AliasSummary") -> Self:
        """The view of an alias on the overview."""
        revision, counts = summary.revision, summary.serving
        return cls(
            alias=revision.alias,
            revision=revision.number,
            version=revision.state.stable,
            condition=summary.condition.word,
            because=summary.condition.because,
            held=revision.state.hold is not None,
            protected=revision.state.protected,
            requests_per_minute=summary.traffic.per_minute,
            error_rate=counts.error_rate,
            format_validity=counts.format_validity,
            latency_p95_ms=counts.latency_ms(0.95),
            moved_cause=summary.moved.cause.value,
            moved_by=summary.moved.by,
            moved_at=summary.moved.at,
        )


class StatusView(View):
    """Everything at a glance; aliases that need attention come first."""

    aliases: tuple[AliasStatusView, ...]
    gateways: tuple[ReplicaView, ...]
    changes_last_day: int
    last_change: datetime | None
    providers: int
    versions: int

    @classmethod
    def from_domain(cls, overview: "Overview", *, now: datetime) -> Self:
        """The view of the overview at ``now``."""
        return cls(
            aliases=tuple(AliasStatusView.from_domain(summary) for summary in overview.aliases),
            gateways=tuple(ReplicaView.from_domain(replica, now=now) for replica in overview.replicas),
            changes_last_day=overview.changes_last_day,
            last_change=overview.last_change,
            providers=overview.providers,
            versions=overview.versions,
        )


# -- the audit log --------------------------------------------------------------------------------


class AuditEventView(View):
    """One thing that was done or refused. `before` and `after` hold only what changed."""

    seq: int
    at: datetime
    kind: str
    subject: str
    actor: str
    actor_kind: str
    via: str | None
    outcome: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    hash: str = Field(description="Binds the event to all before it.")

    @classmethod
    def from_domain(cls, event: Event, *, seq: int, hash: str) -> Self:
        """The view of audit event number ``seq``."""
        facts = {**vars(event), "before": dict(event.before), "after": dict(event.after)}
        return cls(**facts, seq=seq, hash=hash)


class AuditHeadView(View):
    """The length of the audit log and the hash of its newest event. Note it elsewhere to prove the log later."""

    events: int
    head: str
