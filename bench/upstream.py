"""The upstream that streams and takes large bodies: a bare protocol that costs less than any proxy before it.

`python -m bench.upstream PORT [CERTIFICATE KEY]`. A request with `"stream":true` is answered with
`max_tokens` events, one every `seed` milliseconds, each in a chunk and a write of its own; any other
with a JSON reply, once its body has been read to the end. With a certificate, over TLS.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from typing import cast

import uvloop

from bench.payloads import EVENT_INTERVAL_MS, event, last_events, small_reply

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_STREAM = re.compile(rb'"stream": ?true')
_EVENTS = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_INTERVAL_MS = re.compile(rb'"seed": ?(\d+)')
_MOST_EVENTS = 100_000
_LARGEST_READ = 65536  # of a larger request only the bytes are counted


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _number(pattern: re.Pattern[bytes], request: bytes, default: int = 0) -> int:
    found = pattern.search(request)
    return int(found[1]) if found else default


_JSON = small_reply()
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_JSON), _JSON)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
# by turns: there are gateways that end a stream that repeats itself
_WORDS = (_chunk(event(" story")), _chunk(event(" fable")))
_LAST = _chunk(last_events()) + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of a proxy; one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = b""
        self._bytes_left = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._bytes_left:
            self._bytes_left -= len(data)
        else:
            self._request += data
            end = self._request.find(b"\r\n\r\n")
            if end < 0:
                return
            missing = end + 4 + _number(_LENGTH, self._request[: end + 4]) - len(self._request)
            if 0 < missing < _LARGEST_READ:
                return
            self._bytes_left = missing
        if self._bytes_left <= 0:
            self._bytes_left = 0
            request, self._request = self._request, b""
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if len(request) > _LARGEST_READ or not _STREAM.search(request):
            self._transport.write(_WHOLE)
            return
        self._events_left = min(_number(_EVENTS, request), _MOST_EVENTS)
        self._interval = _number(_INTERVAL_MS, request, EVENT_INTERVAL_MS) / 1000
        self._due = self._loop.time()
        self._transport.write(_STREAM_HEAD)
        self._next()

    def _next(self) -> None:
        if not self._events_left:
            self._transport.write(_LAST)
            return
        self._transport.write(_WORDS[self._events_left & 1])
        self._events_left -= 1
        self._due += self._interval
        self._timer = self._loop.call_at(self._due, self._next)


async def _serve(port: int, certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2:]))
