"""The thread that fills the ledger from the journal. Whatever the ledger does, calls go on and nothing is lost.

All work on the database happens here: `submit` runs other people's, on the same connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from proxy.stores.journal import Journal
from proxy.stores.link import Link
from proxy.stores.segments import START, Position, Problem, Reader

log = logging.getLogger(__name__)

_BATCH = 2000
_PRUNE_SECONDS = 3600.0
_JOURNAL_RETRY_SECONDS = 1.0
ResultT = TypeVar("ResultT")
Job = tuple[Callable[[Connection], Any], "Future[Any]"]


class WriterRules(Struct, frozen=True):
    """`linger` gathers a batch after the first append; waits after an error double. `keep_ms` None keeps all rows."""

    linger: float = 0.2
    first_wait: float = 0.2
    longest_wait: float = 30.0
    keep_ms: int | None = None
    busy_seconds: float = 5.0


class Writer:
    """`errors`, `last_error`, `lag_seconds` and `problems` are for metrics and `doctor`."""

    def __init__(self, journal: Journal, path: Path, rules: WriterRules) -> None:
        """Nothing happens before `start`. `path` is a ledger that `open_ledger` has made ready."""
        self.errors = 0
        self.last_error = ""
        self.problems: list[Problem] = []
        self._journal = journal
        self._rules = rules
        self._link = Link(path, rules.busy_seconds)
        self._position = START
        self._behind_since: float | None = None
        self._wait = 0.0
        self._prune_at = 0.0
        self._hurry = threading.Event()
        self._caught_up = threading.Condition()
        self._stopping = False
        self._jobs: deque[Job] = deque()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)

    @property
    def lag_seconds(self) -> float:
        """How long the oldest record that is not in the ledger has waited."""
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def position(self) -> Position:
        """Up to where the ledger has the journal."""
        return self._position

    def start(self) -> None:
        """Start with whatever the journal has that the ledger has not."""
        self._journal.appended.set()
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Apply what there is, end the thread; False when the ledger did not take it all in time."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout)
        return not self._thread.is_alive() and self._has(self._journal.end)

    def flush(self, timeout: float) -> bool:
        """Wait until everything appended so far is in the ledger; False when it took longer. Not for the event loop."""
        wanted = self._journal.end
        self._wake()
        with self._caught_up:
            return self._caught_up.wait_for(lambda: self._has(wanted), timeout) and not self._journal.backlog

    def submit(self, work: Callable[[Connection], ResultT]) -> Future[ResultT]:
        """Run `work` in the thread, after what was appended before. It opens its own transaction."""
        future: Future[ResultT] = Future()
        self._jobs.append((work, future))
        self._wake()
        return future

    def _has(self, position: Position) -> bool:
        return self._behind_since is None and self._position >= position

    def _wake(self) -> None:
        self._hurry.set()
        self._journal.appended.set()

    def _run(self) -> None:
        while not self._stopping:
            self._journal.appended.wait(self._idle_seconds())
            self._journal.appended.clear()
            if self._behind_since is None:
                self._behind_since = time.monotonic()
            self._hurry.wait(max(self._rules.linger, self._wait))
            self._hurry.clear()
            self._round()
        self._link.close()
        for _, future in self._jobs:
            future.cancel()

    def _idle_seconds(self) -> float:
        if self._wait or not self._journal.healthy:
            return min(self._wait or _JOURNAL_RETRY_SECONDS, _JOURNAL_RETRY_SECONDS)
        return max(0.0, self._prune_at - time.monotonic()) if self._rules.keep_ms is not None else _PRUNE_SECONDS

    def _round(self) -> None:
        if not self._journal.healthy:
            self._journal.retry()
        try:
            self._drain()
            self._run_jobs()
            self._prune()
        except Exception as error:  # noqa: BLE001 - the top of a long-lived thread
            self._failed(error)
        else:
            self._wait = 0.0
            self.last_error = ""

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        sentence = self._link.lost(error)
        if sentence != self.last_error:
            log.warning("the ledger cannot be written; calls go on, the journal keeps their records: %s", sentence)
        self.last_error = sentence
        self._wait = min(max(self._rules.first_wait, 2 * self._wait), self._rules.longest_wait)
        for _, future in (self._jobs.popleft() for _ in range(len(self._jobs))):
            future.set_exception(error)

    def _drain(self) -> None:
        """Apply all records there are; behind a checkpoint, their segments are not needed any more."""
        end = self._journal.end
        self._position = self._link.position()
        if self._position < end:
            reader = Reader(self._journal.directory, self._position, end)
            records = iter(reader)
            while batch := list(islice(records, _BATCH)):
                self._position = self._link.apply(batch)
            self._position = self._link.apply([], end)
            self._note(reader.problems, end)
        if self._link.checkpoint(force=self._stopping):
            self._journal.forget(self._position)
        if self._journal.end == end:
            self._behind_since = None
        with self._caught_up:
            self._caught_up.notify_all()

    def _note(self, problems: list[Problem], end: Position) -> None:
        for problem in problems:
            log.error("%s", problem)
            self.problems.append(problem)
            if problem.segment == end.segment:
                self._journal.leave_segment(end.segment)

    def _run_jobs(self) -> None:
        while self._jobs:
            work, future = self._jobs.popleft()
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
        while self._link.prune(before_ms) and not self._hurry.is_set():
            pass
        self._prune_at = time.monotonic() + _PRUNE_SECONDS
