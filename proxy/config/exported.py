"""Stored settings as a file, and such a file as changes of what is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.config.loader import parse
from proxy.config.locate import read_text
from proxy.config.problems import ConfigProblems, path_text
from proxy.config.stored import LISTS, SECTIONS, at, put, secret_paths

_KEPT = "kept-in-the-store"
_PLACEHOLDER = re.compile(rf"\$\{{TOLLKEEPER_[A-Z0-9_]+:-{_KEPT}\}}")


def exported(sections: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """What stands in the store, as a configuration that can be checked. A secret's place holds a variable whose default
    says where it is, so that the file holds none."""
    found: dict[str, Any] = {}
    for section, entries in sections.items():
        stored = {name: entry["value"] for name, entry in entries.items() if entry["source"] == "store"}
        values = {name: _without_secrets(section, name, value) for name, value in stored.items()}
        if values:
            found[section] = [{"name": name, **row} for name, row in values.items()] if section in LISTS else values
    return found


def read_exported(file: Path) -> list[dict[str, Any]]:
    """The entries of a file as {section, name, value}, secrets that are in the store as they are shown.

    Raises ConfigProblems.
    """
    document = parse(read_text(file), str(file))
    problems = list(document.problems)
    changes = []
    for section, content in document.tree.items():
        if section not in SECTIONS:
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
            value = put(value, path, "…")
    return value
