"""What an entry of `models:` said in two of its versions."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from proxy.config.use_cases import KeptVersion
from proxy.stores.use_cases import kept_versions
from proxy.web.operator.admin_api import Declined, Unknown, instant


class ModelDiffAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Two versions of a name, by their numbers."""

    name: str
    before: int
    after: int


class ModelVersionAnswer(Struct, frozen=True):
    """One version: what the entry said, and since when it was first in force."""

    version: int
    digest: str
    at: str
    content: str


class ModelDiffAnswer(Struct, frozen=True):
    """Both, and what differs, a line each as `diff -u` has it."""

    name: str
    before: ModelVersionAnswer
    after: ModelVersionAnswer
    lines: list[str]


def model_diff(state_dir: str, ask: ModelDiffAsk) -> ModelDiffAnswer:
    """Compare them. Raises `Unknown` for a version nobody remembers."""
    import difflib  # only where it is wanted: it costs start-up time

    kept = kept_versions(Path(state_dir) / "ledger.db")
    if kept is None:
        raise Declined("the ledger, which keeps the versions, cannot be read now")
    of_name = [version for version in kept if version.name == ask.name]
    before, after = (_version(of_name, ask.name, number) for number in (ask.before, ask.after))
    names = f"{ask.name}@{ask.before}", f"{ask.name}@{ask.after}"
    lines = difflib.unified_diff(before.content.splitlines(), after.content.splitlines(), *names, lineterm="")
    return ModelDiffAnswer(ask.name, before, after, list(lines))


def _version(of_name: list[KeptVersion], name: str, number: int) -> ModelVersionAnswer:
    for version in of_name:
        if version.number == number:
            content = msgspec.json.format(version.content, indent=1).decode()
            return ModelVersionAnswer(number, version.digest, instant(version.at_ms), content)
    known = ", ".join(str(version.number) for version in of_name)
    there = f"there is: {known}" if known else "versions are kept of names that have a system text or overrides"
    raise Unknown(f"{name} has no version {number}; {there}")
