"""What becomes of a key's calls where a translation loses something."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; SQLite rewrites no row for it."""
    op.add_column("keys", sa.Column("lossy", sa.Text(), nullable=False, server_default=""))
