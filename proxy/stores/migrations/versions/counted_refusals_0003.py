"""One row may stand for many refusals of a key in one second."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the column; SQLite rewrites no row for it."""
    op.add_column("attempts", sa.Column("times", INT, nullable=False, server_default="1"))
