"""Where the time of an attempt went; keys whose replies say so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; SQLite rewrites no row for them."""
    for name in ("first_token_ms", "waited_ms", "sent_ms", "connect_ms"):
        op.add_column("attempts", sa.Column(name, INT))
    op.add_column("keys", sa.Column("timing", INT, nullable=False, server_default="0"))
