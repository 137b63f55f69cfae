"""What stands where a client's connection would, or before one: replies are taken in there, or dropped."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any

import httptools
from msgspec import Struct

from proxy.exchange.client import Client
from proxy.exchange.client_connection import ClientConnection
from proxy.exchange.io.stepper import Stepper


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


class Nobody:
    """A connection with nobody behind it: there is always room, and nobody who could leave."""

    writing_paused = False
    is_last = False
    stepper: Stepper | None = None
    client: Client | None = None

    def answered(self) -> None:
        """It is over, and who knew of each other does no more: such rings would be left to the garbage collector."""
        self.client = self.stepper = None

    def send(self, data: bytes) -> bool:
        """Take bytes of the reply."""
        return True

    def send_now(self, data: bytes) -> bool:
        """It takes what is sent in turn."""
        return False

    async def drained(self) -> None:
        """At once."""

    def hang_up(self, last_words_seconds: float) -> None:
        """What was sent is not all of it, which its framing tells."""


class Before:
    """Stands before a connection and passes everything on."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def writing_paused(self) -> bool:
        """Whether the client is slower than we are."""
        return self._connection.writing_paused

    @property
    def is_last(self) -> bool:
        """Whether the connection takes no other request."""
        return self._connection.is_last

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the client has gone."""
        return self._connection.send(data)

    def send_now(self, data: bytes) -> bool:
        """It takes what is sent in turn."""
        return False

    def drained(self) -> Awaitable[None]:
        """Until the client has caught up."""
        return self._connection.drained()

    def hang_up(self, last_words_seconds: float) -> None:
        """Close."""
        self._connection.hang_up(last_words_seconds)
