"""Up to which threshold a budget's period was told of, and the messages that are still to be delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a column, for which SQLite rewrites no row, and a table."""
    op.add_column("budget_spent", sa.Column("alerted_pusd", INT, nullable=False, server_default="0"))
    op.create_table(
        "outbox",
        sa.Column("seq", INT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "hook", "body")),
        sa.Column("made_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sqlite_strict=True,
    )
