"""The write-ahead journal: one `os.write` per record, before the bytes it covers leave.

What it promises: an `append` that returned is read back after a kill at any instant; one that
raised left nothing behind. Ends of calls (`Begun`, `Settled`, `Corrected`, `Voided`) have more than new ones:
a reserve that is given back when the disk is full, then a bounded backlog in memory. What is only
in the backlog is lost in a crash; its hold is on disk, and is then charged in full.

A segment goes when the ledger has all of it. Holds still open in it are copied forward first, so
that one long call does not keep every segment since.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from errno import EDQUOT, EIO, ENOENT, ENOSPC, errorcode
from pathlib import Path
from typing import cast

from msgspec import Struct

from proxy.stores.failures import JournalUnwritable
from proxy.stores.frames import framed
from proxy.stores.opened import OpenHolds
from proxy.stores.records import Begun, Corrected, Record, Settled, Voided
from proxy.stores.replay import Replayed
from proxy.stores.reserve import Reserve
from proxy.stores.segment_writer import OverLimit, SegmentWriter
from proxy.stores.segments import Position, segment_path
from proxy.stores.sync import Fsync, Syncer
from proxy.stores.tail import Batch, Tail

_MOST_SEGMENT = 4 * 2**20  # a start reads them all, which are one or two
_MOST_RESERVE = 2**20
_MOST_BACKLOG = 8 * 2**20
_SHARE = 8  # of max_bytes: what one segment, and the reserve, may take at most
_SYNC_PAUSE_SECONDS = 1.0

Ending = Begun | Settled | Corrected | Voided
_ENDINGS = frozenset({Begun, Settled, Corrected, Voided})  # asked of every record: a union takes its time


class JournalRules(Struct, frozen=True):
    """`fsync`: each 100 ms, before `durable` returns, or never. `max_bytes` is all the journal may take on disk."""

    fsync: Fsync = "interval"
    max_bytes: int = 256 * 2**20


class Journal:
    """Appends from any thread. The newest records are kept for the thread that fills the ledger."""

    def __init__(self, directory: Path, rules: JournalRules, replayed: Replayed) -> None:
        """Go on where `replayed` ended. A disk that cannot be written yet is found out by the first append."""
        self.directory = directory
        self._lock = threading.RLock()
        self._max_bytes = rules.max_bytes
        self._reserve = Reserve(directory / "reserve", min(_MOST_RESERVE, rules.max_bytes // _SHARE))
        self._syncer = Syncer(directory, rules.fsync, self._sync_failed)
        self._writer = SegmentWriter(directory, min(_MOST_SEGMENT, rules.max_bytes // _SHARE), replayed, self._syncer)
        self._open = OpenHolds(replayed.holds)
        self._tail = Tail()
        self._backlog: deque[tuple[Ending, bytes]] = deque()
        self._backlog_bytes = 0
        self._failure = ""
        self._sync_again_at = 0.0
        self._is_lost = False

    @property
    def size_bytes(self) -> int:
        """What the segments take on disk."""
        return self._writer.size_bytes

    @property
    def end(self) -> Position:
        """The position behind the last record written."""
        return self._writer.end

    @property
    def oldest(self) -> int:
        """The first segment there is."""
        with self._lock:
            return min(self._writer.sizes, default=self._writer.end.segment)

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
                if type(record) in _ENDINGS:
                    self._append_ending(cast(Ending, record), frame)
                else:
                    self._append_ordinary(record, frame)
            except OSError as error:
                raise self._failed(error) from error
            return self._writer.end

    async def durable(self, position: Position) -> None:
        """Return once `position` is on disk, under `fsync: always`; else at once. Raises `JournalUnwritable`."""
        await self._syncer.durable(position)

    def retry(self) -> bool:
        """Write what waits in memory and take the reserve again; True when all is well."""
        with self._lock:
            try:
                self._prepare()
            except OSError as error:
                self._failed(error)
            else:
                self._failure = ""
        return self.healthy

    def newest(self, after: Position) -> tuple[Position, Batch | None]:
        """The end, and what lies between `after` and it; None where that is in the segments only. Given out once."""
        with self._lock:
            return self._writer.end, self._tail.take(after, self._writer.end)

    def forget(self, position: Position) -> None:
        """Remove the segments before `position`: the ledger has them, on disk."""
        with self._lock:
            before = min(position.segment, self._writer.end.segment)
            done = [number for number in self._writer.sizes if number < before]
            copied = self._carry(done)
            end = self._writer.end
        if copied is None or (copied and not self._syncer.sync(end)):
            return
        for number in done:
            segment_path(self.directory, number).unlink(missing_ok=True)
            with self._lock:
                self._writer.drop(number)

    def mend_if_lost(self) -> bool:
        """Whether segments were removed under us; then the open holds have been written anew.

        What was spent is for the caller to write. False also while nothing can be written: it is tried again.
        """
        with self._lock:
            gone = self._writer.gone()
            if not gone and not self._is_lost:
                return False
            self._writer.leave(self._writer.end.segment)
            self._tail.forget(self._writer.end)
            self._is_lost = self._carry(gone) is None
            if self._is_lost:
                return False
            for number in gone:
                self._writer.drop(number)
            self._reserve.whole = False
            self._sync_again_at = 0.0
            return True

    def leave_segment(self, number: int) -> None:
        """Go on in a new segment if `number` is being written: something in it cannot be read."""
        with self._lock:
            if self._writer.leave(number):
                self._carry([number])

    def close(self) -> None:
        """Sync and close. What waits in memory gets a last chance."""
        if self._backlog:
            self.retry()
        self._syncer.close()

    def _append_ordinary(self, record: Record, frame: bytes) -> None:
        if self._sync_again_at or self._backlog or not self._reserve.whole:
            self._prepare()
        self._writer.put(frame, self._max_bytes - self._reserve.size_bytes)
        self._open.follow(record, self._writer.end.segment)
        self._tail.note(record, self._writer.end, len(frame))
        self._failure = ""

    def _prepare(self) -> None:
        """What has to be in order before a new call may start."""
        if self._sync_again_at and time.monotonic() < self._sync_again_at:
            raise OSError(EIO, "the last sync failed")
        self._write_backlog()
        if not self._reserve.whole:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reserve.take()

    def _append_ending(self, record: Ending, frame: bytes) -> None:
        try:
            if self._backlog:
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
            self._writer.put(frame, self._max_bytes)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT) or not self._reserve.whole:
                raise
            self._failed(error)
            self._reserve.release()
            self._writer.put(frame, self._max_bytes)
        self._open.follow(record, self._writer.end.segment)
        self._tail.note(record, self._writer.end, len(frame))

    def _carry(self, numbers: list[int]) -> int | None:
        """Copy the holds still open in `numbers` to the newest segment; how many, None when it cannot be written."""
        stale = self._open.inside(numbers)
        try:
            for identity, frames in stale:
                self._writer.put(frames)
                self._open.moved(identity, self._writer.end.segment)
        except OSError as error:
            self._failed(error)
            return None
        return len(stale)

    def _failed(self, error: OSError) -> JournalUnwritable:
        self._failure = "max_bytes" if isinstance(error, OverLimit) else errorcode.get(error.errno or 0, "EIO")
        return JournalUnwritable(self._failure)

    def _sync_failed(self, error: OSError) -> None:
        """What was written since the last sync may be gone: go on in a new segment, new calls a little later."""
        with self._lock:
            self._failed(error)
            self._sync_again_at = time.monotonic() + _SYNC_PAUSE_SECONDS
            number = self._writer.end.segment
            if self._writer.leave(number) and error.errno == ENOENT:
                self._is_lost = True
                self._carry([number])
