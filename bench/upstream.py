"""The upstream that streams and takes large bodies: a bare protocol that costs less than any proxy before it.

`python -m bench.upstream PORT`. A request with `x-bench-events: N` is answered with N events, one
every `x-bench-interval-ms`, each in a chunk and a write of its own; any other with a JSON reply,
once its body has been read to the end.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

from bench.payloads import EVENTS_HEADER, INTERVAL_HEADER, event, last_events, small_reply

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_EVENTS = re.compile(rb"(?i)\r\n" + EVENTS_HEADER.encode() + rb": *(\d+)")
_INTERVAL_MS = re.compile(rb"(?i)\r\n" + INTERVAL_HEADER.encode() + rb": *(\d+)")
_MOST_EVENTS = 100_000


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _number(pattern: re.Pattern[bytes], head: bytes) -> int:
    found = pattern.search(head)
    return int(found[1]) if found else 0


_JSON = small_reply()
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_JSON), _JSON)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_EVENT = _chunk(event())
_LAST = _chunk(last_events()) + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of a proxy; one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._head = b""
        self._body_left = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._body_left:
            self._body_left -= len(data)
        else:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = self._buffer[: end + 4]
            self._body_left = _number(_LENGTH, self._head) - (len(self._buffer) - end - 4)
            self._buffer = b""
        if self._body_left <= 0:
            self._body_left = 0
            self._answer()

    def _answer(self) -> None:
        events = min(_number(_EVENTS, self._head), _MOST_EVENTS)
        if not events:
            self._transport.write(_WHOLE)
            return
        self._events_left = events
        self._interval = _number(_INTERVAL_MS, self._head) / 1000
        self._due = self._loop.time()
        self._transport.write(_STREAM_HEAD)
        self._next()

    def _next(self) -> None:
        if not self._events_left:
            self._transport.write(_LAST)
            return
        self._transport.write(_EVENT)
        self._events_left -= 1
        self._due += self._interval
        self._timer = self._loop.call_at(self._due, self._next)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
