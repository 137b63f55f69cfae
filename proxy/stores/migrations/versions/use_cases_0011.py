"""Which entry of `models:` had its say in a call, and what each has said so far."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A column, of which SQLite rewrites no row, and a table."""
    op.add_column("attempts", sa.Column("use_case", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "use_case_versions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", INT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("digest", "content")),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("name", "number", name="pk_use_case_versions"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
