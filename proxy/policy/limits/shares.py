"""Who may have how much of what all keys share: places and bytes by shares, the event loop by turns."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Shares:
    """Something of which there are `most`. The last tenth is for keys that hold less than their share of all.

    A share counts everybody who holds something, and one more: there is always room for who comes new.
    """

    def __init__(self, most: int) -> None:
        self.total = 0
        self._held: dict[str, int] = {}
        self.grow_to(most)

    def grow_to(self, most: int) -> None:
        """There are so many, from now on; or so few."""
        self.most, self._ample = most, most * 9 // 10

    def take(self, key: str, amount: int = 1) -> bool:
        """Take `amount` more for a key; False, and nothing is taken, where it may not have it."""
        held, after = self._held, self.total + amount
        of_key = held.get(key, 0) + amount
        if after > self._ample:
            holders = len(held) + (key not in held)
            if after > self.most or of_key > self.most // (holders + 1):
                return False
        self.total, held[key] = after, of_key
        return True

    def give_back(self, key: str, amount: int = 1) -> None:
        """A key has `amount` less."""
        self.total -= amount
        held = self._held
        left = held[key] - amount
        if left > 0:
            held[key] = left
        else:
            del held[key]


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
