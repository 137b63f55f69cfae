"""Roll-ups by session and flag; what there is already is brought in by the ledger's writer, bit by bit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = ("key", "tenant", "provider", "model", "endpoint", "source")
COUNTERS = (
    "calls",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pusd",
    "errors",
    "refused",
)


def upgrade() -> None:
    """A table, and up to where older rows have to be brought in."""
    op.create_table(
        "rollup_labels",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hour", INT, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        *(sa.Column(column, sa.Text(), nullable=False) for column in NAMES),
        *(sa.Column(column, INT, nullable=False) for column in COUNTERS),
        *(sa.Column(column, sa.Text(), nullable=False) for column in ("first_token_ms", "total_ms")),
        sa.Column("saved_pusd", INT, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("kind", "hour", "label", *NAMES, name="pk_rollup_labels"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for column in ("labels_seq", "labels_until_seq"):
        op.add_column("rollup_state", sa.Column(column, INT, nullable=False, server_default="0"))
    op.execute("UPDATE rollup_state SET labels_until_seq = (SELECT coalesce(max(seq), 0) FROM attempts)")
