"""Quarantine: versions that an alias left for doing badly."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
