"""Where log lines go: a thread of its own writes them, so that a terminal, pipe or disk that blocks holds up nobody."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections import deque
from collections.abc import Callable

MOST_LINES = 5000  # that wait; what comes on top is dropped and counted
_LINGER_SECONDS = 0.005  # lines of one moment go out in one write
_RETRY_SECONDS = 0.5


class LineSink:
    """A text file for loggers, over a descriptor. `dropped` counts the lines lost; `healed` is told how many
    since the last time, once lines go out again."""

    def __init__(self, descriptor: int, most_lines: int = MOST_LINES) -> None:
        """Start the thread; it sleeps until there is a line."""
        self.dropped = 0
        self.healed: Callable[[int], None] = _nobody
        self._descriptor = descriptor
        self._is_cut = False  # whether the last line that went out did so without its end
        self._most_lines = most_lines
        self._blocks: deque[tuple[bytes, int]] = deque()  # of so many lines each
        self._told = 0
        self._lock = threading.Lock()  # of `dropped`, which every thread may raise
        self._news = threading.Event()
        self._stopping = threading.Event()
        _append_always(descriptor)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take lines to write; never waits."""
        self.take(text.encode(errors="backslashreplace"), 1)

    def take(self, block: bytes, lines: int) -> None:
        """Take so many lines to write, whole each; what is too much is dropped."""
        room = max(0, self._most_lines - sum([waiting for _, waiting in list(self._blocks)]))
        if lines > room:
            self._drop(lines - room)
            block, lines = b"".join(block.splitlines(keepends=True)[:room]), room
        self._blocks.append((block, lines))
        if not self._news.is_set():
            self._news.set()

    def flush(self) -> None:
        """Nothing to do: the thread is at it."""

    def isatty(self) -> bool:
        """Whether people read along."""
        return os.isatty(self._descriptor)

    def close(self, seconds: float = 1.0) -> None:
        """Write what there is, within bounds: a sink that blocks must not keep the process."""
        self._stopping.set()
        self._news.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._stopping.wait(_LINGER_SECONDS)
            self._news.clear()
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        while self._blocks:
            blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
            if not self._put(b"".join([block for block, _ in blocks])):
                self._drop(sum([lines for _, lines in blocks]))
                return
        if lost := self.dropped - self._told:  # told only once there is room for it
            self._told += lost
            self.healed(lost)

    def _drop(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines

    def _put(self, block: bytes) -> bool:
        """Write, waiting as long as it takes; False where that fails for good (nobody reads, the disk is full)."""
        rest = memoryview(b"\n" + block if self._is_cut else block)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # somebody made the terminal non-blocking
                self._stopping.wait(_RETRY_SECONDS)
            except OSError:
                return False
            else:
                self._is_cut = bytes(rest[written - 1 : written]) != b"\n"
                rest = rest[written:]
        return True


def _append_always(descriptor: int) -> None:
    """Let a file that is emptied under us (`copytruncate`) begin anew, in place of a hole up to where it had been."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)


def _nobody(lost: int) -> None:
    """Nobody has asked to be told."""
