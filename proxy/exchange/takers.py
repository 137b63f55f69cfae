"""Who else takes a reply in: in the client's stead once it has left, or beside it."""

from __future__ import annotations

from typing import Protocol


class Kept(Protocol):
    """What is written instead of sent."""

    def write(self, data: bytes) -> None:
        """More of the body."""

    def close(self) -> None:
        """It was complete."""

    def discard(self) -> None:
        """The call is over: what was not complete broke off."""


class Taker(Protocol):
    """Whoever takes in the reply beside the client."""

    def client_left(self) -> bool:
        """The client has left; whether the call goes on all the same."""

    def ended(self) -> None:
        """The call is over."""
