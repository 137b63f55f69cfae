"""Where the daemon of a configuration is: its file and its state directory, whatever else is missing or wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

from msgspec import Struct

from proxy.config.discover import machine_zone, master_key_file, state_dir
from proxy.config.document import Document
from proxy.config.loader import MOST_CHARACTERS, parse
from proxy.config.problems import ConfigProblems, Problem
from proxy.config.secrets import fill_in

MOST_BYTES = 4 * MOST_CHARACTERS  # a character of UTF-8 is at most four bytes
_PLACES = ("state_dir", "master_key_file")
_LINE = re.compile(rf"^(?:{'|'.join(_PLACES)}):.*$", re.MULTILINE)


class Located(Struct, frozen=True):
    """`file` None: the environment decides. `zone` is the machine's."""

    file: Path | None
    state_dir: str
    zone: tzinfo
    master_key_file: str


def locate(file: Path | None, env: Mapping[str, str]) -> Located:
    """Read of the file what says where the daemon is; no secret is resolved, and nothing else need be right.

    Raises ConfigProblems where the file cannot be read, or `state_dir` holds a variable that is not set.
    """
    written = {} if file is None else _written(read_text(file), str(file), env)
    folder = state_dir(written.get("state_dir"), file, env)
    keys = master_key_file(written.get("master_key_file"), file, env, folder)
    return Located(file, folder, machine_zone(env), keys)


def _written(text: str, file: str, env: Mapping[str, str]) -> dict[str, str]:
    """The places that the file names."""
    try:
        document = parse(text, file)
    except ConfigProblems:
        document = _lines_of_them(text, file)
    document.tree = {name: document.tree[name] for name in _PLACES if name in document.tree}
    filled = fill_in(document, env)
    if filled.problems:
        raise ConfigProblems(filled.problems)
    return {name: str(value) for name, value in filled.tree.items() if isinstance(value, str)}


def _lines_of_them(text: str, file: str) -> Document:
    """A broken document's lines about these places, read by themselves."""
    try:
        return parse("\n".join(_LINE.findall(text)), file)
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
        sentence = "the file is larger than 16 MiB; a configuration never is"
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
