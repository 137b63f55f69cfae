"""Writing segments: whole frames or nothing, in files of bounded size."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENOSPC
from functools import partial
from pathlib import Path

from proxy.stores.replay import Replayed
from proxy.stores.segments import Position, segment_numbers, segment_path
from proxy.stores.sync import Syncer

_position: Callable[[tuple[int, int]], Position] = partial(tuple.__new__, Position)  # as it is made, less a function


class OverLimit(OSError):
    """The journal has taken all it may."""


class SegmentWriter:
    """Not safe for threads: the journal's lock is around every call. Nothing is opened before the first frame."""

    def __init__(self, directory: Path, segment_bytes: int, replayed: Replayed, syncer: Syncer) -> None:
        """Go on where `replayed` ended, in the same segment if that can be trusted."""
        self.sizes = {n: segment_path(directory, n).stat().st_size for n in segment_numbers(directory)}
        self.size_bytes = sum(self.sizes.values())
        self.end = max(replayed.end, replayed.after)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._syncer = syncer
        self._resume = replayed.end if _can_go_on(replayed, segment_bytes) else None
        self._fd = -1

    def put(self, frame: bytes, most_bytes: int | None = None) -> None:
        """One write, or none: what came out short is cut back, else its segment is left. Raises OSError."""
        if most_bytes is not None and self.size_bytes + len(frame) > most_bytes:
            raise OverLimit
        if self._fd < 0 or (self.end.offset and self.end.offset + len(frame) > self._segment_bytes):
            self._next_segment()
        try:
            written = os.write(self._fd, frame)
            if written < len(frame):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            self._cut_back()
            raise
        number, offset = self.end
        self.end = _position((number, offset + written))
        self.sizes[number] = offset + written
        self.size_bytes += written
        self._syncer.written(self.end)

    def leave(self, number: int) -> bool:
        """Go on in a new segment; False if `number` is not the one being written."""
        if self._fd < 0 or self.end.segment != number:
            return False
        self._retire()
        return True

    def gone(self) -> list[int]:
        """The segments that were removed, or replaced under us; in the one being written nothing is kept any more."""
        return [number for number in self.sizes if not self._is_there(number)]

    def _is_there(self, number: int) -> bool:
        try:
            found = os.stat(segment_path(self._directory, number), follow_symlinks=False)
        except OSError:
            return False
        ours = os.fstat(self._fd) if self._fd >= 0 and number == self.end.segment else found
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def drop(self, number: int) -> None:
        """A segment was removed."""
        self.size_bytes -= self.sizes.pop(number)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.end.offset)
        except OSError:
            self._retire()

    def _next_segment(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        resume, self._resume = self._resume, None
        fd, end = self._created() if resume is None else self._reopened(resume)
        self._retire()
        self._fd, self.end = fd, end
        self._syncer.opened(fd)

    def _reopened(self, resume: Position) -> tuple[int, Position]:
        fd = os.open(segment_path(self._directory, resume.segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, resume.offset)
        except OSError:
            os.close(fd)
            raise
        self.size_bytes += resume.offset - self.sizes[resume.segment]
        self.sizes[resume.segment] = resume.offset
        return fd, resume

    def _created(self) -> tuple[int, Position]:
        number = max(self.end.segment, *segment_numbers(self._directory), 0) + 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(segment_path(self._directory, number), flags, 0o600)
        self.sizes[number] = 0
        return fd, Position(number, 0)

    def _retire(self) -> None:
        if self._fd >= 0:
            self._syncer.retired(self._fd)
            self._fd = -1


def _can_go_on(replayed: Replayed, segment_bytes: int) -> bool:
    """A last segment with garbage is left as it is; one the ledger is ahead of lost its end in a power cut."""
    end = replayed.end
    return end.segment > 0 and end >= replayed.after and replayed.tail != "garbage" and end.offset < segment_bytes
