"""What processes and clients of the tests have around them: patience, an environment, a port."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from pathlib import Path

PATIENCE_SECONDS = 60.0  # a busy machine may be slow; only what never comes is a failure


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """A process's whole environment: the search path, its home, what coverage measures with, and `more`."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), **measured, **more}


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
    tasks = ["thread-self", *map(str, pids)]
    return sum(int(Path(f"/proc/{task}/schedstat").read_text().split()[1]) for task in tasks) / 1e9


def free_port() -> int:
    """A port for a configuration that must name one; nobody else listens there just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
