"""What waits to be added to what budgets have spent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One table."""
    op.create_table(
        "unsummed_spent",
        sa.Column("seq", INT, nullable=False),
        sa.Column("charges", sa.Text(), nullable=False),
        sa.Column("amounts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_unsummed_spent"),
        sqlite_strict=True,
    )
