"""Keys made while the daemon runs: for `Writer.submit`. Only a keyed hash of a secret is kept."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from proxy.stores.failures import KeyExists
from proxy.stores.schema import keys


class StoredKey(Struct, frozen=True):
    """`models` are patterns; `limits` and `budgets` are what the configuration would hold, as JSON text."""

    name: str
    key_hmac: bytes
    models: tuple[str, ...]
    limits: str
    budgets: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None


def create_key(connection: Connection, key: StoredKey) -> None:
    """Keep a new key. Raises `KeyExists` while a key of this name, or with this secret, lives."""
    values = {**msgspec.structs.asdict(key), "models": msgspec.json.encode(key.models).decode()}
    try:
        connection.execute(insert(keys), values)
    except IntegrityError as error:
        raise KeyExists(f"there is a key named {key.name!r} already; revoke it first or choose another name") from error


def list_keys(connection: Connection) -> list[StoredKey]:
    """Every key there ever was, in the order they were made."""
    return [_key_of(row) for row in connection.execute(select(keys).order_by(keys.c.seq)).mappings()]


def revoke_key(connection: Connection, name: str, at_ms: int) -> bool:
    """End the live key of this name; False when there is none."""
    live = update(keys).where(keys.c.name == name, keys.c.revoked_ms.is_(None))
    return connection.execute(live.values(revoked_ms=at_ms)).rowcount > 0


def touch_keys(connection: Connection, used_ms: dict[bytes, int]) -> None:
    """Note when keys were last used, by the hash of their secret."""
    for key_hmac, at_ms in used_ms.items():
        connection.execute(update(keys).where(keys.c.key_hmac == key_hmac).values(last_used_ms=at_ms))


def _key_of(row: RowMapping) -> StoredKey:
    models = msgspec.json.decode(row["models"], type=tuple[str, ...])
    return StoredKey(**{name: row[name] for name in StoredKey.__struct_fields__ if name != "models"}, models=models)
