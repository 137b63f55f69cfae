"""What operators did, as a chain of rows that are only added; who corrected a budget."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A new table, and two columns."""
    for name in ("actor", "source"):
        op.add_column("adjustments", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "audit",
        *(sa.Column(name, INT, nullable=False) for name in ("seq", "at_ms")),
        *(_text(name) for name in ("actor", "source", "action", "target")),
        *(_text(name, nullable=True) for name in ("before", "after")),
        *(_text(name) for name in ("reason", "tenant", "previous", "hash")),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_at_ms", "audit", ["at_ms"])
    for name in ("update", "delete"):
        when = f"CREATE TRIGGER audit_{name} BEFORE {name.upper()} ON audit"
        op.execute(f"{when} BEGIN SELECT RAISE(ABORT, 'rows are only added'); END")


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)
