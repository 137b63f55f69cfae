"""The line of those who wait for room under a budget: keys in turn, first come first served within one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Who waits, by key. Every step costs at most one look at each key that waits."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._by_key: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._by_key)

    def __contains__(self, key: str) -> bool:
        """Whether anybody of this key waits."""
        return key in self._by_key

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(waiting) for waiting in self._by_key.values())

    def join(self, key: str, one: T) -> None:
        """Stand behind the others of this key; a key new to the line comes last."""
        self._by_key.setdefault(key, OrderedDict())[one] = None

    def leave(self, key: str, one: T) -> None:
        """Go, served or not."""
        waiting = self._by_key.get(key)
        if waiting is None:
            return
        waiting.pop(one, None)
        if not waiting:
            del self._by_key[key]

    def is_first(self, key: str, one: T) -> bool:
        """Whether nobody of the same key came before."""
        waiting = self._by_key.get(key)
        return waiting is not None and next(iter(waiting), None) == one

    def call(self, may_go: Callable[[T], bool]) -> T | None:
        """The next in turn that may go, of those first within their keys; its key comes last from now on."""
        for key, waiting in self._by_key.items():
            one = next(iter(waiting))
            if may_go(one):
                self._by_key.move_to_end(key)
                return one
        return None
