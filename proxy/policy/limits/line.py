"""The line of those who wait: the higher priority first, keys in turn within one, first come first served within a key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from proxy.policy.limits.pace import DEFAULT, PRIORITIES

T = TypeVar("T")


class Line(Generic[T]):
    """Who waits, by rank (a priority's place in `PRIORITIES`) and key. Every step costs at most one look at each key that
    waits."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._by_rank: tuple[OrderedDict[str, OrderedDict[T, None]], ...] = tuple(OrderedDict() for _ in PRIORITIES)
        self.waiting = 0  # how many

    def is_before(self, key: str, rank: int = DEFAULT) -> bool:
        """Whether somebody waits whose turn is before a call of this key that comes now: of the same key, or of a higher
        priority."""
        return key in self._by_rank[rank] or any(self._by_rank[:rank])

    def ahead(self, rank: int) -> int:
        """How many wait that are of this rank or a higher one."""
        return sum(len(waiting) for by_key in self._by_rank[: rank + 1] for waiting in by_key.values())

    def join(self, key: str, one: T, rank: int = DEFAULT) -> None:
        """Stand behind the others of this key and rank; a key new to the line comes last."""
        self._by_rank[rank].setdefault(key, OrderedDict())[one] = None
        self.waiting += 1

    def leave(self, key: str, one: T, rank: int = DEFAULT) -> None:
        """Go, served or not."""
        by_key = self._by_rank[rank]
        waiting = by_key.get(key)
        if waiting is None or one not in waiting:
            return
        del waiting[one]
        self.waiting -= 1
        if not waiting:
            del by_key[key]

    def is_first(self, key: str, one: T, rank: int = DEFAULT) -> bool:
        """Whether nobody of the same key and rank came before."""
        waiting = self._by_rank[rank].get(key)
        return waiting is not None and next(iter(waiting), None) == one

    def call(self, may_go: Callable[[T], bool]) -> T | None:
        """The next in turn that may go, of those first within their keys; its key comes last from now on."""
        for by_key in self._by_rank:
            for key, waiting in by_key.items():
                one = next(iter(waiting))
                if may_go(one):
                    by_key.move_to_end(key)
                    return one
        return None
