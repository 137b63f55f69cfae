"""Settings changed while the daemon runs: what is asked, what it would make of the store, and the answers.

What the file says wins and is read-only here. Nothing here is taken on; that is the reload's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct

from proxy.config.problems import path_text, suggestion
from proxy.config.stored import MASK, Entry, Layers, Written, at, secret_paths, sections, with_former
from proxy.stores.secrets.vault import Change, Told, Vault
from proxy.stores.settings import StoredSetting
from proxy.web.operator.admin_api import Declined, InFile, Unknown, instant


class SettingAnswer(Struct, frozen=True):
    """One entry as it is in force, its secrets masked. `source` is "store", "environment", or the file and its line;
    `version` is 0 there."""

    version: int
    value: Any
    source: str


class SettingsAnswer(Struct, frozen=True):
    """Every entry, by section and name."""

    sections: dict[str, dict[str, SettingAnswer]]


class SettingsChangedAnswer(Struct, frozen=True):
    """What changed, a line each (`rehearsed`: would change), and the entries as they are in force now."""

    changes: list[str]
    rehearsed: bool
    entries: list[SettingAnswer]


class SettingSetAnswer(SettingAnswer, frozen=True):
    """One entry as it is in force, and what that changed, a line each; `rehearsed`: what it would change."""

    changes: list[str]
    rehearsed: bool


class SettingVersion(Struct, frozen=True):
    """One change of a stored entry; no value: it was removed."""

    section: str
    name: str
    version: int
    value: Any
    at: str
    actor: str
    reason: str


class SettingsHistoryAnswer(Struct, frozen=True):
    """Changes, the newest first."""

    versions: list[SettingVersion]


class Changed(Declined):
    """It is of another version than whoever changes it has read."""


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry that is to be so; `value` None removes it. `version` is the one it must have now, where given."""

    section: str
    name: str
    value: Any = None
    version: int | None = None


class ChangeAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it, or nothing; `rehearse` says only what it would change."""

    changes: list[Wanted]
    reason: str = ""
    rehearse: bool = False


class Edit(Struct, frozen=True):
    """What the stored settings will be, and what keeps them; `keep` None: it is a rehearsal."""

    entries: tuple[Entry, ...]
    keep: Callable[[], Awaitable[object]] | None


def changes_asked(layers: Layers, vault: Vault, ask: Iterable[Wanted]) -> list[Change]:
    """What to change, its masked secrets put back. Raises `InFile`, `Changed`, `Unknown` or `Declined`."""
    stored = {(entry.section, entry.name): entry for entry in vault.entries}
    found: dict[tuple[str, str], Change] = {}
    for wanted in ask:
        _refuse_section(wanted.section)
        if (wanted.section, wanted.name) in found:
            raise Declined(f"{wanted.section}.{wanted.name} is named twice in one change; say once what it shall be")
        if line := layers.line_of(wanted.section, wanted.name):
            raise InFile(f"{wanted.section}.{wanted.name} stands in {_line(layers, line)}; change it there, and reload")
        former = stored.get((wanted.section, wanted.name))
        version = 0 if former is None else former.version
        if wanted.version is not None and wanted.version != version:
            raise Changed(_changed(wanted, version))
        if wanted.value is None and former is None:
            raise _not_there(layers, wanted.section, wanted.name)
        value = wanted.value if former is None else with_former(wanted.section, wanted.value, former.value)
        _refuse_masked(wanted, value)
        found[wanted.section, wanted.name] = Change(wanted.section, wanted.name, value)
    return list(found.values())


def _changed(wanted: Wanted, version: int) -> str:
    entry, read = f"{wanted.section}.{wanted.name}", wanted.version
    if not version:
        return f"the change is of version {read} of {entry}, which is not there: it was removed, or never was; read what there is"
    happened = f"changed {entry} after version {read} was read" if read else f"made {entry} meanwhile"
    return f"somebody else {happened}: it has version {version} by now; read it again, and change that"


def refuse_empty(section: str, name: str, value: Any) -> None:
    """What is to be set says something, or an entry was removed where a variable of the shell is not set."""
    if value is None:
        raise Declined(
            f"{section}.{name} is given no value; is a variable not set? What removes it is `settings remove`"
        )


def _refuse_masked(wanted: Wanted, value: Any) -> None:
    for path in secret_paths(wanted.section, value):
        place, secret = path_text((wanted.section, wanted.name, *path)), at(value, path)
        if secret.startswith(MASK):
            raise Declined(f"{place} is a secret as it is shown, and none is stored there: write the secret itself")
        if secret.startswith("${") and secret.endswith("}"):
            raise Declined(f"{place} is a variable, which is filled in in the file alone: write the secret itself")


def told(actor: str, reason: str) -> Told:
    """Who changes something now."""
    return Told(actor, reason, int(time.time() * 1000))


def one(layers: Layers, section: str, name: str) -> SettingAnswer:
    """One entry as it is in force. Raises `Unknown`."""
    _refuse_section(section)
    found = layers.entry(section, name)
    if found is None:
        raise _not_there(layers, section, name)
    return SettingAnswer(found.version, found.value, _source(layers, found))


def all_of(layers: Layers, section: str | None) -> SettingsAnswer:
    """Every entry of a section, or of all of them. Raises `Unknown`."""
    if section is not None:
        _refuse_section(section)
    return SettingsAnswer(
        {
            each: {
                name: SettingAnswer(found.version, found.value, _source(layers, found))
                for name, found in layers.section(each).items()
            }
            for each in ([section] if section else sections())
        }
    )


def versions(rows: Iterable[StoredSetting], section: str | None, name: str | None) -> list[SettingVersion]:
    """What was changed, the newest first; secrets masked."""
    return [
        SettingVersion(
            row.section, row.name, row.version, without_seals(row.value), instant(row.at_ms), row.actor, row.reason
        )
        for row in rows
        if section in (None, row.section) and name in (None, row.name)
    ]


def without_seals(value: Any) -> Any:
    """A stored value with `…` for every secret."""
    if isinstance(value, dict):
        is_sealed = value.keys() == {"sealed"}
        return "…" if is_sealed else {name: without_seals(item) for name, item in value.items()}
    return [without_seals(item) for item in value] if isinstance(value, list) else value


def _refuse_section(section: str) -> None:
    if section not in (known := sections()):
        raise Unknown(
            f"no section {section!r} has entries to set{suggestion(section, known)}; there is: {', '.join(known)}"
        )


def _not_there(layers: Layers, section: str, name: str) -> Unknown:
    known = layers.names(section)
    near = suggestion(name, known) or f"; there is: {', '.join(known[:20]) or 'nothing'}"
    return Unknown(f"{section} has no {name!r}{near}")


def _source(layers: Layers, found: Written) -> str:
    if found.line is not None:
        return _line(layers, found.line)
    return "store" if found.version else "environment"


def _line(layers: Layers, line: int) -> str:
    return f"{layers.document.file}, line {line}"
