"""The configuration of a running daemon: read again from its file, or changed in its store; taken on whole, or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog
from msgspec import Struct

from proxy.config.differing import in_words, lost_sections
from proxy.config.problems import ConfigProblems
from proxy.config.stored import Entry, Layers
from proxy.observe.notify import Notifier
from proxy.policy.values import Settings
from proxy.stores.failures import StoreError
from proxy.stores.secrets.vault import Vault
from proxy.web.operator.access.actor import ACTOR, Actor
from proxy.web.operator.settings.settings_orders import ReloadRefused
from proxy.web.operator.settings.stored_settings import Edit

log = structlog.get_logger()

ResultT = TypeVar("ResultT")

_REFUSALS = (ConfigProblems, ReloadRefused, StoreError)


class Reloadable(Protocol):
    """A running daemon, as far as a reload is concerned."""

    settings: Settings

    async def reload(self, settings: Settings, *, is_stored: bool = False) -> list[str]:
        """Take on other settings; say what changed. Raises `ReloadRefused` or `StoreError`."""

    def reload_refused(self) -> None:
        """A configuration could not be read; everything stays as it is."""

    def status(self) -> str:
        """One line for whoever supervises us."""


class Source(Struct, frozen=True):
    """Where the configuration comes from. `left_alone` returns once nobody writes its file any more; `read` lays what
    is stored over it, runs in a thread, and may raise `ConfigProblems`."""

    left_alone: Callable[[], Awaitable[None]]
    read: Callable[[tuple[Entry, ...]], tuple[Settings, Layers]]


class Reloader:
    """One change at a time, whoever asks for it. `layers` are in force, `vault` has what is stored."""

    def __init__(self, source: Source, daemon: Reloadable, notifier: Notifier, begun: tuple[Layers, Vault]) -> None:
        self.layers, self.vault = begun
        self._source = source
        self._daemon = daemon
        self._notifier = notifier
        self._turn = asyncio.Lock()

    async def __call__(self, is_meant: bool = False) -> list[str]:
        """Read the file again; what changed, a line each. Raises `ConfigProblems`, `ReloadRefused` or `StoreError`, told in
        the log as well.

        `is_meant`: every provider or budget may be dropped. A file somebody is writing is waited for.
        """
        async with self._turn:
            self._notifier.reloading()
            try:
                await self._source.left_alone()
                await self._look_again()
                settings, layers = await self._read(self.vault.entries)
                if not is_meant and (lost := lost_sections(self._daemon.settings, settings)):
                    raise ReloadRefused(lost)
                changes = await self._daemon.reload(settings)
            except _REFUSALS as problems:
                self._daemon.reload_refused()
                log.error("reload_refused", problems=str(problems))
                raise
            finally:
                self._notifier.ready(self._daemon.status())
            self.layers = layers
            log.info("reloaded", changes=changes)
            return changes

    async def quietly(self) -> None:
        """The same for a signal or a changed file, which nobody waits for."""
        ACTOR.set(Actor(source="SIGHUP or --watch"))
        try:
            await self()
        except _REFUSALS:
            return  # the log has it

    async def change(self, plan: Callable[[Layers, Vault], Edit]) -> list[str]:
        """Take on what `plan` makes of the stored settings, and keep it; what changed, a line each.

        In force before it is kept, and taken back where it cannot be: what was answered is kept. Raises what `plan`
        raises, `ConfigProblems`, `ReloadRefused`, `StoreError`, and what keeping raises.
        """
        async with self._turn:
            if not self.vault.is_read:
                await self._look_again()
            edit = plan(self.layers, self.vault)
            settings, layers = await self._read(edit.entries)
            before = self._daemon.settings
            if edit.keep is None:
                return in_words(before, settings)
            changes = await self._daemon.reload(settings, is_stored=True)
            try:
                await edit.keep()
            except BaseException:
                await self._daemon.reload(before, is_stored=True)
                raise
            self.layers = layers
            log.info("settings_changed", changes=changes)
            return changes

    async def with_vault(self, work: Callable[[Vault], Awaitable[ResultT]]) -> ResultT:
        """Do something with what is stored while nobody else changes it."""
        async with self._turn:
            return await work(self.vault)

    async def _look_again(self) -> None:
        """At what is stored, and at the master keys."""
        if self.vault.look is not None:
            self.vault = self.vault.again(await asyncio.to_thread(self.vault.look))

    async def _read(self, stored: tuple[Entry, ...]) -> tuple[Settings, Layers]:
        return await asyncio.to_thread(self._source.read, stored)
