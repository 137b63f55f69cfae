"""The thread that fills the ledger from the journal. Whatever the ledger does, calls go on and nothing is lost.

All work on the database happens here: `submit` runs other people's, on the same connection.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from proxy.stores.database import is_damage
from proxy.stores.failures import LedgerDamaged, LedgerReplaced
from proxy.stores.journal import Journal
from proxy.stores.link import Link
from proxy.stores.segments import START, Position, Problem, Reader

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BATCH = 2000
_PRUNE_SECONDS = 3600.0
_JOURNAL_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 1.0  # between two looks at whether the files are still there
ResultT = TypeVar("ResultT")
Job = tuple[Callable[["Connection"], Any], "Future[Any]"]


class WriterRules(Struct, frozen=True):
    """Seconds. `linger` gathers a batch after the first append; waits after an error double.

    `keep_ms` is how old rows of attempts may get; None keeps them all.
    """

    linger: float = 0.2
    first_wait: float = 0.2
    longest_wait: float = 30.0
    busy: float = 5.0
    keep_ms: int | None = None


class Writer:
    """`lag_seconds`, `errors`, `last_error` and `problems` (places of the journal not readable) are for operators.

    `is_unusable`: the ledger's file is damaged, or not the one there was. `journal_lost` is called from the thread when the journal
    was removed, and made anew without what was spent.
    """

    def __init__(self, journal: Journal, path: Path, rules: WriterRules, tell: Callable[[str], None]) -> None:
        """Nothing happens before `start`. `tell` gets a sentence, from the thread, when something goes wrong."""
        self.errors = 0
        self.journal_lost: Callable[[], object] = _nothing
        self.is_unusable = False
        self.last_error = ""
        self.problems = 0
        self._journal = journal
        self._rules = rules
        self._tell = tell
        self._link = Link(path, rules.busy)
        self._position = START
        self._behind_since: float | None = None
        self._wait = 0.0
        self._prune_at = 0.0
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        self._stopping = False
        self._jobs: deque[Job] = deque()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)

    @property
    def lag_seconds(self) -> float:
        """How long the ledger has been behind the journal."""
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def position(self) -> Position:
        """Up to where the ledger has the journal."""
        return self._position

    def start(self, position: Position = START) -> None:
        """Begin, a little later, with whatever the journal has behind `position`, which the ledger is known to have."""
        self._position = position
        if position < self._journal.end:
            self._journal.appended.set()
        self._thread.start()

    def stop(self, timeout: float = 15.0) -> bool:
        """Apply what there is and end the thread; False when the ledger did not take it all in time."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout)
        return not self._thread.is_alive() and self._position >= self._journal.end

    def flush(self, timeout: float) -> bool:
        """Wait until everything appended so far is in the ledger; False when it took longer. Not for an event loop."""
        wanted = self._journal.end
        self._wake()
        with self._progress:
            return self._progress.wait_for(lambda: self._position >= wanted, timeout) and not self._journal.backlog

    def submit(self, work: Callable[[Connection], ResultT]) -> Future[ResultT]:
        """Run `work` in the thread and in a transaction, behind what was appended before."""
        future: Future[ResultT] = Future()
        self._jobs.append((work, future))
        self._wake()
        return future

    def _wake(self) -> None:
        self._hurry.set()
        self._journal.appended.set()

    def _run(self) -> None:
        while not self._stopping:
            self._rest()
            self._journal.appended.clear()
            if self._behind_since is None and self._position < self._journal.end:
                self._behind_since = time.monotonic()
            self._hurry.wait(max(self._rules.linger, self._wait))
            self._hurry.clear()
            self._round()
        if self._jobs or self._position != self._journal.end or not self._journal.healthy:
            self._round()
        self._link.close()
        for _, future in self._jobs:
            future.cancel()

    def _rest(self) -> None:
        """Until there is something to do; files that are removed meanwhile are noticed."""
        until = time.monotonic() + self._idle_seconds()
        while (left := until - time.monotonic()) > 0:
            if self._journal.appended.wait(min(left, _LOOK_SECONDS)) or self._link.is_gone():
                break
            if self._mended():
                break
        self._mended()

    def _mended(self) -> bool:
        """Whether the journal was removed and is made anew, which whoever knows what was spent is told."""
        if not self._journal.mend_if_lost():
            return False
        self._tell("The journal was removed under the daemon; it was made anew, with the calls under way")
        self.journal_lost()
        return True

    def _idle_seconds(self) -> float:
        """How long to sleep when nothing is appended."""
        if self._wait or not self._journal.healthy:
            return _JOURNAL_RETRY_SECONDS
        return max(0.0, self._prune_at - time.monotonic()) if self._rules.keep_ms is not None else _PRUNE_SECONDS

    def _round(self) -> None:
        if not self._journal.healthy:
            self._journal.retry()
        jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
        try:
            self._drain()
            self._run_all(jobs)
            self._prune()
        except Exception as error:  # noqa: BLE001 - the top of a long-lived thread
            self._failed(error, jobs)
        else:
            self._wait = 0.0
            self.last_error = ""
            self.is_unusable = False

    def _failed(self, error: Exception, jobs: list[Job]) -> None:
        self.errors += 1
        sentence = self._link.lost(error)
        self.is_unusable = isinstance(error, LedgerReplaced | LedgerDamaged) or is_damage(error)
        if sentence != self.last_error:
            self._tell(f"The ledger cannot be written; calls go on and the journal keeps what they cost: {sentence}")
        self.last_error = sentence
        self._wait = min(max(self._rules.first_wait, 2 * self._wait), self._rules.longest_wait)
        for _, future in jobs:
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _drain(self) -> None:
        """Apply all records there are. Behind a checkpoint, their segments are not needed any more."""
        end, began = self._journal.end, time.monotonic()
        self._position = self._link.position()
        if self._position < end:
            self._apply(Reader(self._journal.directory, self._position, end), end)
        if self._position.segment > self._journal.oldest and self._link.checkpoint():
            self._journal.forget(self._position)
        # whatever the journal has now came after we began
        self._behind_since = None if self._journal.end == end else began
        with self._progress:
            self._progress.notify_all()

    def _apply(self, reader: Reader, end: Position) -> None:
        rejected = self._link.rejected
        records = iter(reader)
        while batch := list(islice(records, _BATCH)):
            self._position = self._link.apply(batch)
        if self._position < end:  # what lies between could not be read, or is not there
            self._position = self._link.apply([], end)
        if self._link.rejected > rejected:
            self.errors += self._link.rejected - rejected
            self._tell(f"The ledger's tables refused {self._link.rejected - rejected} records of the journal")
        for problem in reader.problems:
            self._note(problem)

    def _note(self, problem: Problem) -> None:
        self.problems += 1
        self._tell(f"Part of the journal cannot be read; what it held is missing from the ledger: {problem}")
        self._journal.leave_segment(problem.segment)

    def _run_all(self, jobs: list[Job]) -> None:
        for work, future in jobs:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._link.run(work))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                future.set_exception(error)

    def _prune(self) -> None:
        if self._rules.keep_ms is None or time.monotonic() < self._prune_at:
            return
        before_ms = int(time.time() * 1000) - self._rules.keep_ms
        while self._link.prune(before_ms):
            if self._hurry.is_set():
                return
        self._prune_at = time.monotonic() + _PRUNE_SECONDS


def _nothing() -> None:
    """Nobody knows what was spent."""
