"""Stands before the client's connection where an entry wants its replies looked at, and remembers how they begin."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

import httptools
from msgspec.structs import replace

from proxy.exchange.client import Door
from proxy.policy.quality.detectors import flags_of
from proxy.policy.quality.reading import said_in
from proxy.policy.quality.values import Wanted, Watch

MOST_BYTES = 1024 * 1024


class Ear(Protocol):
    """Who knows more than one reply."""

    def is_slowest(self, seconds: float) -> bool:
        """Whether it took longer than nearly all of its name."""

    def hear(self, text: str) -> None:
        """What a reply said that has come to its end."""


class Listener:
    """Passes everything on. What it remembers is gone with the call's record."""

    def __init__(self, door: Door, watch: Watch, wanted: Wanted, ear: Ear | None = None) -> None:
        self._door = door
        self._ear = ear
        self._watch = watch
        self._wanted = wanted
        self._heard = bytearray()

    @property
    def writing_paused(self) -> bool:
        """Whether the client is slower than we are."""
        return self._door.writing_paused

    @property
    def is_last(self) -> bool:
        """Whether the connection takes no other request."""
        return self._door.is_last

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the client has gone."""
        if len(self._heard) < MOST_BYTES:
            self._heard += data
        return self._door.send(data)

    def drained(self) -> Awaitable[None]:
        """Until the client has caught up."""
        return self._door.drained()

    def hang_up(self, last_words_seconds: float) -> None:
        """Close."""
        self._door.hang_up(last_words_seconds)

    def flags(self, total_seconds: float) -> tuple[str, ...]:
        """What is wrong with a reply that came to its end; for another thread than the loop's."""
        reading = _Reading()
        try:
            reading.parser.feed_data(bytes(self._heard))
        except httptools.HttpParserError:
            return ()
        if reading.status != 200:
            return ()
        said = said_in(b"".join(reading.body), is_events=reading.is_events)
        is_slowest = False
        if self._ear is not None:
            is_slowest = self._ear.is_slowest(total_seconds)
            self._ear.hear(said.text)
        told = replace(said, total_seconds=total_seconds, is_slowest=is_slowest)
        return flags_of(told, self._watch, self._wanted)


class _Reading:
    """The body of a reply, out of its framing."""

    def __init__(self) -> None:
        self.status = 0
        self.body: list[bytes] = []
        self.is_events = False
        self.parser: Any = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.is_events = value.lower().startswith(b"text/event-stream")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)
