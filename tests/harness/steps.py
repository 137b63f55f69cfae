"""What a scripted upstream can do on one connection, step by step, and ready-made replies made of steps."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from harness.queue import ReceiveQueues

Script = Callable[["Wire"], Awaitable[None]]
Headers = Sequence[tuple[str, str]]


class _Passage(Protocol):
    async def passed(self) -> None: ...


class Wire(asyncio.Protocol):
    """One connection: reads requests, has each answered, notices the other side's end."""

    def __init__(
        self, number: int, answer: Callable[[Wire, bytes, bytes], Awaitable[None]], queues: ReceiveQueues
    ) -> None:
        self.number = number
        self._queues = queues
        self.closed = threading.Event()
        self.sent_bytes = 0
        self._answer = answer
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._task = asyncio.get_running_loop().create_task(self._serve(), name=f"connection {self.number}")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other side does not read."""
        self.transport.write(data)
        self.sent_bytes += len(data)
        await self._writable.wait()

    async def read_by_peer(self) -> None:
        """Wait until the other process has taken all bytes out of its socket (where the kernel tells)."""
        here, there = self.transport.get_extra_info("sockname"), self.transport.get_extra_info("peername")
        sent = 0 if self.transport.get_extra_info("ssl_object") else self.sent_bytes  # what TLS makes of it is longer
        while not self.closed.is_set() and (
            self.transport.get_write_buffer_size() or self._queues.unread(there, here, sent)
        ):
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Wait until the other side has closed."""
        while not self.closed.is_set():
            await self._more()

    def reset(self) -> None:
        """Close with RST."""
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _more(self) -> None:
        self._news.clear()
        if not self.closed.is_set():
            await self._news.wait()

    async def _serve(self) -> None:
        while not self.closed.is_set() and not self.transport.is_closing():
            while (end := self._buffer.find(b"\r\n\r\n")) < 0 and not self.closed.is_set():
                await self._more()
            if end < 0:
                return
            head = bytes(self._buffer[: end + 4])
            del self._buffer[: end + 4]
            body = await self._read_body(head.lower())
            if body is not None:
                await self._answer(self, head, body)

    async def _read_body(self, head: bytes) -> bytes | None:
        """The body by its length; None when the other side went first. Chunked bodies fail loudly."""
        assert b"\r\ntransfer-encoding:" not in head, "the daemon sent a chunked request"
        _, named, rest = head.partition(b"\r\ncontent-length:")
        size = int(rest.partition(b"\r\n")[0]) if named else 0
        while len(self._buffer) < size:
            if self.closed.is_set():
                return None
            await self._more()
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body


def then(*steps: Script) -> Script:
    """Steps one after the other."""

    async def script(wire: Wire) -> None:
        for step in steps:
            if wire.closed.is_set():
                return
            await step(wire)

    return script


def say(*pieces: bytes) -> Script:
    """Send these bytes as they are."""
    return then(*(lambda wire, piece=piece: wire.send(piece) for piece in pieces))


def say_apart(pieces: Iterable[bytes]) -> Script:
    """Send pieces so that each reaches the other process in a read of its own."""

    async def script(wire: Wire) -> None:
        for piece in pieces:
            if wire.closed.is_set():
                return
            await wire.send(piece)
            await wire.read_by_peer()

    return script


def wait_at(gate: _Passage) -> Script:
    """Stop until the test opens the gate, or the other side leaves."""

    async def script(wire: Wire) -> None:
        waits = [asyncio.ensure_future(gate.passed()), asyncio.ensure_future(wire.gone())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    return script


def pause(seconds: float) -> Script:
    """Let time pass; only for tests whose subject is time."""
    return lambda wire: asyncio.sleep(seconds)


async def hang(wire: Wire) -> None:
    """Say nothing until the other side closes."""
    await wire.gone()


async def close(wire: Wire) -> None:
    """Close the connection in an orderly way (FIN)."""
    wire.transport.close()


async def reset(wire: Wire) -> None:
    """Break the connection (RST)."""
    await wire.read_by_peer()
    wire.reset()


def head(status: int | str = 200, headers: Headers = ()) -> bytes:
    """A response head; `status` may carry its reason."""
    line = status if isinstance(status, str) else f"{status} Status"
    return f"HTTP/1.1 {line}\r\n".encode() + b"".join(f"{n}: {v}\r\n".encode("latin-1") for n, v in headers) + b"\r\n"


def plain_reply(body: bytes, status: int | str = 200, headers: Headers = ()) -> Script:
    """A reply with its length."""
    return say(head(status, [*headers, ("Content-Length", str(len(body)))]) + body)


def json_reply(value: Any, status: int | str = 200, headers: Headers = ()) -> Script:
    """A JSON reply; bytes go out as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return plain_reply(body, status, [("Content-Type", "application/json"), *headers])


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
STREAM_HEADERS = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))


def stream_head(*headers: tuple[str, str]) -> bytes:
    """The head of an event stream that will be chunked."""
    return head(200, [*STREAM_HEADERS, *headers])


def sse(events: bytes, *, end: bool = True, headers: Headers = ()) -> Script:
    """A whole event stream, in one chunk."""
    return say(stream_head(*headers) + chunk(events) + (LAST_CHUNK if end else b""))


def sse_apart(pieces: Iterable[bytes], *, headers: Headers = ()) -> Script:
    """An event stream whose pieces are chunks that arrive one by one."""
    pieces = [piece for piece in pieces if piece]
    return then(say_apart([stream_head(*headers), *map(chunk, pieces)]), say(LAST_CHUNK))
