"""How a response of the Responses API stands, as replies and events tell of it (wire.md 2.4)."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import UNSET, Raw, UnsetType

_UNFINISHED = frozenset({"queued", "in_progress"})
_ENDED = frozenset({"completed", "failed", "cancelled", "incomplete"})


class Told(Protocol):
    """A response object, or an event that carries none: its members as they came."""

    status: Any
    background: Any
    output: Raw | UnsetType


class Standing:
    """What has been told so far. `status` None: nothing; `has_output`: an item has begun."""

    __slots__ = ("_background", "has_output", "status")

    def __init__(self) -> None:
        self._background: Any = None
        self.has_output = False
        self.status: str | None = None

    def see(self, told: Told) -> None:
        """Take what is there; the latest counts."""
        if isinstance(told.status, str):
            self.status = told.status
        if told.background is not None:
            self._background = told.background
        if told.output is not UNSET and bytes(told.output) not in (b"[]", b"null"):
            self.has_output = True

    @property
    def has_ended(self) -> bool:
        """Whether it has come to its end, whatever end."""
        return self.status in _ENDED

    def runs_on(self, *, streamed: bool) -> bool:
        """Whether the provider goes on with it after the reply: it says so itself. A stream tells of an unfinished
        response in any case, and must call it a background one."""
        told = self._background is True or (self._background is None and not streamed)
        return told and self.status in _UNFINISHED
