"""Stands before the client's connection where an entry wants its replies looked at, and remembers how they begin."""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from proxy.exchange.client_connection import ClientConnection
from proxy.exchange.stand_ins import Before, Reading
from proxy.policy.quality.detectors import flags_of
from proxy.policy.quality.reading import said_in
from proxy.policy.quality.values import Wanted, Watch

MOST_BYTES = 1024 * 1024


class ReplyObserver(Protocol):
    """Who knows more than one reply."""

    def is_slowest(self, seconds: float) -> bool:
        """Whether it took longer than nearly all of its name."""

    def hear(self, text: str) -> None:
        """What a reply said that has come to its end."""


class Listener(Before):
    """Passes everything on. What it remembers is gone with the call's record."""

    def __init__(
        self, connection: ClientConnection, watch: Watch, wanted: Wanted, observer: ReplyObserver | None = None
    ) -> None:
        super().__init__(connection)
        self._observer = observer
        self._watch = watch
        self._wanted = wanted
        self._heard = bytearray()

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the client has gone."""
        if len(self._heard) < MOST_BYTES:
            self._heard += data
        return super().send(data)

    def flags(self, total_seconds: float) -> tuple[str, ...]:
        """What is wrong with a reply that came to its end; for another thread than the loop's."""
        reading = Reading()
        reading.feed(bytes(self._heard))
        if reading.status != 200:
            return ()
        is_events = reading.headers.get("content-type", "").lower().startswith("text/event-stream")
        said = said_in(bytes(reading.body), is_events=is_events)
        is_slowest = False
        if self._observer is not None:
            is_slowest = self._observer.is_slowest(total_seconds)
            self._observer.hear(said.text)
        told = replace(said, total_seconds=total_seconds, is_slowest=is_slowest)
        return flags_of(told, self._watch, self._wanted)
