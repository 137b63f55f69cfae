"""Client keys are kept as keyed hashes: HMAC under the key that lies beside the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

from proxy.stores.secrets.hash_key import hash_key, keyed

revision = "0002"
down_revision = "0001"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table anew, with the keyed hash in place of the plain one."""
    connection = op.get_bind()
    before = [dict(row) for row in connection.execute(sa.text("SELECT * FROM keys ORDER BY seq")).mappings()]
    op.drop_table("keys")
    table = op.create_table(
        "keys",
        _number("seq"),
        _text("name"),
        sa.Column("key_hmac", sa.LargeBinary(), nullable=False),
        *(_text(name) for name in ("models", "limits", "budgets")),
        _number("created_ms"),
        *(_number(name, nullable=True) for name in ("expires_ms", "revoked_ms", "last_used_ms")),
        sa.PrimaryKeyConstraint("seq", name="pk_keys"),
        sa.UniqueConstraint("key_hmac", name="uq_keys_key_hmac"),
        sqlite_strict=True,
    )
    op.create_index("ux_keys_live_name", "keys", ["name"], unique=True, sqlite_where=sa.text("revoked_ms IS NULL"))
    if before:
        key = hash_key(_directory(connection))
        op.bulk_insert(table, [{"key_hmac": keyed(key, row.pop("key_sha256")), **row} for row in before])


def _directory(connection: sa.Connection) -> Path:
    """Where the ledger lies, and the key of the hashes with it."""
    databases = connection.exec_driver_sql("PRAGMA database_list").mappings()
    return Path(next(row["file"] for row in databases if row["name"] == "main")).parent


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=options.pop("nullable", False), **options)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)
