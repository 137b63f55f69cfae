"""Bringing the journal to the disk, in a thread of its own: one fsync serves everybody who waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from errno import ENOENT, errorcode
from pathlib import Path
from typing import Literal

from msgspec import Struct

from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.segments import START, Position

Fsync = Literal["interval", "always", "never"]

_INTERVAL_SECONDS = 0.1
_sync_file = getattr(os, "fdatasync", os.fsync)


class _Waiter(Struct, frozen=True):
    position: Position
    answer: Callable[[OSError | None], None]


class Syncer:
    """Owns the closing of segment files, so that none is closed while it is synced.

    Whoever writes says up to which `offset` of the current segment that was, and then, while it `is_asleep`, wakes it.

    `failed` is called from the thread, without our lock, when a sync failed: nobody knows
    then what of the current file is on disk, and it must not be written to any more.
    """

    def __init__(self, directory: Path, fsync: Fsync, failed: Callable[[OSError], None]) -> None:
        """Start the thread; it sleeps until something is written."""
        self._directory = directory
        self._fsync = fsync
        self._failed = failed
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._current = -1
        self._segment, self.offset = START
        self.is_asleep = True
        self._retired: list[int] = []
        self._waiters: list[_Waiter] = []
        self._synced = START
        self._new_file = False
        self._thread = threading.Thread(target=self._run, name="journal fsync", daemon=True)
        self._thread.start()

    def opened(self, fd: int, end: Position) -> None:
        """A new segment, written up to `end`: its name must reach the disk as well."""
        with self._lock:
            self._current = fd
            self._segment, self.offset = end
            self._new_file = True

    def retired(self, fd: int) -> None:
        """Nothing more will be written to `fd`: sync and close it."""
        with self._lock:
            self._retired.append(fd)
            self._current = -1
        self._wake.set()

    def wake(self) -> None:
        """Something was written to the current segment."""
        self.is_asleep = False
        self._wake.set()

    async def durable(self, position: Position) -> None:
        """Return once everything up to `position` is on disk. Raises `JournalUnwritable`."""
        if self._fsync != "always":
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._ask(position, lambda error: _answer(loop, future, error)):
            await future

    def sync(self, position: Position) -> bool:
        """The same for a thread, under any rule: wait until `position` is on disk; False when it may not be."""
        if self._fsync == "never":
            return True
        errors: list[OSError] = []
        done = threading.Event()

        def answered(error: OSError | None) -> None:
            errors.extend([error] if error else [])
            done.set()

        if self._ask(position, answered):
            done.wait()
        return not errors

    def close(self) -> None:
        """Sync what there is, close every file, end the thread."""
        with self._lock:
            if self._current >= 0:
                self._retired.append(self._current)
                self._current = -1
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _ask(self, position: Position, answer: Callable[[OSError | None], None]) -> bool:
        """Have `answer` called after the next round, unless `position` is on disk already."""
        with self._lock:
            if self._synced >= position:
                return False
            self._waiters.append(_Waiter(position, answer))
        self._wake.set()
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            if self._fsync != "always":
                self._stopping.wait(_INTERVAL_SECONDS)
            self._wake.clear()
            self.is_asleep = True  # before it looks how far to go: what is written from here on wakes it again
            self._round()
        self._round()

    def _round(self) -> None:
        with self._lock:
            current, retired, end = self._current, self._retired, Position(self._segment, self.offset)
            waiters, self._waiters = self._waiters, []
            new_file, self._retired, self._new_file = self._new_file, [], False
        error = self._sync_directory() if new_file else None
        for fd in [*retired, *([current] if current >= 0 else [])]:
            error = self._sync(fd) or error
        for fd in retired:
            with contextlib.suppress(OSError):  # what the sync before has not found is not lost by it
                os.close(fd)
        if error is None:
            self._synced = max(self._synced, end)
        else:
            self._failed(error)
        for waiter in waiters:
            waiter.answer(error)

    def _sync(self, fd: int) -> OSError | None:
        try:
            if self._fsync != "never":
                _sync_file(fd)
            if os.fstat(fd).st_nlink == 0 and fd == self._current:
                return OSError(ENOENT, "the segment was deleted while in use")
        except OSError as error:
            return error
        return None

    def _sync_directory(self) -> OSError | None:
        if self._fsync == "never":
            return None
        try:
            fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return error
        try:
            os.fsync(fd)
        except OSError as error:
            return error
        finally:
            os.close(fd)
        return None


def _answer(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None], error: OSError | None) -> None:
    """Tell one waiter in its own loop, which may be closed by now."""

    def tell() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(JournalUnwritable(errorcode.get(error.errno or 0, "EIO")))

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return
