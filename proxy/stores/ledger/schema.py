"""The tables of the ledger. A change here comes with a migration, its name in `known.REVISIONS`, and
`python -m tools.make_tables`.

Spending is read from `budget_spent`, with what waits in `unsummed_spent` to be added to it, and usage from the four tables of
sums, never from `attempts`, which may have millions of rows and lose the oldest. Sums are kept by quarter-hour because every zone's days begin on one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from proxy.stores.ledger import tool_rollups
from proxy.stores.ledger.alike import NAMES
from proxy.stores.ledger.rollups import MEASURES, TIMES
from proxy.stores.ledger.tally import COUNTERS

_INT = BigInteger().with_variant(Integer(), "sqlite")
_NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

metadata = MetaData(naming_convention=_NAMES)


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, _INT, nullable=options.pop("nullable", False), **options)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text(), nullable=options.pop("nullable", False), **options)


def _numbered(name: str, *columns: Column[Any] | Index | UniqueConstraint) -> Table:
    """One whose rows are numbered as they come."""
    return Table(name, metadata, _number("seq", primary_key=True), *columns, sqlite_strict=True)


attempts = _numbered(
    "attempts",
    _text("id", unique=True),
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
    *(_number(name) for name in COUNTERS[2:-1]),
    _number("hold_pusd"),
    _text("source"),
    _number("first_byte_ms", nullable=True),
    _number("total_ms"),
    _text("upstream_id", nullable=True),
    _text("adjusted"),
    _number("counts_call"),
    _number("times", server_default="1"),
    *(_number(name, nullable=True) for name in ("first_token_ms", "waited_ms", "sent_ms", "connect_ms")),
    *(_text(name, server_default="") for name in ("session", "tags")),
    _text("tenant", server_default=""),
    *(_text(name, server_default="") for name in ("use_case", "decision", "arm")),
    _number(COUNTERS[-1], server_default="0"),
    Index("ix_attempts_at_ms", "at_ms"),
    # what few calls have, to be found among many
    Index("ix_attempts_failed", "at_ms", sqlite_where=text("status >= 400 OR error IS NOT NULL")),
    Index("ix_attempts_session", "session", "at_ms", sqlite_where=text("session <> ''")),
    Index("ix_attempts_tagged", "at_ms", sqlite_where=text("tags <> ''")),
)


def _kept(name: str, *columns: Column[Any] | Index) -> Table:
    """One without a number for its rows."""
    return Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=False)


def _sums(name: str, *key: Column[Any]) -> Table:
    columns = [*key, *map(_number, COUNTERS[:-1]), _number(COUNTERS[-1], server_default="0")]
    return Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=False)


def _spender() -> list[Column[str]]:
    return [_text(name, primary_key=True) for name in ("key", "provider", "model", "source", "tenant")]


sums = _sums("sums", _number("quarter", primary_key=True), *_spender())
# The day comes last, so that everything one spender did is added up in the order it is stored in.
sums_by_day = _sums("sums_by_day", *_spender(), _number("day", primary_key=True))
# Only of calls that named a session.
sums_by_session = _sums(
    "sums_by_session", _number("quarter", primary_key=True), *_spender(), _text("session", primary_key=True)
)
sums_by_quarter = _sums("sums_by_quarter", _number("quarter", primary_key=True), _text("source", primary_key=True))


def _rollup(name: str, *key: str) -> Table:
    return Table(
        name,
        metadata,
        *((_text if column in ("kind", "label") else _number)(column, primary_key=True) for column in key),
        *(_text(column, primary_key=True) for column in NAMES),
        *(_number(column) for column in MEASURES if column != COUNTERS[-1]),
        *(_text(column) for column in TIMES),
        _number(COUNTERS[-1], server_default="0"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


rollup_minutes = _rollup(
    "rollup_minutes", "minute"
)  # for analytics: stores/ledger/rollups.py, stores/ledger/label_rollups.py
rollup_hours = _rollup("rollup_hours", "cube", "hour")
rollup_days = _rollup("rollup_days", "cube", "day")
rollup_labels = _rollup("rollup_labels", "kind", "hour", "label")
asked_quarters = _kept("asked_quarters", _number("quarter", primary_key=True), _text("name", primary_key=True))
rollup_state = Table(
    "rollup_state",
    metadata,
    _number("one", primary_key=True, autoincrement=False),
    *(_number(name) for name in ("folded", "filled_seq", "fill_until_seq")),
    *(_number(f"{of}_seq", server_default="0") for of in ("labels", "labels_until", "asked", "asked_until", "summed")),
    CheckConstraint("one = 1", name="one"),
    sqlite_strict=True,
)

rollup_tools = _kept(
    "rollup_tools",
    *((_number if name == "day" else _text)(name, primary_key=True) for name in ("day", *tool_rollups.PLACE)),
    *map(_number, tool_rollups.COUNTS),
)

budget_spent = _kept(
    "budget_spent",
    _text("budget", primary_key=True),
    _number("period", primary_key=True),
    _number("spent_pusd"),
    _number("alerted_pusd", server_default="0"),  # the highest threshold somebody was told of
)

unsummed_spent = _numbered("unsummed_spent", _text("charges"), _text("amounts"))

adjustments = _numbered(
    "adjustments",
    _text("id", unique=True),
    _number("at_ms"),
    _text("budget"),
    *map(_number, ("period", "delta_pusd")),
    _text("reason"),
    *(_text(name, server_default="") for name in ("actor", "source")),
)

keys = _numbered(
    "keys",
    _text("name"),
    Column("key_hmac", LargeBinary(), nullable=False, unique=True),
    *(_text(name) for name in ("models", "limits", "budgets")),
    _number("created_ms"),
    *(_number(name, nullable=True) for name in ("expires_ms", "revoked_ms", "last_used_ms")),
    _number("timing", server_default="0"),
    _text("tenant", server_default=""),
    *(_text(name, server_default="") for name in ("lossy", "coalesce", "cache")),
    _number("uid", nullable=True),
    _text("owner", server_default=""),
)
Index("ux_keys_live_name", keys.c.name, unique=True, sqlite_where=text("revoked_ms IS NULL"))

# By what it is told that a key of the configuration was given another name.
configured_keys = _kept(
    "configured_keys",
    *(_text(name, primary_key=name == "owner") for name in ("owner", "name")),
    Column("sign", LargeBinary(), nullable=False),
    _number("is_gone"),
)

outbox = _numbered(
    "outbox",
    *(_text(name) for name in ("id", "hook", "body")),
    _number("made_ms"),
)

# Each change of a stored setting is a row, the newest version of a name is in force; no value is no setting any more.
settings = _numbered(
    "settings",
    *(_text(name) for name in ("section", "name")),
    _number("version"),
    _text("value", nullable=True),
    _number("at_ms"),
    *(_text(name) for name in ("actor", "reason")),
    UniqueConstraint("section", "name", "version"),
)

# What entries of `models:` have said, each saying once; numbers count from 1.
use_case_versions = _kept(
    "use_case_versions",
    _text("name", primary_key=True),
    _number("number", primary_key=True),
    *(_text(name) for name in ("digest", "content")),
    _number("at_ms"),
)

# Where experiments stand and what their arms have shown, as JSON.
experiments = _kept("experiments", _text("name", primary_key=True), _text("value"), _number("at_ms"))

# Where alert rules stand, as JSON.
alert_states = _kept(
    "alert_states", *(_text(name, primary_key=name != "value") for name in ("rule", "subject", "value"))
)

# What was wrong with replies, never what they said.
flags = _kept(
    "flags",
    *(_text(name, primary_key=True) for name in ("request_id", "flag")),
    _number("at_ms"),
    Index("ix_flags_at_ms", "at_ms"),
)

# What people and judges think of replies; the last of a label counts.
feedback = _kept(
    "feedback",
    *(_text(name, primary_key=True) for name in ("request_id", "label")),
    _text("key"),
    *map(_number, ("score_milli", "at_ms")),
)

data_keys = _kept(
    "data_keys",
    *(_text(name, primary_key=name == "id") for name in ("id", "tenant", "label")),
    Column("wrapped", LargeBinary(), nullable=False),
    _number("created_ms"),
)

# A chain: every row holds the hash of the one before it. Rows are only ever added.
audit = _numbered(
    "audit",
    _number("at_ms"),
    *(_text(name) for name in ("actor", "source", "action", "target")),
    *(_text(name, nullable=True) for name in ("before", "after")),
    *(_text(name) for name in ("reason", "tenant", "previous", "hash")),
    Index("ix_audit_at_ms", "at_ms"),
)
TRIGGERS = tuple(
    f"CREATE TRIGGER audit_{name} BEFORE {name.upper()} ON audit BEGIN SELECT RAISE(ABORT, 'rows are only added'); END"
    for name in ("update", "delete")
)

# What a provider's list of models has that it had not, oldest first. `aliases` is JSON: the names under `models:` it is about.
catalogue_changes = _numbered(
    "catalogue_changes",
    _number("at_ms"),
    *(_text(name) for name in ("kind", "provider", "model", "before", "after", "aliases")),
)

# What providers billed, day by day, as JSON, and what the ledger's sum lacks beside it; rows of calls stay as they are.
bill_days = _kept(
    "bill_days", *(_text(name, primary_key=True) for name in ("provider", "tenant", "day")), _text("value")
)
bill_corrections = _kept(
    "bill_corrections",
    *(_text(name, primary_key=True) for name in ("provider", "tenant", "day")),
    *(_number(name) for name in ("at_ms", "delta_pusd")),
    _text("cause"),
)

journal_position = Table(
    "journal_position",
    metadata,
    _number("one", primary_key=True, autoincrement=False),
    _number("segment"),
    _number("offset"),
    CheckConstraint("one = 1", name="one"),
    sqlite_strict=True,
)

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), primary_key=True),
)
