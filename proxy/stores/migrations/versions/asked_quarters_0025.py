"""In which quarters of an hour models were asked for by which names; what there is already is brought in by the ledger's
writer, bit by bit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A table, and up to where older rows have to be brought in."""
    op.create_table(
        "asked_quarters",
        sa.Column("quarter", INT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("quarter", "name", name="pk_asked_quarters"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for column in ("asked_seq", "asked_until_seq"):
        op.add_column("rollup_state", sa.Column(column, INT, nullable=False, server_default="0"))
    op.execute("UPDATE rollup_state SET asked_until_seq = (SELECT coalesce(max(seq), 0) FROM attempts)")
