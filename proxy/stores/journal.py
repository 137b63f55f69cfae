"""The write-ahead journal: one `os.write` per record, before the bytes it covers leave.

What it promises: an `append` that returned is read back after a kill at any instant; one that
raised left nothing behind. Ends of calls (`Begun`, `Settled`, `Voided`) have more than new ones:
a reserve that is given back when the disk is full, then a bounded backlog in memory. What is only
in the backlog is lost in a crash; its hold is on disk, and is then charged in full.

A segment goes when the ledger has all of it. Holds still open in it are copied forward first, so
that one long call does not keep every segment since.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from errno import EDQUOT, ENOSPC, errorcode
from pathlib import Path

from msgspec import Struct

from proxy.stores.failures import JournalUnwritable
from proxy.stores.frames import framed
from proxy.stores.opened import OpenHolds
from proxy.stores.records import Begun, Record, Settled, Voided
from proxy.stores.replay import Replayed
from proxy.stores.reserve import Reserve
from proxy.stores.segments import Position, segment_numbers, segment_path
from proxy.stores.sync import Fsync, Syncer

_MOST_SEGMENT = 16 * 2**20
_MOST_RESERVE = 2**20
_MOST_BACKLOG = 8 * 2**20
_SHARE = 8  # of max_bytes: what one segment, and the reserve, may take at most

Ending = Begun | Settled | Voided


class JournalRules(Struct, frozen=True):
    """`fsync`: each 100 ms, before `durable` returns, or never. `max_bytes` is all the journal may take on disk."""

    fsync: Fsync = "interval"
    max_bytes: int = 256 * 2**20


class Journal:
    """Appends from any thread. `appended` is set on every append, for the thread that fills the ledger."""

    def __init__(self, directory: Path, rules: JournalRules, replayed: Replayed) -> None:
        """Go on where `replayed` ended. A disk that cannot be written yet is found out by the first append."""
        self.appended = threading.Event()
        self._directory = directory
        self._lock = threading.RLock()
        self._max_bytes = rules.max_bytes
        self._segment_bytes = max(1, min(_MOST_SEGMENT, rules.max_bytes // _SHARE))
        self._reserve = Reserve(directory / "reserve", min(_MOST_RESERVE, rules.max_bytes // _SHARE))
        self._sizes = {n: _size(segment_path(directory, n)) for n in segment_numbers(directory)}
        self._bytes = sum(self._sizes.values())
        self._end = max(replayed.end, replayed.after)
        self._resume = replayed.end if _can_go_on(replayed, self._segment_bytes) else None
        self._open = OpenHolds(replayed.holds)
        self._backlog: deque[tuple[Ending, bytes]] = deque()
        self._backlog_bytes = 0
        self._failure = ""
        self._fd = -1
        self._syncer = Syncer(directory, rules.fsync, self._sync_failed)

    @property
    def bytes(self) -> int:
        """What the segments take on disk."""
        return self._bytes

    @property
    def end(self) -> Position:
        """The position behind the last record written."""
        return self._end

    @property
    def backlog(self) -> int:
        """How many ends of calls wait in memory for the disk."""
        return len(self._backlog)

    @property
    def failure(self) -> str:
        """Why the last write failed (an errno's name, or "max_bytes"); empty when it did not."""
        return self._failure

    @property
    def healthy(self) -> bool:
        """True when the last write went well and nothing waits in memory."""
        return not self._failure and not self._backlog

    def append(self, record: Record) -> Position:
        """Write `record` and return the position behind it. Raises `JournalUnwritable`; the next one tries again."""
        frame = framed(record)
        with self._lock:
            try:
                if isinstance(record, Begun | Settled | Voided):
                    self._append_ending(record, frame)
                else:
                    self._append_ordinary(record, frame)
            except OSError as error:
                raise self._failed(error) from error
            position = self._end
        if not self.appended.is_set():
            self.appended.set()
        return position

    async def durable(self, position: Position) -> None:
        """Return once `position` is on disk, under `fsync: always`; else at once. Raises `JournalUnwritable`."""
        await self._syncer.durable(position)

    def retry(self) -> bool:
        """Write what waits in memory and take the reserve again; True when all is well."""
        with self._lock:
            try:
                self._write_backlog()
                self._reserve_space()
            except OSError as error:
                self._failed(error)
            else:
                self._failure = ""
        if self.healthy:
            self.appended.set()
        return self.healthy

    def forget(self, position: Position) -> None:
        """Remove the segments before `position`: the ledger has them, on disk."""
        with self._lock:
            done = [number for number in self._sizes if number < min(position.segment, self._end.segment)]
            if not done or not self._carry(done):
                return
            for number in done:
                self._bytes -= self._sizes.pop(number)
        for number in done:
            segment_path(self._directory, number).unlink(missing_ok=True)

    def leave_segment(self, number: int) -> None:
        """Go on in a new segment if `number` is written to: something in it cannot be read."""
        with self._lock:
            if self._fd >= 0 and self._end.segment == number:
                self._retire()
                self._carry([number])

    def close(self) -> None:
        """Sync and close. What waits in memory gets a last chance."""
        self.retry()
        with self._lock:
            self._fd = -1
        self._syncer.close()

    def _append_ordinary(self, record: Record, frame: bytes) -> None:
        self._write_backlog()
        self._reserve_space()
        self._put(frame, self._max_bytes - self._reserve.size_bytes)
        self._open.follow(record, frame, self._end.segment)
        self._failure = ""

    def _append_ending(self, record: Ending, frame: bytes) -> None:
        try:
            self._write_backlog()
            self._put_ending(record, frame)
        except OSError as error:
            if self._backlog_bytes + len(frame) > _MOST_BACKLOG:
                raise
            self._failed(error)
            self._backlog.append((record, frame))
            self._backlog_bytes += len(frame)

    def _write_backlog(self) -> None:
        while self._backlog:
            record, frame = self._backlog[0]
            self._put_ending(record, frame)
            self._backlog.popleft()
            self._backlog_bytes -= len(frame)

    def _put_ending(self, record: Ending, frame: bytes) -> None:
        try:
            self._put(frame, self._max_bytes)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT) or not self._reserve.whole:
                raise
            self._failed(error)
            self._reserve.release()
            self._put(frame, self._max_bytes)
        self._open.follow(record, frame, self._end.segment)

    def _put(self, frame: bytes, most_bytes: int | None) -> None:
        """One write, or none: what came out short is cut back, else its segment is left."""
        if most_bytes is not None and self._bytes + len(frame) > most_bytes:
            raise OverLimit
        if self._fd < 0 or self._end.offset + len(frame) > self._segment_bytes:
            self._next_segment()
        try:
            written = os.write(self._fd, frame)
            if written < len(frame):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            self._cut_back()
            raise
        self._grown(len(frame))

    def _grown(self, size: int) -> None:
        number, offset = self._end
        self._end = Position(number, offset + size)
        self._sizes[number] = offset + size
        self._bytes += size
        self._syncer.written(self._end)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._end.offset)
        except OSError:
            self._retire()

    def _next_segment(self) -> None:
        if self._fd >= 0 and not self._end.offset:  # one record larger than a segment
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        resume, self._resume = self._resume, None
        fd, self._end = self._reopened(resume) if resume is not None else self._created()
        self._retire()
        self._fd = fd
        self._syncer.opened(fd)

    def _reopened(self, resume: Position) -> tuple[int, Position]:
        fd = os.open(segment_path(self._directory, resume.segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, resume.offset)
        except OSError:
            os.close(fd)
            raise
        self._bytes += resume.offset - self._sizes[resume.segment]
        self._sizes[resume.segment] = resume.offset
        return fd, resume

    def _created(self) -> tuple[int, Position]:
        number = max(self._end.segment, *self._sizes, 0) + 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(segment_path(self._directory, number), flags, 0o600)
        self._sizes[number] = 0
        return fd, Position(number, 0)

    def _retire(self) -> None:
        if self._fd >= 0:
            self._syncer.retired(self._fd)
            self._fd = -1

    def _carry(self, numbers: list[int]) -> bool:
        """Copy the holds still open in `numbers` to the newest segment, and that to the disk."""
        stale = self._open.inside(numbers)
        if not stale:
            return True
        try:
            for identity, frames in stale:
                self._put(frames, None)
                self._open.moved(identity, self._end.segment)
            os.fsync(self._fd)
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _reserve_space(self) -> None:
        if not self._reserve.whole:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reserve.take()

    def _failed(self, error: OSError) -> JournalUnwritable:
        self._failure = "max_bytes" if isinstance(error, OverLimit) else errorcode.get(error.errno or 0, "EIO")
        return JournalUnwritable(self._failure)

    def _sync_failed(self, fd: int, error: OSError) -> None:
        """What was written since the last sync may be gone: leave the segment, write its open holds again."""
        with self._lock:
            self._failed(error)
            if fd >= 0 and fd == self._fd:
                number = self._end.segment
                self._retire()
                self._carry([number])


class OverLimit(OSError):
    """The journal has taken all of `max_bytes`."""


def _can_go_on(replayed: Replayed, segment_bytes: int) -> bool:
    """A last segment with garbage is left as it is; one the ledger is ahead of lost its end in a power cut."""
    end = replayed.end
    return end.segment > 0 and end >= replayed.after and replayed.tail != "garbage" and end.offset < segment_bytes


def _size(path: Path) -> int:
    return path.stat().st_size
