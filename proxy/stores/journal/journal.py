"""The write-ahead journal: records are on their way to the disk before the bytes they cover leave, those of one turn of the
event loop in one `os.write`.

A record that was written is read back after a kill at any instant; one that was refused left nothing behind. Ends of calls
(`Begun`, `Settled`, `Corrected`, `Voided`) have more than new ones: a reserve that is given back when the disk is full, then
a bounded backlog in memory. What is only there is lost in a crash; its hold is on disk, and is then charged in full. A segment
goes when the ledger has all of it. Holds still open in it are copied forward first.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from errno import EDQUOT, EIO, ENOENT, ENOSPC, errorcode
from itertools import repeat
from operator import methodcaller
from pathlib import Path

from msgspec import Struct

from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.opened import OpenHolds
from proxy.stores.journal.records import Begun, Corrected, Hold, Record, Settled, Voided
from proxy.stores.journal.replay import Replayed
from proxy.stores.journal.reserve import Backlog, Reserve
from proxy.stores.journal.segment_writer import OverLimit, SegmentRules, SegmentWriter, framed_in
from proxy.stores.journal.segments import Position, segment_path
from proxy.stores.journal.sync import Fsync, Syncer
from proxy.stores.journal.tail import Tail

_MOST_SEGMENT = 4 * 2**20  # a start reads them all, which are one or two
_MOST_RESERVE = 2**20
_SHARE = 8  # of max_bytes: what one segment, and the reserve, may take at most
_SYNC_PAUSE_SECONDS = 1.0
_USUAL_FRAME, _MOST_FRAME = 512, 4096  # one larger than the latter may stand shortened in its segment
_ENDINGS = frozenset({Begun, Settled, Corrected, Voided})  # asked of every record: a union takes its time


class JournalRules(Struct, frozen=True):
    """`fsync`: each 100 ms, before `durable` returns, or never. `max_bytes` is all the journal may take on disk."""

    fsync: Fsync = "interval"
    max_bytes: int = 256 * 2**20


class Journal:
    """Appends from any thread. The newest records are kept for the thread that fills the ledger.

    `failure`: why the last write failed (an errno's name, or "max_bytes"); empty when it did not. `turn`: what is to be written
    at the end of this turn of the loop, ever the same list. `refused`: the holds that could not be, for whoever has them to
    take out.
    """

    def __init__(self, directory: Path, rules: JournalRules, replayed: Replayed) -> None:
        """Go on where `replayed` ended. A disk that cannot be written yet is found out by the first append."""
        self.directory = directory
        self._lock = threading.RLock()
        self._reserve = Reserve(directory / "reserve", min(_MOST_RESERVE, rules.max_bytes // _SHARE))
        self._most_bytes, usual_bytes = rules.max_bytes, rules.max_bytes - self._reserve.size_bytes
        self._syncer = Syncer(directory, rules.fsync, self._sync_failed)
        segments = SegmentRules(min(_MOST_SEGMENT, rules.max_bytes // _SHARE), usual_bytes)
        self._writer = SegmentWriter(directory, segments, replayed, self._syncer)
        self._writer.note = self._follow
        self._following = threading.Lock()  # within the other one, or alone
        self._fresh: deque[Record] = deque()  # written, and not followed yet
        self._open = OpenHolds(replayed.holds)
        self._tail = Tail()
        self._backlog, self._frame = Backlog(), bytearray()  # the last one, for the next to be put together in
        self.turn: list[Record] = []
        self.refused: dict[str, JournalUnwritable] = {}
        self._later: Callable[[Journal], object] = methodcaller("go")
        self.failure, self._thread, self._sync_again_at, self._is_lost = "", 0, 0.0, False
        self._is_wary = True  # until a write has found all in order: nothing waits, the reserve is whole, the disk well

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
            return min(self._writer.segments, default=self._writer.segment)

    @property
    def backlog(self) -> int:
        """How many ends of calls wait in memory for the disk."""
        return len(self._backlog)

    @property
    def healthy(self) -> bool:
        """True when the last write went well and nothing waits in memory."""
        return not self.failure and not self._backlog

    def append(self, record: Record) -> Position:
        """Write `record` and return the position behind it. Raises `JournalUnwritable`; the next one tries again."""
        with self._lock:
            if self.turn and threading.get_ident() == self._thread:
                self.flush()
            for _, error in self._put([record]):
                raise error
            return self._writer.end

    def gather(self, later: Callable[[Journal], object]) -> None:
        """Write in one what this thread's loop writes in a turn. `later` has our `go` called when the turn ends."""
        self._thread, self._later = threading.get_ident(), later

    def soon(self, record: Record) -> None:
        """Write `record` with the others of this turn: at `flush`, at its end or before an `append`. Ends of calls are kept, as
        ever, where that does not go. For the thread that gathers."""
        turn = self.turn
        turn.append(record)
        if len(turn) == 1:
            self._later(self)

    def flush(self) -> None:
        """Write now what is to be written in this turn. For the thread that gathers."""
        if not (records := self.turn[:]):
            return
        self.turn.clear()
        with self._lock:
            for record, error in self._put(records):
                if type(record) is Hold:
                    self.refused[record.id] = error

    go = flush

    async def durable(self, position: Position) -> None:
        """Return once `position` is on disk, under `fsync: always`; else at once. Raises `JournalUnwritable`."""
        await self._syncer.durable(position)

    def retry(self) -> bool:
        """Write what waits in memory and take the reserve again; True when all is well, which where neither is to be done is tried."""
        with self._lock:
            try:
                self._prepare()
                if self.failure:
                    self._writer.check_room(_USUAL_FRAME)
                    self._reserve.probe()
                self.failure = ""
            except OSError as error:
                self._failed(error)
        return self.healthy

    def newest(self, after: Position) -> tuple[Position, list[Record] | None]:
        """The end, and what lies between `after` and it; None where that is in the segments only. Given out once."""
        self._follow()  # most of it while others may append
        with self._lock:
            self._follow()
            return self._writer.end, self._tail.take(after, self._writer.end)

    def forget(self, position: Position) -> None:
        """Remove the segments before `position`: the ledger has them, on disk."""
        with self._lock:
            before = min(position.segment, self._writer.segment)
            done = [number for number in self._writer.segments if number < before]
            copied, end = self._carry(done), self._writer.end
        if copied is None or (copied and not self._syncer.sync(end)):
            return
        for number in done:
            segment_path(self.directory, number).unlink(missing_ok=True)
            with self._lock:
                self._writer.drop(number)

    def mend_if_lost(self) -> bool:
        """Whether segments were removed under us; then the open holds have been written anew, and what was spent is for the
        caller to write. False also while nothing can be written: it is tried again."""
        with self._lock:
            gone = self._writer.gone()
            if not gone and not self._is_lost:
                return False
            self._writer.leave(self._writer.segment)
            self._follow()
            self._tail.lose()
            self._is_lost = self._carry(gone) is None
            if self._is_lost:
                return False
            for number in gone:
                self._writer.drop(number)
            self._reserve.whole, self._sync_again_at, self._is_wary = False, 0.0, True
            return True

    def leave_segment(self, number: int) -> None:
        """Go on in a new segment if `number` is being written: something in it cannot be read."""
        with self._lock:
            if self._writer.leave(number):
                self._carry([number])

    def close(self) -> None:
        """Sync and close. What waits in memory gets a last chance."""
        self.flush()
        if self._backlog:
            self.retry()
        with self._lock:
            self._writer.close()
        self._syncer.close()

    def _prepare(self, *, is_new: bool = True) -> None:
        """What has to be in order before a new call may start, or the end of one be written."""
        if is_new and self._sync_again_at:
            if time.monotonic() < self._sync_again_at:
                raise OSError(EIO, "the last sync failed")
            self._sync_again_at = 0.0
        self._backlog.write(self._put_waiting)
        if is_new and not self._reserve.whole:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reserve.take()

    def _put(self, records: list[Record]) -> list[tuple[Record, JournalUnwritable]]:
        """All in one write or, where anything is odd, one after the other; return what kept which of them away."""
        frames, refused = list(map(framed_in, records, repeat(self._frame))), []
        data = b"".join(frames)
        if not self._is_wary and self._writer.put(data):
            self._fresh.extend(records)
        else:
            for record, frame in zip(records, frames, strict=True):
                try:
                    self._put_with_care(record, frame)
                except JournalUnwritable as error:
                    refused.append((record, error))
        if len(data) > _MOST_FRAME and max(map(len, frames)) > _MOST_FRAME:
            self._tail.lose()
        return refused

    def _put_with_care(self, record: Record, frame: bytes) -> None:
        """Where something is wrong, or may be: what can be done about it, first. The end of a call then waits in memory."""
        is_ending = type(record) in _ENDINGS
        try:
            self._prepare(is_new=not is_ending)
            if is_ending:
                self._put_ending(frame)
            else:
                self._writer.put_with_care(frame)
                self.failure = ""
        except OSError as error:
            failure = self._failed(error)
            if not is_ending or not self._backlog.take(record, frame):
                raise failure from error
        else:
            self._fresh.append(record)
            self._is_wary = not self.healthy or self._sync_again_at > 0 or not self._reserve.whole

    def _put_waiting(self, ending: Record, frame: bytes) -> None:
        self._tail.lose()
        self._put_ending(frame)
        self._fresh.append(ending)

    def _put_ending(self, frame: bytes) -> None:
        try:
            self._writer.put_with_care(frame, self._most_bytes)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT) or not self._reserve.whole:
                raise
            self._failed(error)
            self._reserve.release()
            self._writer.put_with_care(frame, self._most_bytes)

    def _follow(self) -> None:
        """Take note of what was written since: beside the calls, and before another segment is begun."""
        with self._following:
            fresh = self._fresh
            if records := list(map(deque.popleft, repeat(fresh, len(fresh)))):
                self._tail.note(self._open.follow(records, self._writer.segment))

    def _carry(self, numbers: list[int]) -> int | None:
        """Copy the holds still open in `numbers` to the newest segment; how many, None when it cannot be written."""
        self._follow()
        stale = self._open.inside(numbers)
        try:
            for identity, frames in stale:
                self._writer.put_with_care(frames, sys.maxsize)
                self._open.moved(identity, self._writer.segment)
        except OSError as error:
            self._failed(error)
            return None
        return len(stale)

    def _failed(self, error: OSError) -> JournalUnwritable:
        self._is_wary = True
        self.failure = "max_bytes" if isinstance(error, OverLimit) else errorcode.get(error.errno or 0, "EIO")
        return JournalUnwritable(self.failure)

    def _sync_failed(self, error: OSError) -> None:
        """What was written since the last sync may be gone: go on in a new segment, new calls a little later."""
        with self._lock:
            self._failed(error)
            self._sync_again_at = time.monotonic() + _SYNC_PAUSE_SECONDS
            number = self._writer.segment
            if self._writer.leave(number) and error.errno == ENOENT:
                self._is_lost = True
                self._carry([number])
