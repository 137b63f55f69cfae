"""Settings that people change while the daemon runs, and the keys their secrets are sealed with."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Two new tables."""
    op.create_table(
        "settings",
        _number("seq"),
        *(_text(name) for name in ("section", "name")),
        _number("version"),
        sa.Column("value", sa.Text()),
        _number("at_ms"),
        *(_text(name) for name in ("actor", "reason")),
        sa.PrimaryKeyConstraint("seq", name="pk_settings"),
        sa.UniqueConstraint("section", "name", "version", name="uq_settings_section"),
        sqlite_strict=True,
    )
    op.create_table(
        "data_keys",
        *(_text(name) for name in ("id", "tenant", "label")),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        _number("created_ms"),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, INT, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)
