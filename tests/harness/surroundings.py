"""What processes and clients of the tests have around them: patience, an environment, a port."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_SECONDS = 120.0  # a busy machine may be slow; only what never comes is a failure
# where it was about noon when the run began, so that no day ends before the run does
NOON = f"Etc/GMT{time.gmtime().tm_hour - 12:+}"


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """A process's whole environment: the search path, its home, the hour, what coverage measures with, and `more`."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "TZ": NOON, **measured, **more}


_AS_USER = """
mount -t tmpfs tmpfs /mnt
for name in base packages source; do mkdir /mnt/$name; mount --bind "$1" /mnt/$name; shift; done
user=$1 python=/mnt/base/bin/$2
shift 2
export PYTHONPATH=/mnt/source:/mnt/packages LD_LIBRARY_PATH=/mnt/base/lib
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$python" "$@"
"""


def as_user(user: int) -> list[str]:
    """The words before those that Python gets, to run this one with its packages and this source as another user.

    That user may be barred from where they lie, and sees them at /mnt, in a namespace of its own, which only root makes.
    """
    places = [sys.base_prefix, sysconfig.get_path("purelib"), str(Path(__file__).parents[2])]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return ["unshare", "--mount", "sh", "-ec", _AS_USER, "sh", *places, str(user), version]


def queued_seconds(*pids: int) -> float:
    """How long this thread and the main threads of these processes were ready to run and the machine had no CPU for them.

    What is left of a measured time without it is how long they took or waited for something themselves.
    """
    return sum(_queued("thread-self", *map(str, pids)).values())


class OwnTime:
    """A clock that stands while the machine has no CPU for this thread, for the process `pid` or for who traces it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._queues()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        took = time.monotonic() - self._began
        return took - sum(waited - self._before.get(task, 0.0) for task, waited in self._queues().items())

    def _queues(self) -> dict[str, float]:
        status = Path(f"/proc/{self._pid}/status").read_text()
        tracer = status.partition("\nTracerPid:\t")[2].partition("\n")[0]
        return _queued("thread-self", str(self._pid), *([tracer] if tracer != "0" else []))


def _queued(*tasks: str) -> dict[str, float]:
    """Seconds by task; one that has ended meanwhile has none."""
    found = {}
    for task in tasks:
        with suppress(FileNotFoundError, ProcessLookupError):
            found[task] = int(Path(f"/proc/{task}/schedstat").read_text().split()[1]) / 1e9
    return found


@contextmanager
def held_port() -> Iterator[int]:
    """A port for what must name one. Nobody listens there but who is told to: while the block lasts no other is given it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers have it, which may then listen there
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
