"""Keys made while the daemon runs: for `Writer.submit`. Only a keyed hash of a secret is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from proxy.stores.database import raw
from proxy.stores.failures import KeyExists

if TYPE_CHECKING:
    from sqlalchemy import Connection, Update


class StoredKey(Struct, frozen=True):
    """`models` are patterns; `limits` and `budgets` are what the configuration would hold, as JSON text.

    `tenant` is whose it is, "" nobody's; `lossy` what becomes of its calls where a translation loses something, "" what
    is said elsewhere; `coalesce` and `cache` what it says of calls that are
    alike, as JSON text, "" nothing; `uid` a user of this machine, who needs no secret on a Unix socket. A key with a new secret has a row for each; that of the old one is revoked from
    some moment on, to come or past. `owner` is whose its files, jobs and kept replies are: no other key's, and the same under
    another name.
    """

    name: str
    key_hmac: bytes
    models: tuple[str, ...]
    limits: str
    budgets: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None
    timing: bool = False
    tenant: str = ""
    lossy: str = ""
    coalesce: str = ""
    cache: str = ""
    uid: int | None = None
    owner: str = ""


def create_key(connection: Connection, key: StoredKey) -> None:
    """Keep a new key. Raises `KeyExists` while a key of this name, or with this secret, lives."""
    from sqlalchemy.exc import IntegrityError

    from proxy.stores.ledger.schema import keys

    values = {**msgspec.structs.asdict(key), "models": msgspec.json.encode(key.models).decode()}
    try:
        connection.execute(keys.insert(), values)
    except IntegrityError as error:
        raise KeyExists(f"there is a key named {key.name!r} already; revoke it first or choose another name") from error


def list_keys(connection: Connection) -> list[StoredKey]:
    """Every key there ever was, in the order they were made."""
    return stored_keys(raw(connection))


def stored_keys(driver: sqlite3.Connection) -> list[StoredKey]:
    """The same over the driver alone, for a start."""
    found = driver.execute(f"SELECT {', '.join(StoredKey.__struct_fields__)} FROM keys ORDER BY seq")  # noqa: S608
    return [_key_of(dict(zip(StoredKey.__struct_fields__, row, strict=True))) for row in found]


def key_terms(connection: Connection, name: str) -> dict[str, Any] | None:
    """What the live key of this name may, as the audit has it; None where there is none."""
    columns = "models, limits, budgets, expires_ms, timing, tenant, lossy, coalesce, cache, uid"
    asked = f"SELECT {columns} FROM keys WHERE name = ? AND revoked_ms IS NULL"  # noqa: S608
    found = raw(connection).execute(asked, (name,)).fetchone()
    if found is None:
        return None
    terms = {field: msgspec.json.decode(text) for field, text in zip(columns.split(", "), found[:3], strict=False)}
    terms |= {"expires_ms": found[3], "timing": bool(found[4]), "tenant": found[5], "lossy": found[6]}
    return terms | {
        "coalesce": msgspec.json.decode(found[7] or "null"),
        "cache": msgspec.json.decode(found[8] or "null"),
        "uid": found[9],
    }


def revoke_key(connection: Connection, name: str, at_ms: int) -> bool:
    """End the live key of this name, and secrets it had before; False when there is none."""
    return connection.execute(_living(name, at_ms).values(revoked_ms=at_ms)).rowcount > 0


def update_key(connection: Connection, name: str, changes: Mapping[str, Any], at_ms: int) -> bool:
    """Give a live key other terms, or another name; False when there is none.

    `changes` are fields of `StoredKey` that are to be so. Raises `KeyExists` where another key has the name.
    """
    from sqlalchemy.exc import IntegrityError

    values = dict(changes)
    if "models" in values:
        values["models"] = msgspec.json.encode(values["models"]).decode()
    try:
        return connection.execute(_living(name, at_ms).values(values)).rowcount > 0
    except IntegrityError as error:
        raise KeyExists(f"there is a key named {changes['name']!r} already; choose another name") from error


def rotate_key(connection: Connection, name: str, key_hmac: bytes, times_ms: tuple[int, int]) -> bool:
    """Give the live key of this name another secret; False when there is none.

    `times_ms` are when this is, and until when the secret it had goes on; those before it end now.
    """
    from proxy.stores.ledger.schema import keys

    at_ms, until_ms = times_ms
    row = connection.execute(keys.select().where(keys.c.name == name, keys.c.revoked_ms.is_(None))).mappings().first()
    if row is None:
        return False
    connection.execute(_living(name, at_ms).where(keys.c.revoked_ms.is_not(None)).values(revoked_ms=at_ms))
    connection.execute(keys.update().where(keys.c.seq == row["seq"]).values(revoked_ms=until_ms))
    changed = {"seq": None, "key_hmac": key_hmac, "created_ms": at_ms, "last_used_ms": None}
    connection.execute(keys.insert(), {**row, **changed})
    return True


def _living(name: str, at_ms: int) -> Update:
    from proxy.stores.ledger.schema import keys

    return keys.update().where(keys.c.name == name, keys.c.revoked_ms.is_(None) | (keys.c.revoked_ms > at_ms))


def touch_keys(connection: Connection, used_ms: dict[bytes, int]) -> None:
    """Note when keys were last used, by the hash of their secret."""
    from proxy.stores.ledger.schema import keys

    for key_hmac, at_ms in used_ms.items():
        connection.execute(keys.update().where(keys.c.key_hmac == key_hmac).values(last_used_ms=at_ms))


def _key_of(row: dict[str, Any]) -> StoredKey:
    models = msgspec.json.decode(row["models"], type=tuple[str, ...])
    return StoredKey(**{**row, "models": models, "timing": bool(row["timing"])})
