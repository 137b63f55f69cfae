"""What providers billed beside what the ledger has, and corrections beside its rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DAY = ("provider", "tenant", "day")


def upgrade() -> None:
    """Add both tables, empty."""
    for table, columns in (
        ("bill_days", [_text("value")]),
        (
            "bill_corrections",
            [*(sa.Column(name, INT, nullable=False) for name in ("at_ms", "delta_pusd")), _text("cause")],
        ),
    ):
        key = sa.PrimaryKeyConstraint(*DAY, name=f"pk_{table}")
        op.create_table(table, *map(_text, DAY), *columns, key, sqlite_strict=True, sqlite_with_rowid=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)
