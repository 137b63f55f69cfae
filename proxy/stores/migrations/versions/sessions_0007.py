"""The session and the tags of a call, and sums by session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS = (
    "calls",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pusd",
)
SPENDER = ("key", "provider", "model", "source", "session")


def upgrade() -> None:
    """Add the columns, for which SQLite rewrites no row, and a table."""
    for name in ("session", "tags"):
        op.add_column("attempts", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "sums_by_session",
        sa.Column("quarter", INT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in SPENDER),
        *(sa.Column(name, INT, nullable=False) for name in COUNTERS),
        sa.PrimaryKeyConstraint("quarter", *SPENDER, name="pk_sums_by_session"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
