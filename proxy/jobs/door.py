"""What stands where a client's connection would: it takes the reply in, and is told when that is whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import httptools
from msgspec import Struct

from proxy.exchange.client import Client
from proxy.stores.job_rows import Job


class Reply(Struct, frozen=True):
    """A reply as its client would have read it; status 0: it was cut off. Names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class Reading:
    """A reply taken in piece by piece, as `Client` writes it. `status` is 0 before the head is there; of a body of
    more than `most_bytes` only the end is kept, and `dropped` is how many bytes are not."""

    def __init__(self, most_bytes: int | None = None) -> None:
        self.status = self.dropped = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_whole = False
        self._most_bytes = most_bytes
        self._parser: Any = httptools.HttpResponseParser(self)

    @property
    def end(self) -> int:
        """How many bytes of the body have come."""
        return self.dropped + len(self.body)

    def feed(self, data: bytes) -> None:
        """More of it."""
        with contextlib.suppress(httptools.HttpParserError):  # then it is never whole
            self._parser.feed_data(data)

    def reply(self) -> Reply:
        """All of it; status 0 where that did not come, or is not there any more."""
        is_there = self.is_whole and not self.dropped
        return Reply(self.status if is_there else 0, self.headers, bytes(self.body))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Of the parser."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Of the parser."""
        self.body += body
        if self._most_bytes is not None and (over := len(self.body) - self._most_bytes) > 0:
            gone = min(len(self.body), over + self._most_bytes // 2)  # seldom, and much at once
            del self.body[:gone]
            self.dropped += gone

    def on_message_complete(self) -> None:
        """Of the parser."""
        self.is_whole = True


class ResultDoor:
    """`reply` is there once the call is over."""

    writing_paused = False
    is_last = False

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._reading = Reading()

    def begin(self, on_lost: Callable[[], None]) -> None:
        """Nobody is here who could leave."""

    def answered(self, client: Client) -> None:
        """The call is over."""
        if not self.reply.done():
            self.reply.set_result(self._reading.reply())

    def send(self, data: bytes) -> bool:
        """Take bytes of the reply."""
        self._reading.feed(data)
        return True

    async def drained(self) -> None:
        """There is always room."""

    def hang_up(self, last_words_seconds: float) -> None:
        """What was sent is not all of it, which its framing tells."""


class Caller(Protocol):
    """Whoever makes the calls (`calls.py`)."""

    @property
    def is_closing(self) -> bool:
        """Whether no call may begin any more."""

    def next_id(self) -> str:
        """The id of a call that is to be made."""

    def begin(self, job: Job, body: bytes, request_id: str, door: ResultDoor) -> bool:
        """Make a call; False where its key does not exist any more."""

    def cut(self, request_id: str) -> None:
        """End a call."""

    def was_sent(self, request_id: str) -> bool:
        """Whether the call that a line became before a crash has reached a provider. Not for an event loop."""
