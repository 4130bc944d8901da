"""Alerts: what was found, what happened to it, where it is sent, and how that went."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _alerts()
    _channels()
    _deliveries()


def _alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("watch", AutoString(), nullable=False),
        sa.Column("severity", AutoString(), nullable=False),
        sa.Column("title", AutoString(), nullable=False),
        sa.Column("because", AutoString(), nullable=False),
        sa.Column("alias", AutoString(), nullable=True),
        sa.Column("owner", AutoString(), nullable=True),
        sa.Column("path", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("acknowledged_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_by", AutoString(), nullable=True),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.Column("resolved_by", AutoString(), nullable=True),
        sa.Column("resolved_by_person", sa.Boolean(), nullable=False),
        sa.Column("silenced_until", UTCDateTime(), nullable=True),
        sa.Column("silenced_by", AutoString(), nullable=True),
        sa.Column("escalated_at", UTCDateTime(), nullable=True),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_alias"), ["alias"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_key"), ["key"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_state"), ["state"], unique=False)
        batch_op.create_index(
            "uq_alert_unresolved",
            ["key"],
            unique=True,
            sqlite_where=sa.text("state <> 'resolved'"),
            postgresql_where=sa.text("state <> 'resolved'"),
        )


def _channels() -> None:
    op.create_table(
        "alert_channel",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("url", AutoString(), nullable=True),
        sa.Column("url_env", AutoString(), nullable=True),
        sa.Column("secret_env", AutoString(), nullable=True),
        sa.Column("user_env", AutoString(), nullable=True),
        sa.Column("sender", AutoString(), nullable=True),
        sa.Column("recipients", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("least", AutoString(), nullable=False),
        sa.Column("escalations_only", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("added_by", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alert_channel")),
    )
    op.create_table(
        "alert_sighting",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("last", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alert_sighting")),
    )
    op.create_table(
        "alert_change",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("alert", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("did", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"], name=op.f("fk_alert_change_alert_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_change")),
        sa.UniqueConstraint("alert", "number", name=op.f("uq_alert_change_alert")),
    )


def _deliveries() -> None:
    op.create_table(
        "alert_delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", AutoString(), nullable=False),
        sa.Column("event_id", AutoString(), nullable=False),
        sa.Column("change", AutoString(), nullable=True),
        sa.Column("asked_by", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=False),
        sa.Column("claim", AutoString(), nullable=True),
        sa.Column("claimed_until", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("note", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["change"], ["alert_change.id"], name=op.f("fk_alert_delivery_change_alert_change")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_delivery")),
        sa.UniqueConstraint("channel", "event_id", name=op.f("uq_alert_delivery_channel")),
    )
    with op.batch_alter_table("alert_delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_delivery_change"), ["change"], unique=False)
        batch_op.create_index(batch_op.f("ix_alert_delivery_created_at"), ["created_at"], unique=False)
        batch_op.create_index("ix_alert_delivery_queue", ["state", "channel", "id"], unique=False)


def downgrade() -> None:
    for table in ("alert_delivery", "alert_change", "alert_sighting", "alert_channel", "alert"):
        op.drop_table(table)
