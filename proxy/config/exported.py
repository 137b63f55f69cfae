"""Stored settings as a file, and such a file as changes of what is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy.config.loader import parse
from proxy.config.locate import read_text
from proxy.config.problems import ConfigProblems, path_text
from proxy.config.stored import MASK, at, lists, put, secret_paths
from proxy.config.stored import sections as stored_sections

Sections = Mapping[str, Mapping[str, Mapping[str, Any]]]  # entries as `GET /settings` has them

_NAMED = ("providers", "models", "strategies", "tenants", "alerts")  # sections whose entries others name
_KEPT = "kept-in-the-store"
_PLACEHOLDER = re.compile(rf"\$\{{TOLLKEEPER_[A-Z0-9_]+:-{_KEPT}\}}")


def exported(sections: Sections) -> dict[str, Any]:
    """What stands in the store, and what it names of the file and the environment, as a configuration that can be
    checked. A secret's place holds a variable whose default says where it is, so that the file holds none."""
    known = {
        (section, name): entry["value"] for section, entries in sections.items() for name, entry in entries.items()
    }
    wanted = [place for place in known if sections[place[0]][place[1]]["source"] == "store"]
    for place in wanted:  # which grows on the way
        words = set(_words(known[place]))
        wanted += [other for other in known if other[0] in _NAMED and other[1] in words and other not in wanted]
    found: dict[str, Any] = {}
    for section in sections:
        names = [name for name in sections[section] if (section, name) in wanted]
        values = {name: _without_secrets(section, name, known[section, name]) for name in names}
        if values:
            found[section] = [{"name": name, **row} for name, row in values.items()] if section in lists() else values
    return found


def not_in_file(changes: Iterable[dict[str, Any]], sections: Sections) -> list[dict[str, Any]]:
    """The changes but those that say what the file or the environment says as well."""
    return [change for change in changes if not _is_elsewhere(change, sections)]


def _is_elsewhere(change: dict[str, Any], sections: Sections) -> bool:
    section, name = change["section"], change["name"]
    entry = sections[section].get(name)
    if entry is None or entry["source"] == "store":
        return False
    value = _with_masks(section, _without_secrets(section, name, entry["value"]))
    return bool({"name": name, **value} == change["value"] if section in lists() else value == change["value"])


def _words(value: Any) -> Iterator[str]:
    """Every text and name in a value, and what stands before its first slash."""
    if isinstance(value, dict):
        yield from value
        yield from (word for item in value.values() for word in _words(item))
    elif isinstance(value, list):
        yield from (word for item in value for word in _words(item))
    elif isinstance(value, str):
        yield from (value, value.partition("/")[0])


def read_exported(file: Path) -> list[dict[str, Any]]:
    """The entries of a file as {section, name, value}, secrets that are in the store as they are shown.

    Raises ConfigProblems.
    """
    document = parse(read_text(file), str(file))
    problems = list(document.problems)
    changes = []
    for section, content in document.tree.items():
        if section not in stored_sections():
            problems.append(document.problem((section,), "is no section with entries to store", at_name=True))
            continue
        rows = content.items() if isinstance(content, dict) else enumerate(content if isinstance(content, list) else ())
        for step, value in rows:
            name = value.get("name") if isinstance(step, int) and isinstance(value, dict) else step
            if not isinstance(name, str):
                problems.append(document.problem((section, step), "needs a name to be stored under"))
                continue
            changes.append({"section": section, "name": name, "value": _with_masks(section, value)})
    if problems:
        raise ConfigProblems(problems)
    return changes


def _without_secrets(section: str, name: str, value: Any) -> Any:
    for path in list(secret_paths(section, value)):
        variable = re.sub(r"[^A-Z0-9]+", "_", path_text((section, name, *path)).upper())
        value = put(value, path, f"${{TOLLKEEPER_{variable}:-{_KEPT}}}")
    return value


def _with_masks(section: str, value: Any) -> Any:
    for path in list(secret_paths(section, value)):
        if _PLACEHOLDER.fullmatch(at(value, path)):
            value = put(value, path, MASK)
    return value
