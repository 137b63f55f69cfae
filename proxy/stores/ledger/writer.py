"""The thread that fills the ledger from the journal. Whatever the ledger does, calls go on and nothing is lost.

It comes round five times a second, woken by nobody but who asks it something: to wake a thread for every call would cost more
than everything it does for one. While calls are many it comes for so many of them each, while what there is of them is near the
processor. Work on the database is done here: `submit` runs other people's, `beside` is somebody's before every round.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Container
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from proxy.stores.database import is_busy
from proxy.stores.failures import LedgerDamaged, LedgerReplaced
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Record
from proxy.stores.journal.segments import START, Position, Problem, Reader
from proxy.stores.ledger.link import Link, Look

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BATCH = 2000
_FEW = 200  # records of one `linger`: where there are more, sums wait, and a round comes for so many
_MOST_OFTEN = 20  # rounds in one `linger`
_PRUNE_SECONDS = 3600.0
_BUSY_AT_ONCE_SECONDS = 0.1  # while others are at the ledger, calls are still told of
_LOOK_SECONDS = 1.0  # between two looks at whether the files are still there, and can be written
ResultT = TypeVar("ResultT")
Job = tuple[Callable[[Link], Any], "Future[Any]"]


class WriterRules(Struct, frozen=True):
    """Seconds. `linger` lies between two rounds; others may be at the ledger for `busy`; waits after an error double.

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
        self.beside: Callable[[], object] = lambda: None
        self.errors = self.problems = 0
        self.journal_lost: Callable[[], object] = lambda: None
        self.is_unusable = self._stopping = False
        self.last_error = ""
        self._journal = journal
        self._rules = rules
        self._tell = tell
        self._tell_of_calls = partial(self._guarded, lambda: self.beside(), "what is told of calls")
        self._link = Link(path, min(rules.busy, _BUSY_AT_ONCE_SECONDS), self._tell_of_calls)
        self._position = START
        self._is_known = self._is_in_trouble = False  # whether the ledger said so since it was opened; how it fares
        self._behind_since: float | None = None
        self._busy_since: float | None = None
        self._in_one_linger = 0.0  # records, of late
        self._wait = self._again_at = self._work_at = self._worked_at = self._look_at = self._prune_at = 0.0
        self._is_filling = True  # until the ledger says that its roll-ups have every row
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        self._rounds_begun = self._rounds_ended = 0
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

    def watch(self, look: Look, budgets: Container[str]) -> None:
        """Have `look` see what changes of the sums of budgets, from now on: of these as it happens."""
        self._link.look, self._link.looked_at = look, budgets

    def start(self, position: Position = START) -> None:
        """Begin, a little later, with whatever the journal has behind `position`, which the ledger is known to have."""
        self._position = position
        self._thread.start()

    def stop(self, timeout: float = 15.0) -> bool:
        """Apply what there is and end the thread; False when the ledger did not take it all in time."""
        self._stopping = True
        self._hurry.set()
        self._thread.join(timeout)
        self.beside()
        return not self._thread.is_alive() and self._position >= self._journal.end

    def flush(self, timeout: float) -> bool:
        """Wait until everything appended so far is in the ledger, and what is told beside it; False when it took longer. Not
        for an event loop."""
        wanted, rounds = self._journal.end, self._rounds_begun + 1
        self._hurry.set()
        with self._progress:
            done = self._progress.wait_for(lambda: self._position >= wanted and self._rounds_ended >= rounds, timeout)
        return done and not self._journal.backlog

    def submit(self, work: Callable[[Connection], ResultT]) -> Future[ResultT]:
        """Run `work` in the thread and in a transaction, behind what was appended before."""
        return self._give(lambda link: link.run(work))

    def do(self, work: Callable[[sqlite3.Connection], ResultT]) -> Future[ResultT]:
        """The same for plain SQL, which needs no SQLAlchemy."""
        return self._give(lambda link: link.do(work))

    def _give(self, job: Callable[[Link], ResultT]) -> Future[ResultT]:
        future: Future[ResultT] = Future()
        self._jobs.append((job, future))
        self._hurry.set()
        return future

    def _run(self) -> None:
        # beside a call that is due, a batch can wait (Linux; elsewhere threads have no priority of their own)
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
        while not self._stopping:
            is_asked = self._hurry.wait(self._rules.linger / min(max(1.0, self._in_one_linger / _FEW), _MOST_OFTEN))
            self._hurry.clear()
            self._round(is_asked=is_asked)
        self._round(is_asked=True)
        # others are at the ledger, for the moment; or what is still open was written forward to a new segment
        while not self.last_error and (self._is_in_trouble or self._position < self._journal.end):
            self._round(is_asked=True)
        self._link.close()
        for _, future in self._jobs:
            future.cancel()
        self._end_round(sys.maxsize)

    def _end_round(self, ended: int) -> None:
        with self._progress:
            self._rounds_ended = ended
            self._progress.notify_all()

    def _round(self, *, is_asked: bool) -> None:
        self._rounds_begun += 1
        self._tell_of_calls()
        now = time.monotonic()
        if not is_asked and now < self._work_at:
            return
        self._work_at, self._in_one_linger = now + self._rules.linger / 4, 0.0
        if is_asked or now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._guarded(self._look, "the look after the files")
        if self._behind_since is None and self._position < self._journal.end:
            self._behind_since = now
        is_behind = self._behind_since is not None or bool(self._jobs) or self._link.has_unsummed
        has_more = is_behind or self._is_filling or self._is_pruning(now)
        if (has_more or self._is_in_trouble) and (is_asked or now >= self._again_at):
            self._work(is_asked=is_asked)
        self._end_round(self._rounds_begun)

    def _guarded(self, step: Callable[[], object], what: str) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the top of a long-lived thread
            self._tell(f"A bug in Tollkeeper, in {what}: {error!r}")

    def _look(self) -> None:
        """Notice files that were removed, and a disk that can be written again."""
        if not self._journal.healthy:
            self._journal.retry()
        if self._journal.mend_if_lost():
            self._tell("The journal was removed under the daemon; it was made anew, with the calls under way")
            self.journal_lost()
        if self._link.is_gone():
            self._is_in_trouble, self._is_known = True, False

    def _is_pruning(self, now: float) -> bool:
        return not self._is_filling and now >= self._prune_at

    def _work(self, *, is_asked: bool) -> None:
        jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
        try:
            self._drain(is_asked=bool(jobs))
            self._link.sum_up(at_once=is_asked or bool(jobs))
            self._run_all(jobs)
            self._is_filling = self._is_filling and self._link.fill()
            self._prune()
        except Exception as error:  # noqa: BLE001 - the top of a long-lived thread
            self._is_in_trouble, self._is_known = True, False
            if self._is_patient(error):
                self._jobs.extendleft(job for job in reversed(jobs) if not job[1].done())
            else:
                self._failed(error, jobs)
        else:
            self._wait = self._again_at = 0.0
            self._busy_since, self.last_error = None, ""
            self._is_in_trouble = self.is_unusable = False

    def _is_patient(self, error: Exception) -> bool:
        """Whether somebody else is at the ledger, and has not been for long."""
        if not is_busy(error):
            return False
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        return now - self._busy_since < self._rules.busy

    def _failed(self, error: Exception, jobs: list[Job]) -> None:
        self.errors += 1
        trouble = self._link.lost(error)
        sentence = str(trouble)
        self.is_unusable = isinstance(trouble, LedgerReplaced | LedgerDamaged)
        if sentence != self.last_error:
            self._tell(f"The ledger cannot be written; calls go on and the journal keeps what they cost: {sentence}")
        self.last_error = sentence
        self._wait = min(max(self._rules.first_wait, 2 * self._wait), self._rules.longest_wait)
        self._again_at = time.monotonic() + self._wait
        for _, future in jobs:
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(trouble)

    def _drain(self, *, is_asked: bool) -> None:
        """Apply all records there are, and see whether the ledger can be written for who asks. Behind a checkpoint, their segments are not needed any more."""
        began = time.monotonic()
        if is_asked or not self._is_known:
            self._position = self._link.position()
            self._is_known = True
        end, newest = self._journal.newest(self._position)
        lingers = min(max(0.25, (began - self._worked_at) / self._rules.linger), 1.0)
        self._in_one_linger, self._worked_at = math.inf if newest is None else len(newest) / lingers, began
        if self._position < end and not self._took(newest, end):
            self._apply(Reader(self._journal.directory, self._position, end), end)
        if self._position.segment > self._journal.oldest and self._link.checkpoint():
            self._journal.forget(self._position)
        # whatever the journal has now came after we began
        self._behind_since = None if self._journal.end == end else began

    def _took(self, newest: list[Record] | None, end: Position) -> bool:
        """Apply what is still in memory; False where it is not, or holds what only its segment has in a form that fits."""
        if newest is None:
            return False
        try:
            self._position = self._link.add(newest, end, are_many=self._in_one_linger > _FEW)
        except (ValueError, OverflowError, sqlite3.IntegrityError):
            return False
        return True

    def _apply(self, reader: Reader, end: Position) -> None:
        rejected, records = self._link.rejected, iter(reader)
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
                future.set_result(work(self._link))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                future.set_exception(error)

    def _prune(self) -> None:
        """Remove some rows that are too old, once the roll-ups have them; the next round removes more where there are."""
        now, keep_ms = time.monotonic(), self._rules.keep_ms
        before_ms = None if keep_ms is None else int(time.time() * 1000) - keep_ms
        if self._is_pruning(now) and not self._link.prune(before_ms):
            self._prune_at = now + _PRUNE_SECONDS
