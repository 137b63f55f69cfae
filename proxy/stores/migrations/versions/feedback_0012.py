"""What people and judges think of replies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "feedback",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("request_id", "label", "key")),
        *(sa.Column(name, INT, nullable=False) for name in ("score_milli", "at_ms")),
        sa.PrimaryKeyConstraint("request_id", "label", name="pk_feedback"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
