"""Whose a key was: of every attempt, of keys, and of the sums, which are made anew with it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS = (
    "calls",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pusd",
)
SPENDER = ("key", "provider", "model", "source")


def upgrade() -> None:
    """Two columns, which rewrite no row, and three tables whose rows have one more name to be told apart by."""
    for table in ("attempts", "keys"):
        op.add_column(table, sa.Column("tenant", sa.Text(), nullable=False, server_default=""))
    _with_tenant("sums", [_number("quarter"), *_spender()])
    _with_tenant("sums_by_day", [*_spender(), _number("day")])
    _with_tenant("sums_by_session", [_number("quarter"), *_spender(), sa.Column("session", sa.Text(), nullable=False)])


def _with_tenant(name: str, key: list[sa.Column[Any]]) -> None:
    op.create_table(
        f"new_{name}",
        *key,
        *map(_number, COUNTERS),
        sa.PrimaryKeyConstraint(*(column.name for column in key), name=f"pk_{name}"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    kept = ", ".join([*(column.name for column in key if column.name != "tenant"), *COUNTERS])
    op.execute(f"INSERT INTO new_{name} ({kept}, tenant) SELECT {kept}, '' FROM {name}")  # noqa: S608
    op.drop_table(name)
    op.rename_table(f"new_{name}", name)


def _spender() -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in (*SPENDER, "tenant")]


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, INT, nullable=False)
