"""A provider's reply as it arrives: its head, and its body piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import Protocol

from msgspec import Struct, structs

from proxy.exchange.io.stepper import Timeout
from proxy.wire.outgoing import Pieces
from proxy.wire.passing import kind_of
from proxy.wire.reply_head import ReplyHead
from proxy.wire.structs import often_set

# A body is read no further ahead of its reader than this, and written no further ahead of the network.
HIGH_WATER_BYTES = 256 * 1024


class Broken(Exception):
    """The connection ended before its reply was complete."""


class Stale(Broken):
    """The same, on a connection that had served before, at once and before a byte of the reply: its other side had most
    likely closed it as the request was under way."""


class NotHttp(Exception):
    """What came is no reply as RFC 9112 has it."""


class Line(Protocol):
    """The connection a reply arrives over (http1.py)."""

    @property
    def news(self) -> Awaitable[None]:
        """Something to wait for: until something has happened there."""

    def flow(self) -> None:
        """The reader has caught up."""

    def done(self) -> None:
        """The reply was taken to its end."""

    def abort(self) -> None:
        """Close at once."""


class Sink(Protocol):
    """Who sees first what comes of a body; what it takes is neither kept nor told of."""

    def body(self, data: bytes) -> bool:
        """Whether it takes these bytes of the body."""

    def chunk(self, data: bytes, beginning: bytes) -> bool:
        """Whether it takes these bytes, framing and all: they are one chunk where they begin so, and end as one does."""

    def chunks(self, data: bytes) -> bool:
        """The same of several, one behind the other, or what else it may be."""


@often_set
class Response(Struct, eq=False):
    """A reply: its head, and its body as it comes. `read` it to its end, then `release`; or `close` it.

    `chunks` wait to be read; `ended`: all has come. `connection` None: it has no need of one. `sink` is shown what comes; what it takes is not read.
    """

    connection: Line | None
    status: int
    head: ReplyHead
    chunks: list[bytes] = []
    ended: bool = False
    _size: int = 0
    sink: Sink | None = None
    error: Exception | None = None

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case)."""
        return self.head.fields.get(name)

    @property
    def at_end(self) -> bool:
        """Whether everything has come and was read."""
        return self.ended and not self.chunks

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be read that this is enough for now."""
        return self._size > HIGH_WATER_BYTES

    def take(self) -> bytes | None:
        """The bytes of the body that are there; empty at its end, None where more has to be waited for (`news`).

        Raises `Broken` or `NotHttp`.
        """
        chunks = self.chunks
        if not chunks:
            if self.ended:
                return b""
            if self.error is not None:
                raise self.error
            if self.connection is None:
                raise Broken
            return None
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self._size > HIGH_WATER_BYTES and self.connection is not None and not self.ended:
            self.connection.flow()
        self._size = 0
        return data

    def news(self) -> Awaitable[None]:
        """Something to wait for: until something has come. To be asked for only where more has to be waited for."""
        assert self.connection is not None
        return self.connection.news

    async def read(self) -> bytes:
        """The next bytes of the body, as they came; empty at its end. Raises `Broken` or `NotHttp`."""
        while (data := self.take()) is None:
            await self.news()
        return data

    async def read_whole(self, most: int) -> bytes:
        """All that is left of it; raises `NotHttp` too where that is more than `most` bytes."""
        body = bytearray()
        while chunk := await self.read():
            body += chunk
            if len(body) > most:
                raise NotHttp
        return bytes(body)

    def receive(self, data: bytes) -> bool:
        """Bytes of the body have come; whether that is enough for now. No sink sees what comes behind what waits."""
        if self.sink is not None:
            self.sink = None
        self.chunks.append(data)
        self._size += len(data)
        return self._size > HIGH_WATER_BYTES

    def release(self) -> None:
        """Nothing more is to be read: where it was read to its end, its connection may serve again."""
        if self.chunks or not self.ended:
            self.close()
        elif self.connection is not None:
            connection, self.connection = self.connection, None
            connection.done()

    def close(self) -> None:
        """Nobody wants the rest. Where closing stops a bill, this stops it."""
        connection, self.connection = self.connection, None
        self.chunks.clear()
        if connection is not None:
            connection.abort()


async def see_if_events(response: Response, timeout: Timeout) -> None:
    """Some servers call a stream of events JSON, text or nothing: it is what it begins as. What was read stays to be read."""
    begun = b""
    while (kind := kind_of(begun)) == "unknown" and (data := await response.read()):
        timeout.heard()
        begun += data
    response.chunks[:0] = [begun] if begun else []
    if kind == "events":
        response.head = structs.replace(response.head, kind="events")


def parts_of(pieces: Pieces) -> Iterator[memoryview]:
    """The body in parts no larger than what may wait for the network; nothing is copied."""
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), HIGH_WATER_BYTES):
            yield view[at : at + HIGH_WATER_BYTES]
