"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = {"audit_event": ("seq",), "alias_revision": ("alias", "number")}


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alias")),
    )
    op.create_table(
        "audit_event",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("subject", AutoString(), nullable=False),
        sa.Column("actor", AutoString(), nullable=False),
        sa.Column("actor_kind", AutoString(), nullable=False),
        sa.Column("via", AutoString(), nullable=True),
        sa.Column("outcome", AutoString(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("hash", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_event")),
    )
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_event_kind"), ["kind"], unique=False)
        batch_op.create_index("ix_audit_event_subject", ["subject", "seq"], unique=False)

    op.create_table(
        "caller_key",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("caller", AutoString(), nullable=False),
        sa.Column("secret_sha256", AutoString(), nullable=False),
        sa.Column("aliases", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", AutoString(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_caller_key")),
    )
    with op.batch_alter_table("caller_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_caller_key_caller"), ["caller"], unique=False)

    op.create_table(
        "data_version",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("description", AutoString(), nullable=False),
        sa.Column("sha256", AutoString(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("source", AutoString(), nullable=True),
        sa.Column("registered_at", UTCDateTime(), nullable=False),
        sa.Column("registered_by", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_data_version")),
    )
    op.create_table(
        "idempotency",
        sa.Column("actor", AutoString(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("request_sha256", AutoString(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_at"), ["at"], unique=False)

    op.create_table(
        "job_run",
        sa.Column("job", AutoString(), nullable=False),
        sa.Column("scheduled_for", UTCDateTime(), nullable=False),
        sa.Column("holder", AutoString(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("outcome", AutoString(), nullable=True),
        sa.Column("note", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("job", "scheduled_for", name=op.f("pk_job_run")),
    )
    op.create_table(
        "lease",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("holder", AutoString(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("audit_seq", sa.Integer(), nullable=False),
        sa.Column("audit_hash", AutoString(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    op.create_table(
        "person",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("password_hash", AutoString(), nullable=True),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("disabled_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_person")),
    )
    op.create_table(
        "prompt_version",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.Column("sha256", AutoString(), nullable=False),
        sa.Column("registered_at", UTCDateTime(), nullable=False),
        sa.Column("registered_by", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_prompt_version")),
    )
    op.create_table(
        "provider",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("base_url", AutoString(), nullable=False),
        sa.Column("secret_env", AutoString(), nullable=True),
        sa.Column("description", AutoString(), nullable=False),
        sa.Column("registered_at", UTCDateTime(), nullable=False),
        sa.Column("registered_by", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider")),
    )
    op.create_table(
        "replica",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("stopped_at", UTCDateTime(), nullable=True),
        sa.Column("applied_serial", sa.Integer(), nullable=False),
        sa.Column("dropped", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replica")),
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempt")),
    )
    with op.batch_alter_table("sign_in_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_in_attempt_address"), ["address"], unique=False)
        batch_op.create_index(batch_op.f("ix_sign_in_attempt_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_sign_in_attempt_name"), ["name"], unique=False)

    op.create_table(
        "traffic_window",
        sa.Column("alias", AutoString(), nullable=False),
        sa.Column("version", AutoString(), nullable=False),
        sa.Column("start", UTCDateTime(), nullable=False),
        sa.Column("replica", AutoString(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("failures", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("callers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("format_checked", sa.Integer(), nullable=False),
        sa.Column("format_valid", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("fell_back", sa.Integer(), nullable=False),
        sa.Column("latency_sum_ms", sa.Float(), nullable=False),
        sa.Column("buckets", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("alias", "version", "start", "replica", name=op.f("pk_traffic_window")),
    )
    with op.batch_alter_table("traffic_window", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_traffic_window_start"), ["start"], unique=False)

    op.create_table(
        "acknowledgement",
        sa.Column("replica", AutoString(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["replica"], ["replica.id"], name=op.f("fk_acknowledgement_replica_replica")),
        sa.PrimaryKeyConstraint("replica", "serial", name=op.f("pk_acknowledgement")),
    )
    with op.batch_alter_table("acknowledgement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_acknowledgement_at"), ["at"], unique=False)

    op.create_table(
        "api_token",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column("secret_sha256", AutoString(), nullable=False),
        sa.Column("scope", AutoString(), nullable=False),
        sa.Column("aliases", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", AutoString(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name=op.f("fk_api_token_person_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_person"), ["person"], unique=False)

    op.create_table(
        "role_grant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column("role", AutoString(), nullable=False),
        sa.Column("alias", AutoString(), nullable=True),
        sa.Column("given_at", UTCDateTime(), nullable=False),
        sa.Column("given_by", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name=op.f("fk_role_grant_person_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
        sa.UniqueConstraint("person", "role", "alias", name=op.f("uq_role_grant_person")),
    )
    op.create_table(
        "version",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("provider", AutoString(), nullable=False),
        sa.Column("model_id", AutoString(), nullable=False),
        sa.Column("prompt", AutoString(), nullable=True),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("introduced", sa.Date(), nullable=True),
        sa.Column("input_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("output_microdollars", sa.BigInteger(), nullable=True),
        sa.Column("capabilities", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("notes", AutoString(), nullable=False),
        sa.Column("pin_class", AutoString(), nullable=False),
        sa.Column("pin_because", AutoString(), nullable=False),
        sa.Column("registered_at", UTCDateTime(), nullable=False),
        sa.Column("registered_by", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["prompt"], ["prompt_version.name"], name=op.f("fk_version_prompt_prompt_version")),
        sa.ForeignKeyConstraint(["provider"], ["provider.name"], name=op.f("fk_version_provider_provider")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_version")),
    )
    with op.batch_alter_table("version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_version_provider"), ["provider"], unique=False)

    op.create_table(
        "web_session",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("ended_by", AutoString(), nullable=True),
        sa.Column("address", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name=op.f("fk_web_session_person_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_session")),
    )
    with op.batch_alter_table("web_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_web_session_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_web_session_person"), ["person"], unique=False)

    op.create_table(
        "alias_revision",
        sa.Column("alias", AutoString(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("cause", AutoString(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("reverts", sa.Integer(), nullable=True),
        sa.Column("stable", AutoString(), nullable=False),
        sa.Column("fallbacks", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("description", AutoString(), nullable=False),
        sa.Column("owner", AutoString(), nullable=True),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("held_by", AutoString(), nullable=True),
        sa.Column("held_at", UTCDateTime(), nullable=True),
        sa.Column("held_reason", AutoString(), nullable=True),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["alias"], ["alias.name"], name=op.f("fk_alias_revision_alias_alias")),
        sa.ForeignKeyConstraint(["stable"], ["version.name"], name=op.f("fk_alias_revision_stable_version")),
        sa.PrimaryKeyConstraint("alias", "number", name=op.f("pk_alias_revision")),
    )
    with op.batch_alter_table("alias_revision", schema=None) as batch_op:
        batch_op.create_index("ix_alias_revision_at", ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_alias_revision_serial"), ["serial"], unique=False)
        batch_op.create_index(batch_op.f("ix_alias_revision_stable"), ["stable"], unique=False)

    op.create_table(
        "known_issue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("added_by", AutoString(), nullable=False),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.Column("resolved_by", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(["version"], ["version.name"], name=op.f("fk_known_issue_version_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_issue")),
    )
    with op.batch_alter_table("known_issue", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_known_issue_version"), ["version"], unique=False)

    op.create_table(
        "version_data",
        sa.Column("version", AutoString(), nullable=False),
        sa.Column("data_version", AutoString(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_version"], ["data_version.name"], name=op.f("fk_version_data_data_version_data_version")
        ),
        sa.ForeignKeyConstraint(["version"], ["version.name"], name=op.f("fk_version_data_version_version")),
        sa.PrimaryKeyConstraint("version", "data_version", name=op.f("pk_version_data")),
    )
    _make_append_only()
    _start_ledger()


def _make_append_only() -> None:
    """What was said stays said: neither the audit log nor the history of an alias can be edited or cut."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, key in APPEND_ONLY.items():
        if sqlite:
            # INSERT OR REPLACE removes a row without asking the trigger that refuses removal.
            same = " AND ".join(f"{column} = NEW.{column}" for column in key)
            op.execute(
                f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608  # names of ours
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        else:
            op.execute(
                f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
            )


def _start_ledger() -> None:
    ledger = sa.table("ledger", *(sa.column(name) for name in ("id", "audit_seq", "audit_hash", "serial")))
    op.bulk_insert(ledger, [{"id": 1, "audit_seq": 0, "audit_hash": "0" * 64, "serial": 0}])


def downgrade() -> None:
    raise RuntimeError("There is nothing before the first schema; restore a backup instead.")
