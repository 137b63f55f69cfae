"""Another program's file with settings of ours put into it: read again, it says what it said before, and those."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import yaml

_HEADER = re.compile(r"\s*\[")
_KEY = re.compile(r"\s*([\w-]+)\s*=")

Table = tuple[str, list[str]]  # its header, empty for what stands above all tables, and the lines below it


def merged(language: str, old: str, ours: str) -> str | None:
    """`old` with what `ours` sets, itself where it says so already; None where that cannot be done for certain."""
    read, put, expected = _LANGUAGES[language]
    try:
        before, wanted = read(old), expected(read(old), read(ours))
        if before == wanted:
            return old
        text = put(_whole_lines(old), ours)
        return text if read(text) == wanted else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        return None


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _joined(old: Any, ours: Any) -> Any:
    """Members of ours beside the others, or in their place."""
    if not isinstance(ours, dict):
        return ours
    if not isinstance(old, dict):
        raise ValueError("not a table")
    return {**old, **{name: _joined(old[name], value) if name in old else value for name, value in ours.items()}}


def _listed(old: Any, ours: Any) -> Any:
    """Items of ours behind the others, in the place of those of the same name; of other members the old ones stay."""
    if isinstance(old, list) and isinstance(ours, list):
        return [*(item for item in old if not any(_is_same(item, own) for own in ours)), *ours]
    both = {name: _listed(old[name], value) for name, value in ours.items() if name in old and isinstance(value, list)}
    return {**ours, **old, **both}


def _is_same(item: Any, own: Any) -> bool:
    name = next(iter(own))
    return isinstance(item, dict) and item.get(name) == own[name]


def _json(old: str, ours: str) -> str:
    return json.dumps(_joined(json.loads(old), json.loads(ours)), indent=2, ensure_ascii=False) + "\n"


def _toml(old: str, ours: str) -> str:
    """A line takes the place of the one with its key, else it stands first in its table; a new table stands last."""
    tables = list(_tables(old))
    for header, lines in _tables(ours):
        there = next((found for name, found in tables if name.strip() == header.strip()), None)
        if there is None:
            tables.append((f"\n{header}", lines))
        else:
            _put_lines(there, [line for line in lines if _key(line)])
    return "".join(line for header, lines in tables for line in [header, *lines])


def _tables(text: str) -> Iterator[Table]:
    header, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        if _HEADER.match(line):
            yield header, lines
            header, lines = line, []
        else:
            lines.append(line)
    yield header, lines


def _put_lines(there: list[str], lines: list[str]) -> None:
    places = {_key(line): at for at, line in enumerate(there) if _key(line)}
    for line in lines:
        if _key(line) in places:
            there[places[_key(line)]] = line
    there[:0] = [line for line in lines if _key(line) not in places]


def _key(line: str) -> str | None:
    found = _KEY.match(line)
    return found and found[1]


def _yaml(old: str, ours: str) -> str:
    """The items of the one list of ours stand last in the list where they belong: the file, or one of its members."""
    name, own = _list_of(_node(ours))
    lines, new = old.splitlines(keepends=True), ours.splitlines(keepends=True)[own.start_mark.line :]
    root, items, mine = _node(old), yaml.safe_load(old), yaml.safe_load(ours)
    if name is not None and name not in items:
        return "".join([*lines, f"{name}:\n", *new])
    if name is not None:
        root, items, mine = dict((key.value, value) for key, value in root.value)[name], items[name], mine[name]
    starts = [item.start_mark.line for item in root.value]
    ends = [_last_said(lines, end) for end in (*starts[1:], root.end_mark.line)]
    lines.insert(ends[-1], textwrap.indent(textwrap.dedent("".join(new)), " " * root.start_mark.column))
    for item, start, end in reversed(list(zip(items, starts, ends, strict=True))):
        if any(_is_same(item, one) for one in mine):
            del lines[start:end]
    return "".join(lines)


def _node(text: str) -> yaml.Node:
    node = yaml.compose(text)
    if node is None:
        raise ValueError("nothing but comments")
    return node


def _list_of(root: yaml.Node) -> tuple[str | None, yaml.Node]:
    """The list a file is or holds, and the name of the member that it is."""
    if isinstance(root, yaml.SequenceNode):
        return None, root
    return next((key.value, value) for key, value in root.value if isinstance(value, yaml.SequenceNode))


def _last_said(lines: list[str], end: int) -> int:
    """`end` without the comments and empty lines before it, which belong to what follows."""
    while lines[end - 1].lstrip()[:1] in ("", "#"):
        end -= 1
    return end


_LANGUAGES: dict[str, tuple[Callable[[str], Any], Callable[[str, str], str], Callable[[Any, Any], Any]]] = {
    "json": (json.loads, _json, _joined),
    "toml": (tomllib.loads, _toml, _joined),
    "yaml": (yaml.safe_load, _yaml, _listed),
}
