"""What calls have saved that were served with the reply to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

ROLLUPS = ("rollup_minutes", "rollup_hours", "rollup_days")
INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the column; SQLite rewrites no row for it."""
    for table in ("attempts", "sums", "sums_by_day", "sums_by_session", "sums_by_quarter", *ROLLUPS):
        op.add_column(table, sa.Column("saved_pusd", INT, nullable=False, server_default="0"))
