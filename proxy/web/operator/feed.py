"""Finished calls as they come, for whoever watches. Nobody who watches can hold anybody up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.exchange.record import Entry

REMEMBERED = 100
MOST_WAITING = 1000


class Feed:
    """`recent` has the latest calls, oldest first."""

    def __init__(self) -> None:
        self.recent: deque[Entry] = deque(maxlen=REMEMBERED)
        self._watchers: set[asyncio.Queue[Entry]] = set()

    def tell(self, entry: Entry) -> None:
        """A call is over. A watcher that does not keep up misses calls."""
        self.recent.append(entry)
        for watcher in self._watchers:
            if not watcher.full():
                watcher.put_nowait(entry)

    @contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Entry]]:
        """A queue of every call that ends inside the block."""
        queue = asyncio.Queue[Entry](MOST_WAITING)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)
