"""The rows of the store. Times are aware UTC; shares 0..1; money is integer micro-dollars.

Domain values are apart from rows on purpose (see ``docs/adr``): ``repositories`` translates. Tables named in
``WATCHED`` cannot change without an audit event in the same transaction (see ``database``).
"""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Column, Index, MetaData, UniqueConstraint, text
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(SQLModel):
    """All tables of Pinrail; constraint names are fixed so that migrations can name them."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


def _json(*, nullable: bool = False) -> Column[Any]:
    return Column(JSON(none_as_null=True), nullable=nullable)


# -- the ledger and the audit log -----------------------------------------------------------------


class LedgerRow(Base, table=True):
    """One row: the lock every unit of work takes first, the head of the audit chain, the change counter."""

    __tablename__ = "ledger"
    id: int = Field(default=1, primary_key=True)
    audit_seq: int = 0
    audit_hash: str
    serial: int = 0


class AuditRow(Base, table=True):
    """One audit event. A trigger refuses every update and delete."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_subject", "subject", "seq"),)
    seq: int = Field(primary_key=True)
    at: datetime
    kind: str = Field(index=True)
    subject: str
    actor: str
    actor_kind: str
    via: str | None = None
    outcome: str
    reason: str
    before: dict[str, Any] = Field(sa_column=_json())
    after: dict[str, Any] = Field(sa_column=_json())
    hash: str


class IdempotencyRow(Base, table=True):
    """The result of a write that was asked for under a key, so that asking again has no second effect."""

    __tablename__ = "idempotency"
    actor: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_sha256: str
    result: dict[str, Any] = Field(sa_column=_json())
    at: datetime = Field(index=True)


# -- the registry ---------------------------------------------------------------------------------


class ProviderRow(Base, table=True):
    """Somebody who answers requests."""

    __tablename__ = "provider"
    name: str = Field(primary_key=True)
    kind: str
    base_url: str
    secret_env: str | None = None
    description: str = ""
    registered_at: datetime
    registered_by: str


class PromptRow(Base, table=True):
    """An exact prompt text."""

    __tablename__ = "prompt_version"
    name: str = Field(primary_key=True)
    text: str
    sha256: str
    registered_at: datetime
    registered_by: str


class DataVersionRow(Base, table=True):
    """The state of some data that versions were built with."""

    __tablename__ = "data_version"
    name: str = Field(primary_key=True)
    description: str = ""
    sha256: str | None = None
    rows: int | None = Field(default=None, sa_type=BigInteger)
    source: str | None = None
    registered_at: datetime
    registered_by: str


class VersionRow(Base, table=True):
    """One pinned model with its prompt version and parameters; only ``notes`` may change."""

    __tablename__ = "version"
    name: str = Field(primary_key=True)
    provider: str = Field(foreign_key="provider.name", index=True)
    model_id: str
    prompt: str | None = Field(default=None, foreign_key="prompt_version.name")
    parameters: dict[str, Any] = Field(sa_column=_json())
    introduced: date | None = None
    input_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    output_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    capabilities: dict[str, Any] = Field(sa_column=_json())
    notes: str = ""
    pin_class: str
    pin_because: str
    registered_at: datetime
    registered_by: str


class VersionDataRow(Base, table=True):
    """Lineage: a version was built with a data version."""

    __tablename__ = "version_data"
    version: str = Field(primary_key=True, foreign_key="version.name")
    data_version: str = Field(primary_key=True, foreign_key="data_version.name")
    place: int = 0


class KnownIssueRow(Base, table=True):
    """Something wrong with a version."""

    __tablename__ = "known_issue"
    id: int | None = Field(default=None, primary_key=True)
    version: str = Field(foreign_key="version.name", index=True)
    text: str
    added_at: datetime
    added_by: str
    resolved_at: datetime | None = None
    resolved_by: str | None = None


class QuarantineRow(Base, table=True):
    """A version must not begin to serve, because a revision of an alias left it for doing badly."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("alias", "revision"),)
    id: int | None = Field(default=None, primary_key=True)
    version: str = Field(foreign_key="version.name", index=True)
    alias: str = Field(foreign_key="alias.name")
    revision: int
    serial: int
    since: datetime
    by: str
    reason: str
    issue: int = Field(foreign_key="known_issue.id")
    lifted_at: datetime | None = Field(default=None, index=True)
    lifted_by: str | None = None
    lift_reason: str = ""


# -- aliases --------------------------------------------------------------------------------------


class AliasRow(Base, table=True):
    """The head of an alias: its newest revision number, so that one query lists what serves now."""

    __tablename__ = "alias"
    name: str = Field(primary_key=True)
    revision: int


class RevisionRow(Base, table=True):
    """One state of an alias, never changed afterwards."""

    __tablename__ = "alias_revision"
    __table_args__ = (Index("ix_alias_revision_at", "at"),)
    alias: str = Field(primary_key=True, foreign_key="alias.name")
    number: int = Field(primary_key=True)
    serial: int = Field(index=True)
    cause: str
    by: str
    automatic: bool
    at: datetime
    reason: str
    reverts: int | None = None
    stable: str = Field(foreign_key="version.name", index=True)
    fallbacks: list[str] = Field(sa_column=_json())
    description: str
    owner: str | None = None
    protected: bool
    held_by: str | None = None
    held_at: datetime | None = None
    held_reason: str | None = None
    retired: bool


class EvacuationRow(Base, table=True):
    """Somebody moved aliases off a provider, or off a version."""

    __tablename__ = "evacuation"
    id: str = Field(primary_key=True)
    provider: str | None = Field(default=None, foreign_key="provider.name")
    version: str | None = Field(default=None, foreign_key="version.name")
    reason: str
    by: str
    at: datetime


class EvacuationMoveRow(Base, table=True):
    """A revision that belongs to an evacuation, or to the return from it."""

    __tablename__ = "evacuation_move"
    evacuation: str = Field(primary_key=True, foreign_key="evacuation.id")
    alias: str = Field(primary_key=True, foreign_key="alias.name")
    revision: int = Field(primary_key=True)


# -- access ---------------------------------------------------------------------------------------


class PersonRow(Base, table=True):
    """A person with a local account; ``password_hash`` is argon2id."""

    __tablename__ = "person"
    name: str = Field(primary_key=True)
    password_hash: str | None = None
    added_at: datetime
    disabled_at: datetime | None = None


class GrantRow(Base, table=True):
    """A role somebody holds, everywhere (alias is None) or for one alias."""

    __tablename__ = "role_grant"
    __table_args__ = (UniqueConstraint("person", "role", "alias"),)
    id: int | None = Field(default=None, primary_key=True)
    person: str = Field(foreign_key="person.name")
    role: str
    alias: str | None = None
    given_at: datetime
    given_by: str


class SessionRow(Base, table=True):
    """A signed-in browser, known by the SHA-256 of its cookie."""

    __tablename__ = "web_session"
    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="person.name", index=True)
    created_at: datetime
    expires_at: datetime = Field(index=True)
    ended_at: datetime | None = None
    ended_by: str | None = None
    address: str = ""


class TokenRow(Base, table=True):
    """An API token, known by the SHA-256 of its secret; it acts for a person within a scope."""

    __tablename__ = "api_token"
    id: str = Field(primary_key=True)
    name: str
    person: str = Field(foreign_key="person.name", index=True)
    secret_sha256: str
    scope: str
    aliases: list[str] | None = Field(default=None, sa_column=_json(nullable=True))
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class CallerKeyRow(Base, table=True):
    """A key that an application calls the gateway with, known by the SHA-256 of its secret."""

    __tablename__ = "caller_key"
    id: str = Field(primary_key=True)
    caller: str = Field(index=True)
    secret_sha256: str
    aliases: list[str] | None = Field(default=None, sa_column=_json(nullable=True))
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class AttemptRow(Base, table=True):
    """A failed sign-in, kept as long as it counts against further attempts."""

    __tablename__ = "sign_in_attempt"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    address: str = Field(index=True)
    at: datetime = Field(index=True)


# -- gateways -------------------------------------------------------------------------------------


class ReplicaRow(Base, table=True):
    """A gateway process and the newest change it routes by."""

    __tablename__ = "replica"
    id: str = Field(primary_key=True)
    name: str
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None = None
    applied_serial: int = 0
    dropped: int = 0


class AcknowledgementRow(Base, table=True):
    """A gateway routes by this change (and all before it) since ``at``."""

    __tablename__ = "acknowledgement"
    replica: str = Field(primary_key=True, foreign_key="replica.id")
    serial: int = Field(primary_key=True)
    at: datetime = Field(index=True)


class WindowRow(Base, table=True):
    """What one replica saw of one version behind one alias in one window. Absolute, so a retry counts once."""

    __tablename__ = "traffic_window"
    alias: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    start: datetime = Field(primary_key=True, index=True)
    replica: str = Field(primary_key=True)
    requests: int
    failures: dict[str, int] = Field(sa_column=_json())
    callers: dict[str, int] = Field(sa_column=_json())
    format_checked: int
    format_valid: int
    input_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)
    fell_back: int
    latency_sum_ms: float
    buckets: list[int] = Field(sa_column=_json())


# -- the scheduler --------------------------------------------------------------------------------


class LeaseRow(Base, table=True):
    """Who may run scheduled work now; ``fence`` grows with each new holder."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    fence: int
    expires_at: datetime


class JobRunRow(Base, table=True):
    """One run of a scheduled job: its primary key makes a second claim of the same slot fail."""

    __tablename__ = "job_run"
    job: str = Field(primary_key=True)
    scheduled_for: datetime = Field(primary_key=True)
    holder: str
    fence: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    note: str = ""


# -- alerts ---------------------------------------------------------------------------------------


class SightingRow(Base, table=True):
    """What earlier looks at a condition remember: since when it holds, and when it was last found."""

    __tablename__ = "alert_sighting"
    key: str = Field(primary_key=True)
    since: datetime
    last: datetime


class AlertRow(Base, table=True):
    """One alert as it stands; of those with the same key at most one is not resolved."""

    __tablename__ = "alert"
    __table_args__ = (
        Index(
            "uq_alert_unresolved",
            "key",
            unique=True,
            sqlite_where=text("state <> 'resolved'"),
            postgresql_where=text("state <> 'resolved'"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(index=True)
    watch: str
    severity: str
    title: str
    because: str
    alias: str | None = Field(default=None, index=True)
    owner: str | None = None
    path: str
    state: str = Field(index=True)
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolved_by_person: bool = False
    silenced_until: datetime | None = None
    silenced_by: str | None = None
    escalated_at: datetime | None = None
    changes: int


class AlertChangeRow(Base, table=True):
    """One thing that happened to an alert; ``id`` is the event id that channels are told."""

    __tablename__ = "alert_change"
    __table_args__ = (UniqueConstraint("alert", "number"),)
    id: str = Field(primary_key=True)
    alert: int = Field(foreign_key="alert.id")
    number: int
    did: str
    at: datetime
    by: str
    reason: str


class AlertChannelRow(Base, table=True):
    """Somewhere alerts are sent; secrets are kept as the names of environment variables."""

    __tablename__ = "alert_channel"
    name: str = Field(primary_key=True)
    kind: str
    url: str | None = None
    url_env: str | None = None
    secret_env: str | None = None
    user_env: str | None = None
    sender: str | None = None
    recipients: list[str] = Field(sa_column=_json())
    least: str
    escalations_only: bool
    enabled: bool
    added_at: datetime
    added_by: str


class DeliveryRow(Base, table=True):
    """What one channel is to be told, how often that was tried, and how it went. Without a change it is a test."""

    __tablename__ = "alert_delivery"
    __table_args__ = (
        UniqueConstraint("channel", "event_id"),
        Index("ix_alert_delivery_queue", "state", "channel", "id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    channel: str
    event_id: str
    change: str | None = Field(default=None, foreign_key="alert_change.id", index=True)
    asked_by: str
    state: str
    created_at: datetime = Field(index=True)
    attempts: int = 0
    next_at: datetime
    claim: str | None = None
    claimed_until: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""


WATCHED: frozenset[type[SQLModel]] = frozenset(
    {
        ProviderRow,
        PromptRow,
        DataVersionRow,
        VersionRow,
        VersionDataRow,
        KnownIssueRow,
        AliasRow,
        RevisionRow,
        QuarantineRow,
        EvacuationRow,
        EvacuationMoveRow,
        PersonRow,
        GrantRow,
        TokenRow,
        CallerKeyRow,
        AlertRow,
        AlertChannelRow,
    }
)
"""Rows that no transaction may change without an audit event."""
