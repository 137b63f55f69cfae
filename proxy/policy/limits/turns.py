"""Whose turn it is with what all keys share: the event loop."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Keys in turn, each in the order it asked; who asks for more at a time waits for longer until its next turn.

    Start-time fair queueing (Goyal et al. 1996): a key's clock goes on by the cost of what it gets, and the one whose
    clock is furthest behind is next. A key that comes anew begins at the time of whoever was served last.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[tuple[int, T]]] = {}
        self._clocks: dict[str, int] = {}
        self._now = 0

    def join(self, key: str, cost: int, who: T) -> None:
        """Stand in the line of a key."""
        if key not in self._lines:
            self._lines[key] = deque()
            self._clocks[key] = max(self._now, self._clocks.get(key, 0))
        self._lines[key].append((cost, who))

    def next(self) -> T | None:
        """Whose turn it is; None where nobody waits."""
        if not self._lines:
            return None
        key = min(self._lines, key=self._clocks.__getitem__)
        line = self._lines[key]
        cost, who = line.popleft()
        self._now = self._clocks[key]
        self._clocks[key] += cost
        if not line:
            del self._lines[key]
        if not self._lines:  # nobody is behind or ahead of anybody any more
            self._clocks.clear()
        return who
