"""What was wrong with replies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "flags",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("request_id", "flag")),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "flag", name="pk_flags"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_flags_at_ms", "flags", ["at_ms"])
