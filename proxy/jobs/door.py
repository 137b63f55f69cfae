"""What stands where a client's connection would: it takes the reply in, and is told when that is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from msgspec import Struct

from proxy.exchange.client import Client


class Reply(Struct, frozen=True):
    """A reply as its client would have read it; status 0: it was cut off. Names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class ResultDoor:
    """`reply` is there once the call is over."""

    writing_paused = False
    is_last = False

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._data = bytearray()

    def begin(self, on_lost: Callable[[], None]) -> None:
        """Nobody is here who could leave."""

    def answered(self, client: Client) -> None:
        """The call is over."""
        if not self.reply.done():
            self.reply.set_result(read_reply(bytes(self._data)))

    def send(self, data: bytes) -> bool:
        """Take bytes of the reply."""
        self._data += data
        return True

    async def drained(self) -> None:
        """There is always room."""

    def hang_up(self, last_words_seconds: float) -> None:
        """What was sent is not all of it, which its framing tells."""


class _Reading:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.is_whole = True


def read_reply(data: bytes) -> Reply:
    """The reply in these bytes, as `Client` writes them."""
    reading: Any = _Reading()
    parser = httptools.HttpResponseParser(reading)
    try:
        parser.feed_data(data)
    except httptools.HttpParserError:
        return Reply(0, {}, b"")
    if not reading.is_whole:
        return Reply(0, reading.headers, b"".join(reading.body))
    return Reply(parser.get_status_code(), reading.headers, b"".join(reading.body))
