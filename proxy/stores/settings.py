"""Settings kept beside the file, each change a row: for `Writer.submit`. Their secrets come sealed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = "section, name, version, value, at_ms, actor, reason"
_NEWEST = """SELECT {columns} FROM settings AS s WHERE version =
             (SELECT max(version) FROM settings WHERE section = s.section AND name = s.name) ORDER BY seq"""


class StoredSetting(Struct, frozen=True):
    """One version of an entry. `value` is JSON, its secrets sealed; None: the entry was removed. `actor` is who did
    it and `reason` why, in words."""

    section: str
    name: str
    version: int
    value: Any
    at_ms: int
    actor: str
    reason: str


class DataKey(Struct, frozen=True):
    """A key that seals the secrets of one tenant, itself sealed under the master key of `label`."""

    id: str
    tenant: str
    label: str
    wrapped: bytes
    created_ms: int


def stored_settings(driver: sqlite3.Connection) -> list[StoredSetting]:
    """The newest version of every entry, removed ones among them."""
    return [_setting(row) for row in driver.execute(_NEWEST.format(columns=_COLUMNS))]


def setting_history(driver: sqlite3.Connection) -> list[StoredSetting]:
    """Every version there ever was, the newest first."""
    return [_setting(row) for row in driver.execute(f"SELECT {_COLUMNS} FROM settings ORDER BY seq DESC")]  # noqa: S608


def data_keys(driver: sqlite3.Connection) -> list[DataKey]:
    """All of them, the oldest first."""
    return [DataKey(*row) for row in driver.execute("SELECT * FROM data_keys ORDER BY created_ms, id")]


def keep_setting(connection: Connection, setting: StoredSetting) -> None:
    """Add a version."""
    value = None if setting.value is None else msgspec.json.encode(setting.value).decode()
    row = (setting.section, setting.name, setting.version, value, setting.at_ms, setting.actor, setting.reason)
    connection.exec_driver_sql(f"INSERT INTO settings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608


def keep_data_key(connection: Connection, key: DataKey) -> None:
    """Add one, or put it in the place of that of its id."""
    row = msgspec.structs.astuple(key)
    connection.exec_driver_sql("INSERT OR REPLACE INTO data_keys VALUES (?, ?, ?, ?, ?)", row)


def _setting(row: tuple[Any, ...]) -> StoredSetting:
    section, name, version, value, *rest = row
    return StoredSetting(section, name, version, None if value is None else msgspec.json.decode(value), *rest)
