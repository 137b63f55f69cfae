"""The orders about settings and their secrets on the files of a daemon that does not run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.cli.stopped.state import on_ledger
from proxy.config.differing import in_words
from proxy.config.load import load
from proxy.config.stored import Layers
from proxy.policy.values import Settings
from proxy.stores.effective import Effective
from proxy.stores.questions.queries import Files
from proxy.stores.secrets.vault import Vault
from proxy.web.operator.answers import Answer
from proxy.web.operator.settings.secrets_orders import SECRETS_ORDERS, SecretsOrders
from proxy.web.operator.settings.settings_orders import SETTINGS_ORDERS, NothingToRead, SettingsOrders
from proxy.web.operator.settings.stored_settings import Edit

if TYPE_CHECKING:
    from sqlalchemy import Connection

STORE_ORDERS = (*SETTINGS_ORDERS, *SECRETS_ORDERS)


class _Files:
    """A state directory and its configuration, in the place of the daemon's."""

    def __init__(self, file: Path | None, effective: Effective) -> None:
        self.files = Files(Path(effective.loaded.settings.state_dir))
        self.reload_now = _Reload(file, effective)
        self._state_dir = Path(effective.loaded.settings.state_dir)

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """In a transaction."""
        return on_ledger(self._state_dir, work)


class _Reload(NothingToRead):
    """What the next daemon will be told."""

    def __init__(self, file: Path | None, effective: Effective) -> None:
        self.layers: Layers = effective.loaded.layers
        self.vault: Vault = effective.vault
        self._file = file
        self._settings: Settings = effective.loaded.settings

    async def change(self, plan: Callable[[Layers, Vault], Edit]) -> list[str]:
        """Check it as a start would, less secrets that are elsewhere, and keep it."""
        edit = plan(self.layers, self.vault)
        loaded = load(self._file, os.environ, needs_secrets=False, stored=edit.entries)
        if edit.keep is not None:
            await edit.keep()
            self.layers = loaded.layers
        return in_words(self._settings, loaded.settings)


def settings_answer(file: Path | None, effective: Effective, order: str, params: dict[str, Any]) -> Answer:
    """Do what the daemon would."""
    files = _Files(file, effective)
    orders = {**SettingsOrders(files, files).by_name, **SecretsOrders(files, files).by_name}
    return asyncio.run(_done(orders[order](params)))


async def _done(answer: Awaitable[Answer]) -> Answer:
    return await answer
