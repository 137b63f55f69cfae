"""Whose the files, jobs and kept replies of the configuration's keys are. A key there is known by its secret, so that it keeps
them behind a new name; by its name where the secret is new. One that had left meanwhile is another key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import astuple, replace

from proxy.policy.tenants import new_owner
from proxy.policy.values import Caller
from proxy.stores.database import marks
from proxy.stores.keys import StoredKey
from proxy.stores.keyset import KeySet
from proxy.stores.secrets.hash_key import keyed

_MARK_DIGITS = 16


class ConfiguredKey(Struct, frozen=True):
    """A key that stands in the configuration, or did (`is_gone`). `sign`: the keyed hash of its secret, or its user."""

    owner: str
    name: str
    sign: bytes
    is_gone: bool = False


_FIELDS = ", ".join(ConfiguredKey.__struct_fields__)


def configured_keys(driver: sqlite3.Connection) -> list[ConfiguredKey]:
    """Every one there ever was."""
    rows = driver.execute(f"SELECT {_FIELDS} FROM configured_keys")
    return [ConfiguredKey(owner, name, sign, bool(is_gone)) for owner, name, sign, is_gone in rows]


def keep_configured(driver: sqlite3.Connection, now: Iterable[ConfiguredKey]) -> None:
    """Put these in the place of what was known."""
    sql = f"INSERT OR REPLACE INTO configured_keys ({_FIELDS}) VALUES ({marks(ConfiguredKey.__struct_fields__)})"
    driver.executemany(sql, map(astuple, now))


def with_owners(
    keys: KeySet, stored: Iterable[StoredKey], known: Iterable[ConfiguredKey], hash_key: bytes
) -> tuple[KeySet, list[ConfiguredKey]]:
    """The same keys, each of the configuration with its owner; and what is to be known of them from now on that was not."""
    before, kept = {key.owner: key for key in known}, list(stored)
    own = {_sign(caller, hash_key): caller for caller in keys.callers if not caller.key_hmac}
    by_sign = {key.key_hmac: key.owner for key in kept if key.owner} | {k.sign: k.owner for k in before.values()}
    by_name = {key.name: key.owner for key in before.values() if not key.is_gone and key.sign not in own}
    taken = {key.owner for key in kept}.union(before)
    owners: dict[str, str] = {}
    for sign, caller in own.items():
        name = caller.name
        fresh = name if name not in taken else new_owner(name, sign.hex()[:_MARK_DIGITS])
        owners[name] = by_sign.get(sign) or by_name.get(name) or fresh
    now = {owners[caller.name]: ConfiguredKey(owners[caller.name], caller.name, sign) for sign, caller in own.items()}
    gone = [replace(key, is_gone=True) for owner, key in before.items() if owner not in now]
    callers = [c if c.key_hmac else replace(c, owner=owners[c.name]) for c in keys.callers]
    return replace(keys, callers=tuple(callers)), [
        key for key in [*now.values(), *gone] if before.get(key.owner) != key
    ]


def _sign(caller: Caller, hash_key: bytes) -> bytes:
    return keyed(hash_key, caller.key_sha256) if caller.key_sha256 else f"uid:{caller.uid}".encode()
