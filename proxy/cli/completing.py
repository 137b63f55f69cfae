"""What the shell offers for arguments and options. It is quick and silent: what cannot be known is not offered."""

from __future__ import annotations

import os
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from proxy.policy.values import Settings

_PATIENCE = 0.2  # seconds the daemon has to name its keys


def client_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The clients `connect` knows."""
    from proxy.cli.snippets import read_clients

    return _items(read_clients(), incomplete)


def key_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys of the configuration, and those of the store while the daemon runs."""
    from proxy.cli.client import glance

    settings = _settings(context)
    if settings is None:
        return []
    configured = [caller.name for caller in settings.callers]
    listed = glance(settings, "keys", _PATIENCE).get("keys", [])
    return _items(dict.fromkeys([*configured, *(key["name"] for key in listed)]), incomplete)


def model_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the configuration and of the list of models that came with the package."""
    from proxy.data import snapshot_bytes
    from proxy.policy.names.feed import read_feed
    from proxy.policy.names.resolution import Names

    settings = _settings(context)
    if settings is None:
        return []
    return _items(Names(settings, read_feed(snapshot_bytes()), {}).offered(), incomplete)


def _settings(context: click.Context) -> Settings | None:
    """The configuration in force, or None where it has problems, which are `check`'s to tell."""
    from proxy.config import ConfigProblems, find_config, load

    try:
        return load(find_config(context.params.get("config_path"), os.environ), os.environ).settings
    except (ConfigProblems, OSError):
        return None


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
