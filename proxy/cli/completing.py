"""What the shell offers for arguments and options. It is quick and silent: what cannot be known is not offered."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from proxy.cli.home import Home

if TYPE_CHECKING:
    from proxy.policy.values import Settings

_PATIENCE = 0.2  # seconds the daemon has to name its keys


def client_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The clients `connect` knows."""
    from proxy.cli.snippets import read_clients

    return _items(read_clients(), incomplete)


def key_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys the daemon knows; those of the configuration where none runs."""
    from proxy.cli.client import glance

    home = _home(context)
    if home is None:
        return []
    listed = [key["name"] for key in glance(home, "keys", _PATIENCE).get("keys", [])]
    settings = None if listed else _settings(home)
    return _items(listed if settings is None else [caller.name for caller in settings.callers], incomplete)


def tenant_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tenants the daemon knows; those of the configuration where none runs."""
    from proxy.cli.client import glance

    home = _home(context)
    if home is None:
        return []
    listed = glance(home, "settings", _PATIENCE).get("sections", {}).get("tenants", {})
    settings = None if listed else _settings(home)
    return _items(listed if settings is None else settings.tenants, incomplete)


def model_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names the daemon knows; where none runs, those of the configuration and of the list that came with the package."""
    from proxy.cli.client import glance

    home = _home(context)
    if home is None:
        return []
    if listed := glance(home, "models", _PATIENCE).get("models"):
        return _items((row["name"] for row in listed), incomplete)
    settings = _settings(home)
    if settings is None:
        return []
    from proxy.data import snapshot_bytes
    from proxy.policy.names.feed import read_feed
    from proxy.policy.names.resolution import Names

    return _items(Names(settings, read_feed(snapshot_bytes()), {}).offered(), incomplete)


def _home(context: click.Context) -> Home | None:
    """Where the daemon is, or None where a problem is in the way, which is `check`'s to tell."""
    from proxy.config.discover import find_config
    from proxy.config.locate import locate
    from proxy.config.problems import ConfigProblems

    try:
        found = locate(find_config(context.params.get("config_path"), os.environ), os.environ)
    except (ConfigProblems, OSError):
        return None
    return Home(found.file, found.state_dir, found.zone)


def _settings(home: Home) -> Settings | None:
    from proxy.cli.lean_imports import import_config_lean

    import_config_lean()
    from proxy.config.load import load
    from proxy.config.problems import ConfigProblems

    try:
        return load(home.file, os.environ, needs_secrets=False).settings
    except (ConfigProblems, OSError):
        return None


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
