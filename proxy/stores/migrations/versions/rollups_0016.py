"""Roll-ups by minute, hour and day; what there is already is brought in by the ledger's writer, bit by bit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

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
TIMES = ("first_token_ms", "total_ms")
STATE = ("folded", "filled_seq", "fill_until_seq")


def upgrade() -> None:
    """New tables, and up to where older rows have to be brought in."""
    for name, key in (
        ("rollup_minutes", ("minute",)),
        ("rollup_hours", ("cube", "hour")),
        ("rollup_days", ("cube", "day")),
    ):
        op.create_table(
            name,
            *(sa.Column(column, INT, nullable=False) for column in key),
            *(sa.Column(column, sa.Text(), nullable=False) for column in NAMES),
            *(sa.Column(column, INT, nullable=False) for column in COUNTERS),
            *(sa.Column(column, sa.Text(), nullable=False) for column in TIMES),
            sa.PrimaryKeyConstraint(*key, *NAMES, name=f"pk_{name}"),
            sqlite_strict=True,
            sqlite_with_rowid=False,
        )
    op.create_table(
        "rollup_state",
        sa.Column("one", INT, primary_key=True, autoincrement=False),
        *(sa.Column(column, INT, nullable=False) for column in STATE),
        sa.CheckConstraint("one = 1", name="ck_rollup_state_one"),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO rollup_state SELECT 1, min(coalesce(max(at_ms), 0) / 60000, strftime('%s', 'now') / 60), 0, "
        "coalesce(max(seq), 0) FROM attempts"
    )
