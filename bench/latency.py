"""Calls started on schedule, whether those before are answered or not: what a proxy adds to the first byte.

A plain loop over `select`, whose waits are exact to some 50 µs: the timers of an event loop are not.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from typing import NamedTuple

from bench.calls import is_whole
from bench.processes import BenchError

CALLS_A_SECOND = 200
_CONNECTIONS = 16
_LONGEST_SECONDS = 20.0


class Aim(NamedTuple):
    """A kind of call: where to, what, and the bytes of the reply that count as the first (b"" is any)."""

    port: int
    request: bytes
    until: bytes = b""


class _Line:
    """One connection with at most one call under way."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self.socket = socket.create_connection(("127.0.0.1", lines.aim.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._due = 0.0
        self._reply = b""
        self._timed = False

    def call(self, due: float) -> None:
        self._due, self._reply, self._timed = due, b"", False
        self.socket.sendall(self._lines.aim.request)

    def read(self) -> bool:
        """Take what has come; whether the reply is whole."""
        data = self.socket.recv(262144)
        now = time.perf_counter()
        self._reply += data
        if not data or not self._reply.startswith(b"HTTP/1.1 200"[: len(self._reply)]):
            raise BenchError(f"A call was answered with: {self._reply[:300]!r}")
        if not self._timed and self._lines.aim.until in self._reply:
            self._timed = True
            self._lines.seconds.append(now - self._due)
        return is_whole(self._reply)


class _Lines:
    """The connections of one aim. A call that finds all of them busy waits, and its time runs."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.seconds: list[float] = []
        self._free = [_Line(self) for _ in range(_CONNECTIONS)]
        self.busy: dict[socket.socket, _Line] = {}
        self._waiting: deque[float] = deque()

    def start(self, due: float) -> None:
        """A call whose time has come."""
        if not self._free:
            self._waiting.append(due)
            return
        line = self._free.pop(0)
        self.busy[line.socket] = line
        line.call(due)

    def read(self, ready: socket.socket) -> None:
        """Bytes for one of the busy connections."""
        if self.busy[ready].read():
            self._free.append(self.busy.pop(ready))
            if self._waiting:
                self.start(self._waiting.popleft())

    def close(self) -> None:
        """Close every connection."""
        for line in [*self._free, *self.busy.values()]:
            line.socket.close()


def first_bytes(through: Aim, direct: Aim, calls: int) -> tuple[list[float], list[float]]:
    """Seconds from each call's due time to its first byte, sorted: through the proxy, and by turns without it.

    Each kind at `CALLS_A_SECOND`, the one half-way between two of the other.
    """
    kinds = (_Lines(through), _Lines(direct))
    try:
        _run(kinds, calls)
    finally:
        for lines in kinds:
            lines.close()
    return sorted(kinds[0].seconds), sorted(kinds[1].seconds)


def _run(kinds: tuple[_Lines, _Lines], calls: int) -> None:
    began = time.perf_counter() + 0.05
    end = began + calls / CALLS_A_SECOND + _LONGEST_SECONDS
    started = 0
    while started < 2 * calls or any(lines.busy for lines in kinds):
        due = began + started / CALLS_A_SECOND / 2 if started < 2 * calls else end
        now = time.perf_counter()
        if now >= end:
            raise BenchError(f"Calls were not answered within {_LONGEST_SECONDS:.0f} s.")
        if due <= now:
            kinds[started % 2].start(due)
            started += 1
            due = now
        sockets = [ready for lines in kinds for ready in lines.busy]
        for ready in select.select(sockets, (), (), max(0.0, due - now))[0]:
            next(lines for lines in kinds if ready in lines.busy).read(ready)
