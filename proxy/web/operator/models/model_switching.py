"""Models switched off and on again: what that makes of `model_switches`, which are settings as any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from proxy.config.stored import Layers
from proxy.stores.secrets.vault import Vault
from proxy.stores.settings import StoredSetting
from proxy.web.operator.admin_api import Unknown
from proxy.web.operator.settings.stored_settings import Wanted

SECTION = "model_switches"


class ModelSwitchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether what the pattern matches (over `author/slug`, `provider/model` and names under `models:`) may be used, by
    everybody or by one key."""

    pattern: str
    enabled: bool
    key: str | None = None
    reason: str = ""


class SwitchAsk(ModelSwitchBody, frozen=True, forbid_unknown_fields=True):
    """`rehearse` says only what it would change."""

    rehearse: bool = False


class UndoAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """The latest switching is to be taken back."""

    reason: str = "undone"
    rehearse: bool = False


def switched(layers: Layers, vault: Vault, ask: SwitchAsk) -> list[Wanted]:
    """The entries that are to change: narrower ones under the pattern go, as they would say otherwise, and nothing is left
    that switches on what nothing switches off."""
    stored = {entry.name: entry.value for entry in vault.entries if entry.section == SECTION}
    left = {name: told.value for name, told in layers.section(SECTION).items()}
    wanted = {name: _said(value, ask.key, None) for name, value in stored.items() if fnmatchcase(name, ask.pattern)}
    left |= wanted
    if not ask.enabled or any(_says(value, ask.key) is False for value in left.values()):
        wanted[ask.pattern] = _said(stored.get(ask.pattern), ask.key, ask.enabled)
    return [Wanted(SECTION, name, value) for name, value in wanted.items() if value != stored.get(name)]


def undone(vault: Vault, rows: Iterable[StoredSetting]) -> list[Wanted]:
    """What takes the newest change back, all its entries. Raises `Unknown` where nothing was ever switched."""
    own = [row for row in rows if row.section == SECTION]
    if not own:
        raise Unknown("no model was switched off or on yet")
    values = {(row.name, row.version): row.value for row in own}
    stored = {entry.name: entry.value for entry in vault.entries if entry.section == SECTION}
    latest = [row for row in own if row.at_ms == own[0].at_ms]
    before = {row.name: values.get((row.name, row.version - 1)) for row in latest}
    return [Wanted(SECTION, name, value) for name, value in before.items() if value != stored.get(name)]


def _says(value: Any, key: str | None) -> bool | None:
    """What an entry says for everybody, or for one key."""
    enabled, keys = _parts(value)
    return enabled if key is None else keys.get(key, enabled)


def _said(value: Any, key: str | None, enabled: bool | None) -> Any:
    """The entry with this said for everybody, or for one key; None where it says nothing any more."""
    everybody, keys = _parts(value)
    if key is None:
        everybody = enabled
    else:
        keys = {name: flag for name, flag in keys.items() if name != key} | dict(_pair(key, enabled))
    if keys:
        return {"keys": keys} if everybody is None else {"enabled": everybody, "keys": keys}
    return everybody


def _pair(key: str, enabled: bool | None) -> Iterator[tuple[str, bool]]:
    if enabled is not None:
        yield key, enabled


def _parts(value: Any) -> tuple[bool | None, dict[str, bool]]:
    if isinstance(value, dict):
        return value.get("enabled"), value.get("keys") or {}
    return value, {}
