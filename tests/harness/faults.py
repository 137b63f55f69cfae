"""Faults of the machine below a process: small disks, and system calls that fail or kill (by strace)."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.surroundings import PATIENCE_SECONDS

_PAGE = 4096

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="install the Debian package `strace`")


def mount(*arguments: str) -> bool:
    """Whether `mount` did it."""
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A disk of `size` (256k, 6m) at `place`, in memory. Skips the test where mounting is not permitted."""
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(place)):
        pytest.skip("mounting is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def take_all_space(disk: Path) -> Path:
    """Fill a disk up; the file that did it, whose end gives the space back."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_PAGE))
        except OSError:
            return filler


def attach(pid: int, *options: str) -> subprocess.Popen[bytes]:
    """strace on every thread of a process, once it has attached or, where it kills at once, done that."""
    command = ["strace", "-f", "-qq", *options, "-o", "/dev/null", "-p", str(pid)]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_SECONDS
    try:
        while not _is_traced(pid):
            assert time.monotonic() < until, "strace does not attach"
            assert tracer.poll() is None, "strace ended"
    except BaseException:
        tracer.kill()
        tracer.wait()
        raise
    return tracer


def detach(tracer: subprocess.Popen[bytes]) -> None:
    """Let go of what it traced, which goes on."""
    tracer.terminate()
    tracer.wait(PATIENCE_SECONDS)


def _is_traced(pid: int) -> bool:
    """Whether strace has every thread there is; threads come and go meanwhile, and a process that was killed has none."""
    states = [_state(task) for task in Path(f"/proc/{pid}/task").iterdir()]
    return all("TracerPid:\t0\n" not in state or "State:\tZ" in state for state in states)


def _state(task: Path) -> str:
    try:
        return (task / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
