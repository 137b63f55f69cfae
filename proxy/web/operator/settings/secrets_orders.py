"""The operator's orders about the keys that stored secrets hang on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from proxy.stores.audit import Deed, append
from proxy.stores.database import raw
from proxy.stores.secrets.master_keys import MasterKeys
from proxy.stores.secrets.rotation import Rotated, Use, prune, rotate
from proxy.stores.secrets.sealing import Sealer
from proxy.stores.secrets.vault import Vault
from proxy.stores.settings import DataKey, data_keys
from proxy.web.operator.access.actor import ACTOR
from proxy.web.operator.admin_api import instant
from proxy.web.operator.settings.settings_orders import Host, Ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection

Params = dict[str, Any]

SECRETS_ORDERS = ("secrets", "rotate_secrets", "prune_secrets")
_TARGET = "master keys"


class MasterKeyRow(Struct, frozen=True):
    """A label: what it is for, and on how many data keys it is."""

    label: str
    state: Literal["active", "decrypts only", "missing"]
    data_keys: int


class DataKeyRow(Struct, frozen=True):
    """A data key: whose secrets it seals (`tenant` "" is everybody), under which master key it is, which entries it has
    sealed and how many things it keeps for clients. `problem` says why it cannot be opened; "" where it can."""

    id: str
    tenant: str
    master_key: str
    created: str
    entries: list[str]
    files: int
    problem: str


class UnreadableEntry(Struct, frozen=True):
    """A stored entry in force whose secret could not be opened, and why."""

    entry: str
    problem: str


class SecretsAnswer(Struct, frozen=True):
    """What stored secrets hang on, and what is wrong with it. `ok`: nothing is. `source` is where the master keys stand,
    `writable` whether they can be changed there by us."""

    ok: bool
    source: str
    writable: bool
    problem: str
    master_keys: list[MasterKeyRow]
    data_keys: list[DataKeyRow]
    unreadable: list[UnreadableEntry]


class RotatedAnswer(Struct, frozen=True):
    """`master_key` is the label that is active now; `is_new`: it was made by this. `wrapped` data keys hang on it that
    did not before; `unreadable` says why the others could not be opened. `rehearsed`: nothing of it was done."""

    master_key: str
    is_new: bool
    wrapped: int
    unreadable: list[str]
    rehearsed: bool


class PrunedAnswer(Struct, frozen=True):
    """The labels that were taken out; `rehearsed`: that would be."""

    removed: list[str]
    rehearsed: bool


class RotateSecretsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`rehearse` says only what it would do."""

    rehearse: bool = False


class SecretsOrders:
    """`by_name` as `Orders` has them. Nobody changes what is stored while one of them is at work."""

    def __init__(self, ledger: Ledger, host: Host) -> None:
        self._ledger = ledger
        self._host = host
        done: tuple[Callable[[Params], Awaitable[Any]], ...] = (self._status, self._rotate, self._prune)
        self.by_name = dict(zip(SECRETS_ORDERS, done, strict=True))

    async def _status(self, _: Params) -> SecretsAnswer:
        masters, (keys, used) = await asyncio.to_thread(self._found)
        return _standing(masters, keys, used, self._host.reload_now.vault)

    def _found(self) -> tuple[MasterKeys, tuple[list[DataKey], dict[str, Use]]]:
        return self._host.reload_now.vault.masters_now(), self._ledger.files.data_keys_and_uses()

    async def _rotate(self, params: Params) -> RotatedAnswer:
        ask, now, actor = msgspec.convert(params, RotateSecretsAsk), time.time(), ACTOR.get()

        def work(connection: Connection, masters: MasterKeys) -> tuple[Rotated, Deed]:
            before = list(masters.keys)
            done = rotate(connection, masters, now, is_rehearsal=ask.rehearse)
            told = {"wrapped": [key.id for key in done.wrapped], "master_keys": list(masters.keys)}
            return done, actor.deed("secrets.rotate", _TARGET, {"master_keys": before}, told)

        done = await self._written(work, is_rehearsal=ask.rehearse)
        return RotatedAnswer(done.label, done.is_new, len(done.wrapped), list(done.unreadable), ask.rehearse)

    async def _prune(self, params: Params) -> PrunedAnswer:
        ask, actor, state_dir = msgspec.convert(params, RotateSecretsAsk), ACTOR.get(), self._ledger.files.state_dir

        def work(connection: Connection, masters: MasterKeys) -> tuple[list[str], Deed]:
            before = list(masters.keys)
            done = prune(connection, masters, state_dir, is_rehearsal=ask.rehearse)
            told = {"master_keys": list(masters.keys)}
            return done, actor.deed("secrets.prune", _TARGET, {"master_keys": before}, told)

        return PrunedAnswer(await self._written(work, is_rehearsal=ask.rehearse), ask.rehearse)

    async def _written(self, work: Callable[[Connection, MasterKeys], tuple[Any, Deed]], *, is_rehearsal: bool) -> Any:
        """Do it in one transaction with its row of the audit; the vault has what came of it."""

        async def at_vault(vault: Vault) -> Any:
            masters = await asyncio.to_thread(vault.masters_now)

            def job(connection: Connection) -> tuple[Any, list[DataKey]]:
                done, deed = work(connection, masters)
                if not is_rehearsal:
                    append(connection, [deed])
                return done, data_keys(raw(connection))

            done, keys = await self._ledger.run(job)
            if not is_rehearsal:
                vault.sealer.take_on(masters, keys)
            return done

        return await self._host.reload_now.with_vault(at_vault)


def _standing(masters: MasterKeys, keys: list[DataKey], used: dict[str, Use], vault: Vault) -> SecretsAnswer:
    sealer = Sealer(masters, keys)
    rows = [_row(key, used.get(key.id, Use()), sealer.check(key)) for key in keys]
    unreadable = [UnreadableEntry(f"{e.section}.{e.name}", e.unreadable) for e in vault.entries if e.unreadable]
    is_ok = not masters.trouble and not unreadable and not any(row.problem for row in rows)
    labels = _labels(masters, keys)
    return SecretsAnswer(is_ok, masters.source, masters.is_writable, masters.trouble, labels, rows, unreadable)


def _labels(masters: MasterKeys, keys: Iterable[DataKey]) -> list[MasterKeyRow]:
    counts: dict[str, int] = dict.fromkeys(masters.keys, 0)
    for key in keys:
        counts[key.label] = counts.get(key.label, 0) + 1
    return [
        MasterKeyRow(
            label,
            "missing" if label not in masters.keys else "active" if label == masters.active else "decrypts only",
            count,
        )
        for label, count in counts.items()
    ]


def _row(key: DataKey, use: Use, problem: str) -> DataKeyRow:
    return DataKeyRow(key.id, key.tenant, key.label, instant(key.created_ms), list(use.entries), use.files, problem)
