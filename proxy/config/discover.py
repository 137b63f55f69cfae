"""Where things are when nobody says: the file, the state directory, the time zone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from proxy.config.problems import ConfigProblems, Problem

SYSTEM_CONFIG = Path("/etc/tollkeeper/config.yaml")
SYSTEM_STATE = "/var/lib/tollkeeper"
_LOCAL_TIME = Path("/etc/localtime")
NO_PROVIDER = (
    "no provider is configured: set OPENROUTER_API_KEY, OPENAI_API_KEY or ANTHROPIC_API_KEY, "
    "write a configuration with `tollkeeper init`, or practise on the built-in one with `tollkeeper serve --mock`"
)


def find_config(chosen: str | None, env: Mapping[str, str], system: Path = SYSTEM_CONFIG) -> Path | None:
    """Return the file to read, or None when the environment decides.

    `chosen` (--config) and $TOLLKEEPER_CONFIG count even where no file is: a typo must not go unnoticed.
    Raises ConfigProblems where a home cannot be looked into.
    """
    named = chosen or env.get("TOLLKEEPER_CONFIG")
    if named:
        return expand(named, env)
    usual = user_config(env)
    try:
        if usual.is_file():
            return usual
    except PermissionError:
        sentence = f"it cannot be looked for: {_home(env)} is not for you to read; set HOME, or name a file: --config"
        raise ConfigProblems([Problem(str(usual), 0, 0, "", sentence)]) from None
    try:
        return system if system.is_file() else None
    except PermissionError:
        return system  # whoever reads it says whose it is


def user_config(env: Mapping[str, str]) -> Path:
    """Return where a user's own configuration lives."""
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "tollkeeper" / "config.yaml"


def state_dir(explicit: str | None, source: Path | None, env: Mapping[str, str]) -> str:
    """Return the state directory: as configured, systemd's, the system's, or the user's."""
    if explicit:
        return str(beside(explicit, source, env))
    if systemd := env.get("STATE_DIRECTORY", "").split(":")[0]:
        return systemd
    if source is not None and source.absolute().is_relative_to("/etc"):
        return SYSTEM_STATE
    return str(_xdg(env, "XDG_STATE_HOME", ".local/state") / "tollkeeper")


def beside(name: str, source: Path | None, env: Mapping[str, str]) -> Path:
    """Make a path of the configuration absolute; a relative one starts beside the file."""
    folder = source.absolute().parent if source is not None else Path.cwd()
    return folder / expand(name, env)


def key_file(name: str, source: Path | None, env: Mapping[str, str]) -> Path:
    """Say which file `api_key_file` names: a systemd credential of that name, else a path as any other."""
    credentials = env.get("CREDENTIALS_DIRECTORY")
    if credentials and os.access(Path(credentials) / name, os.R_OK):
        return Path(credentials) / name
    return beside(name, source, env)


def master_key_file(explicit: str | None, source: Path | None, env: Mapping[str, str], folder: str) -> str:
    """Return where the master keys are: as configured, a systemd credential of that name, or beside the ledger."""
    return str(key_file(explicit, source, env) if explicit else Path(folder) / "master.key")


def expand(name: str, env: Mapping[str, str]) -> Path:
    """Replace a leading ~ by the home directory."""
    return _home(env) / name[2:] if name.startswith("~/") else Path(name)


def machine_zone(env: Mapping[str, str]) -> tzinfo:
    """The machine's time zone: $TZ, else what /etc/localtime points to, else UTC's present offset here."""
    name = env.get("TZ", "").lstrip(":")
    if not name:
        target = os.path.realpath(_LOCAL_TIME)
        name = target.partition("zoneinfo/")[2]
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.now().astimezone().tzinfo or UTC


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    """A relative value is to be ignored, says the XDG specification."""
    value = env.get(variable, "")
    return Path(value) if value.startswith("/") else _home(env) / default


def _home(env: Mapping[str, str]) -> Path:
    """A container's user may have no home at all; then paths start at the root, where writing fails clearly."""
    home = env.get("HOME") or os.path.expanduser("~")
    return Path(home if home.startswith("/") else "/")
