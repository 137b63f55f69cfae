"""Who listens on a port of this machine, as the kernel's tables say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"  # of the kernel's tables of TCP sockets


def who_has(port: int) -> str:
    """The listening process as name and id; "" where this user may not know."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        if sockets & set(_descriptors(folder / "fd")):
            return f"{_text(folder / 'comm').strip() or 'somebody'} (process {folder.name})"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _listeners(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for fields in map(str.split, _text(table).splitlines()[1:]):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _descriptors(folder: Path) -> Iterator[str]:
    try:
        for entry in folder.iterdir():
            yield os.readlink(entry)
    except OSError:
        return
