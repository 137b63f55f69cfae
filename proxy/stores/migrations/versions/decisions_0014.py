"""The decision that chose where a call went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column; SQLite rewrites no row for it."""
    op.add_column("attempts", sa.Column("decision", sa.Text(), nullable=False, server_default=""))
