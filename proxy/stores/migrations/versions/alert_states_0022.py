"""Where alert rules stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """A table."""
    op.create_table(
        "alert_states",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "subject", name="pk_alert_states"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
