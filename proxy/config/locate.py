"""Where the daemon of a configuration is: its file and its state directory, whatever else is missing or wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

from msgspec import Struct

from proxy.config.discover import machine_zone, state_dir
from proxy.config.loader import MOST_CHARACTERS, Document, parse
from proxy.config.problems import ConfigProblems, Problem
from proxy.config.secrets import fill_in

MOST_BYTES = 4 * MOST_CHARACTERS  # a character of UTF-8 is at most four bytes
_STATE = "state_dir"
_LINE = re.compile(rf"^{_STATE}:.*$", re.MULTILINE)


class Located(Struct, frozen=True):
    """`file` None: the environment decides. `zone` is the machine's."""

    file: Path | None
    state_dir: str
    zone: tzinfo


def locate(file: Path | None, env: Mapping[str, str]) -> Located:
    """Read of the file what says where the daemon is; no secret is resolved, and nothing else need be right.

    Raises ConfigProblems where the file cannot be read, or `state_dir` holds a variable that is not set.
    """
    written = None if file is None else _written_state_dir(read_text(file), str(file), env)
    return Located(file, state_dir(written, file, env), machine_zone(env))


def _written_state_dir(text: str, file: str, env: Mapping[str, str]) -> str | None:
    try:
        document = parse(text, file)
    except ConfigProblems:
        document = _line_of_it(text, file)
    filled = fill_in(Document(file, {_STATE: document.tree.get(_STATE)}, document.values), env)
    if filled.problems:
        raise ConfigProblems(filled.problems)
    value = filled.tree[_STATE]
    return str(value) if isinstance(value, str) else None


def _line_of_it(text: str, file: str) -> Document:
    """A broken document's line about the state directory, read by itself."""
    line = _LINE.search(text)
    try:
        return parse(line[0] if line else "", file)
    except ConfigProblems:
        return Document(file)


def read_text(file: Path) -> str:
    """The text of a configuration file. Raises ConfigProblems."""
    line, column = 0, 0
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) <= MOST_BYTES:
            return content.decode()
        sentence = "the file is larger than 4 MiB; a configuration never is"
    except FileNotFoundError:
        sentence = "there is no such file; `tollkeeper init` writes one to start from"
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        sentence = "the file is not UTF-8 text from here on"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        sentence = f"the file cannot be read ({reason})"
    raise ConfigProblems([Problem(str(file), line, column, "", sentence)])
