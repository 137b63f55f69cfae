"""Keys of the configuration, by what tells that one of them was given another name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One table."""
    op.create_table(
        "configured_keys",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sign", sa.LargeBinary(), nullable=False),
        sa.Column("is_gone", INT, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_configured_keys"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
