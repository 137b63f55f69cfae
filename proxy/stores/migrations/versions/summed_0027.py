"""Which rows are in the sums: all there are, until now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One number."""
    op.add_column("rollup_state", sa.Column("summed_seq", INT, nullable=False, server_default="0"))
    op.execute("UPDATE rollup_state SET summed_seq = coalesce((SELECT max(seq) FROM attempts), 0)")
