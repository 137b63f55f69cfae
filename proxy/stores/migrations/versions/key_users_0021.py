"""The user of this machine whose a stored key is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column; SQLite rewrites no row for it."""
    op.add_column("keys", sa.Column("uid", sa.Integer(), nullable=True))
