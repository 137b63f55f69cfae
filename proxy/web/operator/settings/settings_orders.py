"""The operator's orders about settings, on a running daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from proxy.config.document import Document
from proxy.config.problems import ConfigProblems
from proxy.config.stored import Layers, masked
from proxy.stores.audit import Deed, append
from proxy.stores.questions.queries import Files
from proxy.stores.secrets.master_keys import MasterKeys
from proxy.stores.secrets.sealing import Sealer
from proxy.stores.secrets.vault import Change, Vault
from proxy.web.operator.access.actor import ACTOR, Actor
from proxy.web.operator.admin_api import Declined, Unknown
from proxy.web.operator.answers import Answer
from proxy.web.operator.models.model_switching import SwitchAsk, UndoAsk, switched, undone
from proxy.web.operator.settings.stored_settings import (
    ChangeAsk,
    Edit,
    SettingAnswer,
    SettingsChangedAnswer,
    SettingSetAnswer,
    SettingsHistoryAnswer,
    Wanted,
    all_of,
    changes_asked,
    one,
    refuse_empty,
    told,
    versions,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

Params = dict[str, Any]
ResultT = TypeVar("ResultT")

SETTINGS_ORDERS = (
    "settings",
    "settings_of",
    "setting",
    "change_settings",
    "put_setting",
    "delete_setting",
    "settings_history",
    "rollback_setting",
    "switch_models",
    "undo_switch",
)


class ReloadRefused(Exception):
    """A new configuration could not be taken on; the message says why."""


class Reload(Protocol):
    """What reads and changes the configuration."""

    layers: Layers
    vault: Vault

    async def __call__(self, is_meant: bool = False) -> list[str]:
        """Read the file again; what changed."""

    async def change(self, plan: Callable[[Layers, Vault], Edit]) -> list[str]:
        """Change what is stored; what changed."""

    async def with_vault(self, work: Callable[[Vault], Awaitable[ResultT]]) -> ResultT:
        """Do something with what is stored while nobody else changes it."""


class NothingToRead:
    """For a daemon that was not started from a configuration."""

    layers = Layers(Document(""))
    vault = Vault((), Sealer(MasterKeys(None, {}), ()))

    async def __call__(self, is_meant: bool = False) -> list[str]:
        raise ReloadRefused("this daemon was not started from a configuration")

    async def change(self, plan: Callable[[Layers, Vault], Edit]) -> list[str]:
        raise ReloadRefused("this daemon was not started from a configuration")

    async def with_vault(self, work: Callable[[Vault], Awaitable[ResultT]]) -> ResultT:
        return await work(self.vault)


class Ledger(Protocol):
    """Where settings are kept."""

    @property
    def files(self) -> Files:
        """To read from."""

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Work on it, in a transaction."""


class Host(Protocol):
    """The daemon, as far as its configuration is concerned."""

    @property
    def reload_now(self) -> Reload:
        """What reads and changes it."""


class PartAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """A section, and one entry of it; None is all of them."""

    section: str | None = None
    name: str | None = None


class PutAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry that is to be so, as `Wanted`."""

    section: str
    name: str
    value: Any = None
    version: int | None = None
    reason: str = ""
    rehearse: bool = False


class RollbackAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Which earlier version is to be in force again."""

    section: str
    name: str
    version: int
    reason: str = ""
    rehearse: bool = False


Asked = ChangeAsk | PutAsk | RollbackAsk | SwitchAsk | UndoAsk


class SettingsOrders:
    """`by_name` as `Orders` has them."""

    def __init__(self, ledger: Ledger, host: Host) -> None:
        self._ledger = ledger
        self._host = host
        done = (self._settings, self._settings, self._setting, self._change, self._put, self._one, self._history)
        each: tuple[Callable[[Params], Awaitable[Answer]], ...] = (*done, self._rollback, self._switch, self._undo)
        several = {
            f"put_{section}": self._entries_of(section) for section in ("strategies", "experiments", "alert_rules")
        }
        self.by_name = dict(zip(SETTINGS_ORDERS, each, strict=True)) | several

    async def _settings(self, params: Params) -> Answer:
        return await asyncio.to_thread(all_of, self._layers, msgspec.convert(params, PartAsk).section)

    async def _setting(self, params: Params) -> Answer:
        return one(self._layers, str(params.get("section")), str(params.get("name")))

    async def _change(self, params: Params) -> Answer:
        ask = msgspec.convert(params, ChangeAsk)
        return await self._changed(lambda layers, vault: changes_asked(layers, vault, ask.changes), ask)

    async def _put(self, params: Params) -> Answer:
        ask = msgspec.convert(params, PutAsk)
        refuse_empty(ask.section, ask.name, ask.value)
        return await self._one(params)

    async def _one(self, params: Params) -> Answer:
        """One entry; one without a value is removed."""
        ask = msgspec.convert(params, PutAsk)
        wanted = Wanted(ask.section, ask.name, ask.value, ask.version)
        found = await self._changed(lambda layers, vault: changes_asked(layers, vault, [wanted]), ask)
        (entry,) = found.entries
        return SettingSetAnswer(entry.version, entry.value, entry.source, found.changes, found.rehearsed)

    def _entries_of(self, section: str) -> Callable[[Params], Awaitable[Answer]]:
        """What sets several entries of this section: all of them, or none."""

        async def put(params: Params) -> Answer:
            rest = {name: value for name, value in params.items() if name != "entries"}
            for name, value in params["entries"].items():
                refuse_empty(section, name, value)
            wanted = [{"section": section, "name": name, "value": value} for name, value in params["entries"].items()]
            return await self._change({**rest, "changes": wanted})

        return put

    async def _history(self, params: Params) -> Answer:
        ask = msgspec.convert(params, PartAsk)
        rows = await asyncio.to_thread(self._ledger.files.setting_history)
        return SettingsHistoryAnswer(versions(rows, ask.section, ask.name))

    async def _rollback(self, params: Params) -> Answer:
        ask = msgspec.convert(params, RollbackAsk)
        rows = await asyncio.to_thread(self._ledger.files.setting_history)
        place = (ask.section, ask.name, ask.version)
        row = next((row for row in rows if (row.section, row.name, row.version) == place), None)
        if row is None:
            raise Unknown(f"{ask.section}.{ask.name} had no version {ask.version}; `settings history` lists them")

        def plan(layers: Layers, vault: Vault) -> list[Change]:
            entry = vault.opened(row)
            if entry.unreadable:
                raise Declined(f"the secret of that version cannot be opened: {entry.unreadable}")
            return changes_asked(layers, vault, [Wanted(ask.section, ask.name, row.value and entry.value)])

        return await self._changed(plan, ask)

    async def _switch(self, params: Params) -> Answer:
        ask = msgspec.convert(params, SwitchAsk)
        return await self._changed(
            lambda layers, vault: changes_asked(layers, vault, switched(layers, vault, ask)), ask
        )

    async def _undo(self, params: Params) -> Answer:
        ask = msgspec.convert(params, UndoAsk)
        rows = await asyncio.to_thread(self._ledger.files.setting_history)
        return await self._changed(lambda layers, vault: changes_asked(layers, vault, undone(vault, rows)), ask)

    async def _changed(self, plan: Callable[[Layers, Vault], list[Change]], ask: Asked) -> SettingsChangedAnswer:
        """Take on and keep what `plan` makes, and say what is so now."""
        found: list[Change] = []

        def edit(layers: Layers, vault: Vault) -> Edit:
            found.extend(plan(layers, vault))
            entries = vault.after(found)

            async def keep() -> None:
                actor, now = ACTOR.get(), time.time()
                rows = vault.sealed(found, told(actor.name, ask.reason or actor.reason), now)
                deeds = [_deed(actor, vault, change, ask) for change in found]

                def work(connection: Connection) -> None:
                    vault.keep(connection, rows)
                    append(connection, deeds)

                await self._ledger.run(work)
                vault.taken(entries, rows)

            return Edit(entries, None if ask.rehearse else keep)

        try:
            lines = await self._host.reload_now.change(edit)
        except ConfigProblems as problems:
            raise Declined(str(problems)) from None
        return SettingsChangedAnswer(lines, ask.rehearse, [self._now(change) for change in found])

    def _now(self, change: Change) -> SettingAnswer:
        """The entry as it is in force; its version and no value where it was removed."""
        found = self._layers.entry(change.section, change.name)
        if found is None:
            return SettingAnswer(self._vault.versions.get((change.section, change.name), 0), None, "store")
        return one(self._layers, change.section, change.name)

    @property
    def _layers(self) -> Layers:
        return self._host.reload_now.layers

    @property
    def _vault(self) -> Vault:
        return self._host.reload_now.vault


def _deed(actor: Actor, vault: Vault, change: Change, ask: Asked) -> Deed:
    """What is written down of one change."""
    place = (change.section, change.name)
    former = next((entry.value for entry in vault.entries if (entry.section, entry.name) == place), None)
    before, after = (None if value is None else masked(change.section, value) for value in (former, change.value))
    verb = "rollback" if isinstance(ask, RollbackAsk) else "remove" if change.value is None else "set"
    return actor.deed(f"setting.{verb}", ".".join(place), before, after, ask.reason)
