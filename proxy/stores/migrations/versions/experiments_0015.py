"""Which arm of an experiment a call belonged to, and where experiments stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A column, of which SQLite rewrites no row, and a table."""
    op.add_column("attempts", sa.Column("arm", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "experiments",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_experiments"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
