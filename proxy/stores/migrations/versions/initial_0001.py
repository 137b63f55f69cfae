"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

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


def upgrade() -> None:
    """Create everything."""
    _attempts()
    _sums("sums", _number("quarter"), *_spender())
    _sums("sums_by_day", *_spender(), _number("day"))
    _sums("sums_by_quarter", _number("quarter"), _text("source"))
    _budgets()
    _keys()
    op.create_table(
        "journal_position",
        _number("one", autoincrement=False),
        _number("segment"),
        _number("offset"),
        sa.PrimaryKeyConstraint("one", name="pk_journal_position"),
        sa.CheckConstraint("one = 1", name=op.f("ck_journal_position_one")),
        sqlite_strict=True,
    )


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=options.pop("nullable", False), **options)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=options.pop("nullable", False), **options)


def _spender() -> list[sa.Column[str]]:
    return [_text(name) for name in ("key", "provider", "model", "source")]


def _attempts() -> None:
    op.create_table(
        "attempts",
        _number("seq"),
        _text("id"),
        _text("request_id"),
        _number("attempt"),
        _number("at_ms"),
        *(_text(name) for name in ("key", "endpoint", "asked", "model", "provider", "upstream_model")),
        _text("served", nullable=True),
        _number("status"),
        _text("outcome"),
        _text("error", nullable=True),
        _text("message", nullable=True),
        _number("stream"),
        *(_number(name) for name in COUNTERS[2:]),
        _number("hold_pusd"),
        _text("source"),
        _number("first_byte_ms", nullable=True),
        _number("total_ms"),
        _text("upstream_id", nullable=True),
        _text("adjusted"),
        _number("counts_call"),
        sa.PrimaryKeyConstraint("seq", name="pk_attempts"),
        sa.UniqueConstraint("id", name="uq_attempts_id"),
        sqlite_strict=True,
    )
    op.create_index("ix_attempts_at_ms", "attempts", ["at_ms"])


def _sums(name: str, *key: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *key,
        *(_number(counter) for counter in COUNTERS),
        sa.PrimaryKeyConstraint(*(column.name for column in key), name=f"pk_{name}"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _budgets() -> None:
    op.create_table(
        "budget_spent",
        _text("budget"),
        _number("period"),
        _number("spent_pusd"),
        sa.PrimaryKeyConstraint("budget", "period", name="pk_budget_spent"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "adjustments",
        _number("seq"),
        _text("id"),
        _number("at_ms"),
        _text("budget"),
        _number("period"),
        _number("delta_pusd"),
        _text("reason"),
        sa.PrimaryKeyConstraint("seq", name="pk_adjustments"),
        sa.UniqueConstraint("id", name="uq_adjustments_id"),
        sqlite_strict=True,
    )


def _keys() -> None:
    op.create_table(
        "keys",
        _number("seq"),
        _text("name"),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        *(_text(name) for name in ("models", "limits", "budgets")),
        _number("created_ms"),
        *(_number(name, nullable=True) for name in ("expires_ms", "revoked_ms", "last_used_ms")),
        sa.PrimaryKeyConstraint("seq", name="pk_keys"),
        sa.UniqueConstraint("key_sha256", name="uq_keys_key_sha256"),
        sqlite_strict=True,
    )
    op.create_index("ux_keys_live_name", "keys", ["name"], unique=True, sqlite_where=sa.text("revoked_ms IS NULL"))
