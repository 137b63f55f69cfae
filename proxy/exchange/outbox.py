"""What goes out in one turn of the event loop goes out together, at its end.

Each write to a socket whose reader sleeps wakes that reader, on another core mostly, which takes longer than the write; of
several in a row only the first one does. Nothing waits longer than the turn in which it was said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Protocol

MOST_WAITING = 32  # more do not wait for the end of the turn


class Sender(Protocol):
    """A connection with something to say."""

    def go(self) -> None:
        """Now. To be told without need does nothing."""


class Outbox:
    """Of one event loop."""

    __slots__ = ("_at_the_end", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at_the_end = partial(loop.call_soon, self._flush)
        self._waiting: deque[Sender] = deque()

    def put(self, sender: Sender) -> None:
        """Let it say what it has to, in this turn."""
        waiting = self._waiting
        if not waiting:
            self._at_the_end()
        elif len(waiting) >= MOST_WAITING:
            self._flush()
        waiting.append(sender)

    def _flush(self) -> None:
        """Let all who wait say it."""
        waiting = self._waiting
        try:
            while waiting:
                waiting.popleft().go()
        finally:
            if waiting:  # a bug in one is nothing to the others
                self._at_the_end()
