"""What ends of calls have where the disk is full: a file that takes up space, which is given back then, and room in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from proxy.stores.journal.records import Record

_MOST_BACKLOG = 8 * 2**20
_PROBE_BYTES = 4096  # a block, so that it is not in one that is taken already


class Reserve:
    """`whole` says whether the space is taken; `take` and `release` change that."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Nothing is taken before `take`, but what an earlier process took is still ours."""
        self.size_bytes = size_bytes
        self.whole = path.exists() and path.stat().st_size >= size_bytes
        self._path = path

    def take(self) -> None:
        """Take the space, unless it is. Raises OSError where there is none."""
        if self.whole:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(fd, self.size_bytes)
        except OSError:
            os.ftruncate(fd, 0)
            raise
        finally:
            os.close(fd)
        self.whole = True

    def probe(self) -> None:
        """Find out whether the disk takes anything beside what is taken. Raises OSError where it does not, or nothing is taken."""
        try:
            file = self._path.open("r+b")
        except FileNotFoundError:
            self.whole = False
            raise
        with file:
            try:
                _allocate(file.fileno(), self.size_bytes + _PROBE_BYTES)
            finally:
                file.truncate(self.size_bytes)

    def release(self) -> None:
        """Give the space back; a disk that refuses even that has nothing to give."""
        self.whole = False
        try:
            os.truncate(self._path, 0)
        except OSError:
            return


class Backlog:
    """Ends of calls that wait in memory for the disk, as they stand in a segment."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Record, bytes]] = deque()
        self._room_bytes = _MOST_BACKLOG

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, ending: Record, frame: bytes) -> bool:
        """Let it wait; False where there is no room for it."""
        if len(frame) > self._room_bytes:
            return False
        self._waiting.append((ending, frame))
        self._room_bytes -= len(frame)
        return True

    def write(self, put: Callable[[Record, bytes], object]) -> None:
        """Have `put` write them in turn. What it raises is raised; those it has not written go on waiting."""
        while self._waiting:
            ending, frame = self._waiting[0]
            put(ending, frame)
            self._waiting.popleft()
            self._room_bytes += len(frame)


def _allocate(fd: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
    elif os.pwrite(fd, bytes(size_bytes), 0) < size_bytes:  # macOS
        raise OSError("short write")
