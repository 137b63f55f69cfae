"""A file that takes up space, given back when the disk is full, so that running calls can still be settled."""

from __future__ import annotations

import os
from pathlib import Path


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

    def release(self) -> None:
        """Give the space back; a disk that refuses even that has nothing to give."""
        self.whole = False
        try:
            os.truncate(self._path, 0)
        except OSError:
            return


def _allocate(fd: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
    elif os.pwrite(fd, bytes(size_bytes), 0) < size_bytes:  # macOS
        raise OSError("short write")
