"""Finished calls as they come, for whoever watches. Nobody who watches can hold anybody up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from proxy.exchange.entry import Entry
from proxy.exchange.reporting.lines import Line, OddLine, Told
from proxy.stores.journal.segments import START, Position
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.live.events import Events
from proxy.web.operator.live.pulse import Ended, Pulse, summed

REMEMBERED = 100
MOST_WAITING = 1000


class Feed:
    """`told` is how many calls there have been, places in it are told apart from
    those of an earlier daemon; `events` is whatever else happens as well. All but `tell` belongs to the event loop."""

    def __init__(self, catch_up: Callable[[], object], end: Callable[[], Position] = lambda: START) -> None:
        """`catch_up` sees to it, in a thread, that all calls which have ended are told; `end` is the journal's."""
        self.events = Events(end)
        self._recent: deque[Line | OddLine] = deque(maxlen=REMEMBERED)
        self.told = 0
        self._told_of = Counter[str]()
        self.pulse = Pulse()
        self._run = secrets.token_hex(4)
        self._catch_up = catch_up
        self._watchers: set[asyncio.Queue[Entry]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def recent(self) -> list[Entry]:
        """The latest calls, oldest first."""
        return [line.entry() for line in self._recent]

    async def caught_up(self) -> None:
        """Return once every call that has ended until now is among them."""
        await asyncio.to_thread(self._catch_up)

    def place(self) -> str:
        """Where it stands, for `number`."""
        return f"{self._run}-{self.told}"

    def number(self, place: str) -> int | None:
        """How many calls had been told there; None for a place that is none of this feed's."""
        run, _, told = place.partition("-")
        return min(int(told), self.told) if run == self._run and told.isdecimal() and len(told) < 16 else None

    def count(self, bounds: Bounds) -> int:
        """How many calls within bounds have been told."""
        return self.told if bounds.tenants is None else sum(self._told_of[name] for name in bounds.tenants)

    def after(self, number: int, bounds: Bounds) -> list[Entry]:
        """The calls within bounds that were told behind so many of all, as far as they are remembered."""
        fresh = self.told - number
        return [entry for entry in self.recent[-fresh:] if bounds.has(entry.tenant)] if fresh > 0 else []

    def tell(self, told: Told) -> None:
        """Calls are over. From any thread, in turn."""
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._take, told.lines, summed(told.alike))

    @contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Entry]]:
        """A queue of every call that is told inside the block. A watcher that does not keep up misses calls."""
        queue = asyncio.Queue[Entry](MOST_WAITING)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    def _take(self, lines: Sequence[Line | OddLine], ended: Ended) -> None:
        self._recent.extend(lines[-REMEMBERED:])
        self.events.calls(lines)
        self.told += len(lines)
        self._told_of.update({name: sums.calls for name, sums in ended.of_tenants.items()})
        self.pulse.take(ended, time.time())
        entries = [line.entry() for line in lines[:MOST_WAITING]] if self._watchers else []
        for watcher in self._watchers:
            for entry in entries[: MOST_WAITING - watcher.qsize()]:
                watcher.put_nowait(entry)
