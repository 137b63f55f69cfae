"""A program: rotate the master keys of copies of a state directory, each killed one line later than the one before.

It prints a JSON line for each: whether all opened behind the kill, and behind a rotation that went on from there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from proxy.cli.stopped.state import on_ledger
from proxy.stores import audit
from proxy.stores.audit import Deed, append
from proxy.stores.questions.queries import Files
from proxy.stores.secrets import master_keys, rotation
from proxy.stores.secrets.master_keys import read_master_keys
from proxy.stores.secrets.vault import open_vault

WATCHED = {module.__file__ for module in (audit, master_keys, rotation)}
DEED = Deed(1, "uid 1", "the files", "secrets.rotate", "master keys")


def rotated(folder: Path) -> None:
    """As the command does it."""
    masters = read_master_keys(folder / "master.key", {})

    def work(connection: Any) -> None:
        rotation.rotate(connection, masters, 86_400.0)
        append(connection, [DEED])

    on_ledger(folder, work)


def killed(folder: Path, line: int) -> bool:
    """Rotate in a process that is killed before it runs its next line of these modules; whether it came so far."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    rotated(folder)
    os._exit(0)


def opened(folder: Path) -> list[Any]:
    """The secrets there are; what cannot be opened is told."""
    vault = open_vault(folder, folder / "master.key", {})
    return [entry.unreadable or re.findall(r"sk-canary[-\w]*", json.dumps(entry.value)) for entry in vault.entries]


def labels(folder: Path) -> list[str]:
    """Of the data keys."""
    return [key.label for key in Files(folder).data_keys_and_uses()[0]]


def main(folder: Path) -> None:
    """Until one is at its end before it is killed."""
    line, goes_on = 0, True
    while goes_on:
        copy = folder.with_name(f"copy{line}")
        shutil.copytree(folder, copy)
        goes_on = killed(copy, line)
        behind = opened(copy)
        if goes_on:
            rotated(copy)
        masters = list(read_master_keys(copy / "master.key", {}).keys)
        told = {"behind": behind, "again": opened(copy), "masters": masters, "labels": labels(copy)}
        print(json.dumps(told))
        shutil.rmtree(copy)
        line += 1


main(Path(sys.argv[1]))
