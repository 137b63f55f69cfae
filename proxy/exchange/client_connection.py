"""The connection to a client, as whoever speaks to it sees it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol


class ClientConnection(Protocol):
    """The connection to a client (web/connection.py)."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client is slower than we are."""

    @property
    def is_last(self) -> bool:
        """Whether the connection takes no other request, whatever we answer."""

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the client has gone."""

    def send_now(self, data: bytes) -> bool:
        """Send bytes that no record has to go ahead of, in this step; False where something is in their way, and nothing was sent."""

    def drained(self) -> Awaitable[None]:
        """Until the client has caught up. Raises ConnectionError where it goes instead."""

    def hang_up(self, last_words_seconds: float) -> None:
        """Close: at once, or once what was sent is out, so many seconds later at most."""


def never(_: bytes) -> bool:
    """In the place of `send_now`, where there is always something in the way."""
    return False
