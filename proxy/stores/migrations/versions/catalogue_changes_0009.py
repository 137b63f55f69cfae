"""What was new in the providers' lists of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "catalogue_changes",
        sa.Column("seq", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "provider", "model")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("before", "after", "aliases")),
        sa.PrimaryKeyConstraint("seq", name="pk_catalogue_changes"),
        sqlite_strict=True,
    )
