"""A provider's reply as it arrives: its head, and its body piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from proxy.wire.headers import ReplyHead

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

    def news(self) -> Awaitable[None]:
        """Something to wait for: until something has happened there."""

    def flow(self) -> None:
        """The reader has caught up."""

    def done(self, response: Response) -> None:
        """The reply was taken to its end."""

    def abort(self) -> None:
        """Close at once."""


class Response:
    """A reply: its head (`fields` by lower-case name, those `passing` to a client), and its body as it comes. `read` it to its end, then `release`; or `close` it."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_size",
        "ended",
        "sink",
        "error",
        "fields",
        "passing",
        "status",
        "until_close",
    )

    def __init__(self, connection: Line, status: int, head: ReplyHead) -> None:
        self._connection: Line | None = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self.status = status
        self.fields = head.fields
        self.passing = head.passing
        self.ended = False
        self.sink: Callable[[bytes], bool] | None = None  # shown bytes as they come; what it takes is not read
        self.error: Exception | None = None
        self.until_close = "content-length" not in head.fields and "transfer-encoding" not in head.fields

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case)."""
        return self.fields.get(name)

    @property
    def at_end(self) -> bool:
        """Whether everything has come and was read."""
        return self.ended and not self._chunks

    def take(self) -> bytes | None:
        """The bytes of the body that are there; empty at its end, None where more has to be waited for (`news`).

        Raises `Broken` or `NotHttp`.
        """
        chunks = self._chunks
        if not chunks:
            if self.ended:
                return b""
            if self.error is not None:
                raise self.error
            if self._connection is None:
                raise Broken
            return None
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self._size > HIGH_WATER_BYTES and self._connection is not None and not self.ended:
            self._connection.flow()
        self._size = 0
        return data

    def news(self) -> Awaitable[None]:
        """Something to wait for: until something has come. To be asked for only where more has to be waited for."""
        assert self._connection is not None
        return self._connection.news()

    async def read(self) -> bytes:
        """The next bytes of the body, as they came; empty at its end. Raises `Broken` or `NotHttp`."""
        while (data := self.take()) is None:
            await self.news()
        return data

    def passes(self, data: bytes) -> bool:
        """Whether the sink takes bytes that have come. What comes behind bytes that wait to be read waits with them."""
        return self.sink is not None and not self._chunks and self.sink(data)

    def receive(self, data: bytes) -> bool:
        """Bytes of the body have come; whether that is enough for now."""
        self._chunks.append(data)
        self._size += len(data)
        return self._size > HIGH_WATER_BYTES

    def release(self) -> None:
        """The reply was read to its end: its connection may serve again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.done(self)

    def close(self) -> None:
        """Nobody wants the rest. Where closing stops a bill, this stops it."""
        connection, self._connection = self._connection, None
        self._chunks.clear()
        if connection is not None:
            connection.abort()
