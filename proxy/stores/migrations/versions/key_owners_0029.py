"""Whose the files, jobs and kept replies of a stored key are: so far its name said so, which others had before it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Living keys go on with what they have."""
    op.add_column("keys", sa.Column("owner", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE keys SET owner = name WHERE revoked_ms IS NULL")
