"""Roll-ups of the tools that calls defined; what there was before says nothing of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PLACE = ("key", "tool", "tenant", "provider", "model")


def upgrade() -> None:
    """A table, empty."""
    op.create_table(
        "rollup_tools",
        sa.Column("day", INT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in PLACE),
        *(sa.Column(name, INT, nullable=False) for name in ("calls", "called", "tokens", "cached_tokens")),
        sa.PrimaryKeyConstraint("day", *PLACE, name="pk_rollup_tools"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
