"""What a key says of calls that are alike."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; SQLite rewrites no row for them."""
    for name in ("coalesce", "cache"):
        op.add_column("keys", sa.Column(name, sa.Text(), nullable=False, server_default=""))
