"""What people set while the daemon runs, laid over the file: what the file says wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args, get_origin

from msgspec import Struct

from proxy.config.document import Document, Tree
from proxy.config.problems import Path
from proxy.config.secrets import Concealed
from proxy.config.units import WrittenFloat
from proxy.policy.tenants import SECRET_HEADERS
from proxy.secret import Secret

MASK = "…"  # no key holds such a character
_SHOWN = 4  # the end of a secret that tells one from another
_LEAST_SHOWN = 12


def sections() -> tuple[str, ...]:
    """The sections with entries of their own; whatever else the file says is about the daemon itself."""
    return mappings() + lists()


@lru_cache(maxsize=1)
def mappings() -> tuple[str, ...]:
    """Those whose entries stand under their names."""
    return tuple(name for name, kind in _kinds().items() if get_origin(kind) is dict)


@lru_cache(maxsize=1)
def lists() -> tuple[str, ...]:
    """Those whose entries stand in a row."""
    rows = {name: get_args(kind)[0] for name, kind in _kinds().items() if get_origin(kind) is list}
    return tuple(name for name, row in rows.items() if hasattr(row, "model_fields"))


def _kinds() -> dict[str, Any]:
    """What each section of a configuration holds."""
    from proxy.config.models import Config  # a daemon that only serves does without

    return {name: field.annotation for name, field in Config.model_fields.items()}


class Entry(Struct, frozen=True):
    """One stored entry of a section: `value` is what the file would hold, with each secret as `Concealed` text.
    `version` counts its changes from 1; `unreadable` says why a secret of it could not be opened."""

    section: str
    name: str
    value: Any
    version: int = 1
    unreadable: str = ""

    @property
    def complaint(self) -> str:
        """Which secret could not be opened, and why."""
        return f"the secret stored for {self.section}.{self.name} cannot be opened: {self.unreadable}"


class Written(Struct, frozen=True):
    """One entry as somebody wrote it. `line` is that of the file, None elsewhere; `version` is 0 but
    in the store."""

    value: Any
    line: int | None
    version: int


class Layers:
    """The file and what is stored, each as it was read; never shown as a whole, for secrets may stand in both."""

    def __init__(self, document: Document, stored: tuple[Entry, ...] = ()) -> None:
        self.document = document
        self.stored = stored

    def section(self, section: str) -> dict[str, Written]:
        """Its entries by name; those of a list in the file are called by their place, from #1."""
        return {name: _shown(section, written) for name, written in self._as_written(section).items()}

    def entry(self, section: str, name: str) -> Written | None:
        """One of them; None where there is none."""
        written = self._as_written(section).get(name)
        return None if written is None else _shown(section, written)

    def names(self, section: str) -> list[str]:
        """What its entries are called."""
        return list(self._as_written(section))

    def _as_written(self, section: str) -> dict[str, Written]:
        """Its entries with their secrets."""
        found = {name: Written(value, line, 0) for name, value, line in self._in_file(section)}
        for entry in self.stored:
            if entry.section == section and entry.name not in found:
                found[entry.name] = Written(entry.value, None, entry.version)
        for path, variable in self.document.variables.items():
            if path[0] == section and path[1] not in found and path[2:] == ("api_key",):
                found[str(path[1])] = Written({"api_key": f"${{{variable}}}"}, None, 0)
        return found

    def line_of(self, section: str, name: str) -> int | None:
        """Where the file has this entry; None where it has none."""
        if section in mappings():
            place = self.document.place_of_name((section, name))
            return None if place is None else place[0]
        return next((line for known, _, line in self._in_file(section) if known == name), None)

    def _in_file(self, section: str) -> Iterator[tuple[str, Any, int]]:
        content = self.document.tree.get(section)
        if isinstance(content, dict):
            for name, value in content.items():
                yield name, value, self._line((section, name))
        elif isinstance(content, list):
            for index, value in enumerate(content):
                named = value.get("name") if isinstance(value, dict) else None
                name = named if isinstance(named, str) else f"#{index + 1}"
                yield name, value, self._line((section, index))

    def _line(self, path: Path) -> int:
        place = self.document.place_of_name(path) or self.document.place(path)
        return 0 if place is None else place[0]


def _shown(section: str, written: Written) -> Written:
    return Written(masked(section, written.value), written.line, written.version)


def lay_over(document: Document, tree: dict[str, Tree], stored: Iterable[Entry]) -> dict[str, Tree]:
    """The tree with every stored entry that the file does not have. `document` learns which paths are stored."""
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in tree.items()}
    for entry in stored:
        content = merged.get(entry.section)
        if entry.section in mappings() and isinstance(content, dict | None):
            if document.place((entry.section, entry.name)) is None:
                content = merged[entry.section] = {} if content is None else content
                content[entry.name] = _written(entry.value)
                document.stored[entry.section, entry.name] = (entry.section, entry.name)
        elif entry.section in lists() and isinstance(content, list | None):
            if not any(isinstance(item, dict) and item.get("name") == entry.name for item in content or ()):
                document.stored[entry.section, len(content or ())] = (entry.section, entry.name)
                merged[entry.section] = [*(content or ()), _named(entry)]
    return merged


def _named(entry: Entry) -> Tree:
    """A row of a list, with the name it is stored under where rows have names."""
    (row,) = get_args(_kinds()[entry.section])
    is_named = "name" in row.model_fields and isinstance(entry.value, dict)
    value: Tree = _written({"name": entry.name, **entry.value} if is_named else entry.value)
    return value


def _written(value: Any) -> Any:
    """As a file would have it: JSON's numbers have forgotten their digits, and the shortest that mean the same are those."""
    if isinstance(value, dict):
        return {name: _written(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return WrittenFloat(repr(value)) if isinstance(value, float) else value


def secret_paths(section: str, value: Any) -> Iterator[Path]:
    """Where in an entry's value a secret stands."""
    first = "" if section in mappings() else 0
    for path in _texts(value, ()):
        header = str(path[-1]).lower() if path[-2:-1] == ("headers",) else ""
        is_login = path[-1:] == ("proxy",) and "@" in at(value, path)
        if _is_secret((section, first, *path)) or header in SECRET_HEADERS or is_login:
            yield path


@lru_cache(maxsize=1024)  # entries look alike
def _is_secret(path: Path) -> bool:
    from proxy.config.sentences import flat_arguments, type_at

    kind = type_at(path)
    return kind is Secret or Secret in flat_arguments(kind)


def masked(section: str, value: Any) -> Any:
    """The same value, fit to be shown; a text that names a variable is no secret."""
    for path in secret_paths(section, value):
        text = at(value, path)
        if isinstance(text, Concealed) or not text.startswith("${"):
            value = put(value, path, mask(text))
    return _plain(value)


def _plain(value: Any) -> Any:
    """As JSON has it: of a number the file's spelling is forgotten."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, float) else value


def mask(secret: str) -> str:
    """What may be shown of a secret."""
    return f"{MASK}{secret[-_SHOWN:]}" if len(secret) >= _LEAST_SHOWN else MASK


def with_former(section: str, value: Any, former: Any) -> Any:
    """The value with every masked secret, as it was shown, put back to what it stands for."""
    before = {path: at(former, path) for path in secret_paths(section, former)}
    for path in secret_paths(section, value):
        if path in before and at(value, path) in (MASK, mask(before[path])):
            value = put(value, path, before[path])
    return value


def at(value: Any, path: Path) -> Any:
    """What stands there."""
    for step in path:
        value = value[step]
    return value


def put(value: Any, path: Path, item: Any) -> Any:
    """A copy with `item` there."""
    if not path:
        return item
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], item)
    return copy


def _texts(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
