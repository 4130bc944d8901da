"""Quarantine of versions that an alias left for doing badly, and evacuations of providers and versions."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _quarantine()
    _evacuations()


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", AutoString(), nullable=False),
        sa.Column("alias", AutoString(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("issue", sa.Integer(), nullable=False),
        sa.Column("lifted_at", UTCDateTime(), nullable=True),
        sa.Column("lifted_by", AutoString(), nullable=True),
        sa.Column("lift_reason", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["version.name"], name=op.f("fk_quarantine_version_version")),
        sa.ForeignKeyConstraint(["alias"], ["alias.name"], name=op.f("fk_quarantine_alias_alias")),
        sa.ForeignKeyConstraint(["issue"], ["known_issue.id"], name=op.f("fk_quarantine_issue_known_issue")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("alias", "revision", name=op.f("uq_quarantine_alias")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_lifted_at"), ["lifted_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_quarantine_version"), ["version"], unique=False)


def _evacuations() -> None:
    op.create_table(
        "evacuation",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("provider", AutoString(), nullable=True),
        sa.Column("version", AutoString(), nullable=True),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["provider"], ["provider.name"], name=op.f("fk_evacuation_provider_provider")),
        sa.ForeignKeyConstraint(["version"], ["version.name"], name=op.f("fk_evacuation_version_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evacuation")),
    )
    op.create_table(
        "evacuation_move",
        sa.Column("evacuation", AutoString(), nullable=False),
        sa.Column("alias", AutoString(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evacuation"], ["evacuation.id"], name=op.f("fk_evacuation_move_evacuation_evacuation")
        ),
        sa.ForeignKeyConstraint(["alias"], ["alias.name"], name=op.f("fk_evacuation_move_alias_alias")),
        sa.PrimaryKeyConstraint("evacuation", "alias", "revision", name=op.f("pk_evacuation_move")),
    )
