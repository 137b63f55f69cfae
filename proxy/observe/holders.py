"""Who listens on a port of this machine, as the kernel's tables say."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"  # of the kernel's tables of TCP sockets


def who_has(port: int) -> str:
    """The listening process as name and id, or whose it is where this user may not see more; "" where nobody knows."""
    owners = dict(_listeners(port))
    sockets = {f"socket:[{inode}]" for inode in owners}
    for folder in Path("/proc").glob("[0-9]*") if sockets else ():
        if sockets & set(_descriptors(folder / "fd")):
            return f"{_text(folder / 'comm').strip() or 'somebody'} (process {folder.name})"
    return next((f"a process of the user {user_name(int(owner))}" for owner in owners.values()), "")


def user_name(user: int) -> str:
    """Of this machine; a number that has no name stands for itself."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"


def is_stopped(pid: int) -> bool:
    """Whether it runs no more until it is told to go on (SIGCONT), as far as this machine tells."""
    return _text(Path(f"/proc/{pid}/stat")).rpartition(") ")[2][:1] in ("T", "t")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _listeners(port: int) -> Iterator[tuple[str, str]]:
    """Inode and user of each."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for fields in map(str.split, _text(table).splitlines()[1:]):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9], fields[7]


def _descriptors(folder: Path) -> Iterator[str]:
    try:
        for entry in folder.iterdir():
            yield os.readlink(entry)
    except OSError:
        return
