"""Finished calls as they come, for whoever watches. Nobody who watches can hold anybody up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from proxy.exchange.record import Entry
from proxy.stores.segments import START, Position
from proxy.web.operator.events import Events

REMEMBERED = 100
MOST_WAITING = 1000


class Feed:
    """`recent` has the latest calls, oldest first, `events` whatever else happens as well. All but `tell` belongs to the
    event loop."""

    def __init__(self, catch_up: Callable[[], object], end: Callable[[], Position] = lambda: START) -> None:
        """`catch_up` sees to it, in a thread, that all calls which have ended are told; `end` is the journal's."""
        self.events = Events(end)
        self.recent: deque[Entry] = deque(maxlen=REMEMBERED)
        self._catch_up = catch_up
        self._watchers: set[asyncio.Queue[Entry]] = set()
        self._loop = asyncio.get_running_loop()

    async def caught_up(self) -> None:
        """Return once every call that has ended until now is among them."""
        await asyncio.to_thread(self._catch_up)

    def tell(self, entries: Sequence[Entry]) -> None:
        """Calls are over. From any thread, in turn."""
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._take, entries)

    @contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Entry]]:
        """A queue of every call that is told inside the block. A watcher that does not keep up misses calls."""
        queue = asyncio.Queue[Entry](MOST_WAITING)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    def _take(self, entries: Sequence[Entry]) -> None:
        self.recent.extend(entries)
        self.events.calls(entries)
        for watcher in self._watchers:
            for entry in entries[: MOST_WAITING - watcher.qsize()]:
                watcher.put_nowait(entry)
