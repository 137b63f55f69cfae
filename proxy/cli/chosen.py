"""The configuration a daemon was told to run on: what the command line says of it, and reading it so."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

import proxy
from proxy.watching import stamp_of

if TYPE_CHECKING:
    from proxy.config.problems import ConfigProblems
    from proxy.config.stored import Entry, Layers
    from proxy.config.terms import Terms
    from proxy.policy.values import Settings
    from proxy.stores.keys import StoredKey

_PACKAGE = Path(proxy.__file__)
_STAMP = stamp_of(_PACKAGE)
REPLACED = "Tollkeeper was installed anew since this daemon started: restart the daemon, and it reads its configuration"


class Chosen(Struct, frozen=True):
    """What the command line says of the configuration. None leaves it as it is."""

    config_path: str | None = None
    mock: bool = False
    host: str | None = None
    port: int | None = None
    admin_port: int | None = None

    def over(self, settings: Settings) -> Settings:
        """The settings with the addresses that were chosen. Raises ConfigProblems."""
        from proxy.config.checks import OPEN_TO_STRANGERS, is_loopback
        from proxy.config.problems import ConfigProblems, Problem

        listen, admin = settings.listen, settings.admin
        data = {"host": self.host, "port": self.port}
        if changed := {name: value for name, value in data.items() if value is not None}:
            listen = replace(listen, socket=None, **changed)
        if self.admin_port is not None:
            admin = replace(admin, socket=None, port=self.admin_port)
        if not is_loopback(listen.host) and not settings.callers and listen != settings.listen:
            raise ConfigProblems([Problem(f"--host {listen.host}", 0, 0, "", OPEN_TO_STRANGERS)])
        return replace(settings, listen=listen, admin=admin)

    def read(self) -> tuple[Settings, Layers, Terms] | ConfigProblems:
        """The configuration, with what is stored, and what bounds stored keys; or what is wrong with it."""
        from proxy.cli.lean_imports import import_config_lean

        import_config_lean()
        from proxy.config.discover import find_config
        from proxy.config.problems import ConfigProblems
        from proxy.config.terms import terms_of
        from proxy.stores.effective import load_effective
        from proxy.stores.failures import StoreError
        from proxy.stores.questions.queries import Files

        try:
            loaded = load_effective(find_config(self.config_path, os.environ), os.environ, mock=self.mock).loaded
            settings = self.over(loaded.settings)
        except ConfigProblems as problems:
            return problems
        keys: list[StoredKey] = []
        with contextlib.suppress(StoreError, OSError):  # whoever opens it will say why
            keys = Files(Path(settings.state_dir)).stored_keys()
        return settings, loaded.layers, terms_of((key.limits, key.budgets) for key in keys)

    def read_again(self, stored: tuple[Entry, ...]) -> tuple[Settings, Layers]:
        """The same with this stored, in a daemon that runs. Raises `ConfigProblems`, and `ReloadRefused` where what reads it
        would be that of another version."""
        from proxy.config.discover import find_config
        from proxy.web.operator.settings.settings_orders import ReloadRefused

        if "proxy.config.load" not in sys.modules and stamp_of(_PACKAGE) != _STAMP:
            raise ReloadRefused(REPLACED)
        from proxy.config.load import load

        loaded = load(find_config(self.config_path, os.environ), os.environ, mock=self.mock, stored=stored)
        return self.over(loaded.settings), loaded.layers
