"""The stored settings with their secrets opened, and changes of them with their secrets sealed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.config.problems import path_text
from proxy.config.secrets import Concealed
from proxy.config.stored import Entry, at, put, secret_paths
from proxy.stores.database import reading
from proxy.stores.failures import StoreError
from proxy.stores.ledger.known import REVISIONS, revision_of
from proxy.stores.secrets.master_keys import MasterKeys, read_master_keys
from proxy.stores.secrets.sealing import Sealer, Unreadable
from proxy.stores.settings import DataKey, StoredSetting, data_keys, keep_data_key, keep_setting, stored_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

# what a start finds before it brings the tables up to date: what is stored counts from its first call on
_KNOW_SETTINGS = REVISIONS[REVISIONS.index("0006") :]
_SEALED = "sealed"  # the member that stands for a secret in what is stored


class Change(Struct, frozen=True):
    """One entry that is to be so; `value` None removes it."""

    section: str
    name: str
    value: Any


class Told(Struct, frozen=True):
    """Who changes something, why, and when (UTC epoch milliseconds)."""

    actor: str
    reason: str
    at_ms: int


class Stored(Struct, frozen=True):
    """What the ledger of a directory has, and the master keys there are now. `is_read`: it could be read."""

    masters: MasterKeys
    latest: list[StoredSetting]
    keys: list[DataKey]
    is_read: bool = True


class Vault:
    """`entries` are in force, with their secrets; `versions` of every entry there ever was. `look` reads it all again;
    `is_read`: it could be read."""

    def __init__(
        self,
        latest: Iterable[StoredSetting],
        sealer: Sealer,
        look: Callable[[], Stored] | None = None,
        *,
        is_read: bool = True,
    ) -> None:
        self.sealer = sealer
        self.is_read = is_read
        self.look = look
        self.versions: dict[tuple[str, str], int] = {}
        self._written: list[DataKey] = []
        found = []
        for setting in latest:
            self.versions[setting.section, setting.name] = setting.version
            if setting.value is not None:
                found.append(self.opened(setting))
        self.entries = tuple(found)

    def again(self, found: Stored) -> Vault:
        """As it was found now: the master keys may be others. What could not be read stays as it was."""
        if not found.is_read:
            return self
        self.sealer.take_on(found.masters, found.keys)
        return Vault(found.latest, self.sealer, self.look)

    def masters_now(self) -> MasterKeys:
        """The master keys as they stand where they are kept."""
        return self.sealer.masters if self.look is None else self.look().masters

    def opened(self, setting: StoredSetting) -> Entry:
        """With its secrets; one that cannot be opened becomes a text that nobody knows."""
        value, tenant, unreadable = setting.value, tenant_of(setting.section, setting.name), ""
        for path in list(_sealed_paths(value, ())):
            try:
                text = self.sealer.open(tenant, _place(setting, path), at(value, path)[_SEALED])
            except Unreadable as error:
                text = secrets.token_urlsafe(32)
                unreadable = str(error)
            value = put(value, path, Concealed(text))
        return Entry(setting.section, setting.name, value, setting.version, unreadable)

    def after(self, changes: Iterable[Change]) -> tuple[Entry, ...]:
        """The entries as they would be."""
        entries = {(entry.section, entry.name): entry for entry in self.entries}
        for change in changes:
            place = (change.section, change.name)
            if change.value is None:
                entries.pop(place, None)
            else:
                entries[place] = Entry(*place, _concealed(change), self.versions.get(place, 0) + 1)
        return tuple(entries.values())

    def sealed(self, changes: Iterable[Change], told: Told, now: float) -> list[StoredSetting]:
        """The rows of these changes. A first master key is made where one is wanted and none was ever used."""
        return [self._row(change, told, now) for change in changes]

    def _row(self, change: Change, told: Told, now: float) -> StoredSetting:
        value, tenant = change.value, tenant_of(change.section, change.name)
        for path in list(secret_paths(change.section, value)):
            self.sealer.begin(now)
            text = self.sealer.seal(tenant, _place(change, path), at(value, path), told.at_ms)
            value = put(value, path, {_SEALED: text})
        version = self.versions.get((change.section, change.name), 0) + 1
        return StoredSetting(change.section, change.name, version, value, told.at_ms, told.actor, told.reason)

    def keep(self, connection: Connection, rows: Iterable[StoredSetting]) -> None:
        """Write rows, and the data keys that were made for them."""
        self._written = self.sealer.fresh()
        for key in self._written:
            keep_data_key(connection, key)
        for row in rows:
            keep_setting(connection, row)

    def taken(self, entries: tuple[Entry, ...], rows: Iterable[StoredSetting]) -> None:
        """What was kept is in force."""
        self.entries = entries
        self.sealer.kept(self._written)
        for row in rows:
            self.versions[row.section, row.name] = row.version


def open_vault(state_dir: Path, master_key_file: Path, env: Mapping[str, str]) -> Vault:
    """What the ledger of this directory has; nothing where it has no settings yet, or cannot be read."""
    look = partial(_look, state_dir / "ledger.db", master_key_file, env)
    found = look()
    return Vault(found.latest, Sealer(found.masters, found.keys), look, is_read=found.is_read)


def tenant_of(section: str, name: str) -> str:
    """Whose secrets an entry holds; "" is everybody's."""
    return name if section == "tenants" else ""


def _look(ledger: Path, master_key_file: Path, env: Mapping[str, str]) -> Stored:
    masters = read_master_keys(master_key_file, env)
    try:
        return Stored(masters, *_read(ledger))
    except (StoreError, OSError):  # calls go on without a ledger; to another user it tells nothing
        return Stored(masters, [], [], is_read=False)


def _read(ledger: Path) -> tuple[list[StoredSetting], list[DataKey]]:
    if not ledger.exists():
        return [], []
    with reading(ledger) as driver:
        if revision_of(driver, ledger) not in _KNOW_SETTINGS:
            return [], []  # of an older version, which had none
        return stored_settings(driver), data_keys(driver)


def _sealed_paths(value: Any, path: tuple[str | int, ...]) -> Iterable[tuple[str | int, ...]]:
    if isinstance(value, dict) and value.keys() == {_SEALED}:
        yield path
    elif isinstance(value, dict | list):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _sealed_paths(item, (*path, step))


def _place(entry: StoredSetting | Change, path: tuple[str | int, ...]) -> str:
    return path_text((entry.section, entry.name, *path))


def _concealed(change: Change) -> Any:
    value = json.loads(json.dumps(change.value))
    for path in list(secret_paths(change.section, value)):
        value = put(value, path, Concealed(at(value, path)))
    return value
