"""What happens, as it happens, for pages that stay open: calls that ended, refusals, alerts, changes of settings.

An event's id is the journal's end when it was told, and a number that tells apart those of one end. Who comes again with
the last id it has gets what came since; what is not remembered any more is an event `gap`: read anew what is shown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proxy.exchange.reporting.lines import Line, OddLine
from proxy.stores.journal.segments import Position
from proxy.web.operator.access.bounds import Bounds

REMEMBERED = 1000
_MOST_WAITING = 1000
_BEAT_SECONDS = 15.0

EventId = tuple[int, int, int]  # segment and offset of the journal, and a number
Told = tuple[str, Any, str] | Line | OddLine  # a name, what is told of it, and whose it is; or a call that is over


class Happening(Struct, frozen=True):
    """One event: `call` and `refusal` are finished calls as their log lines have them, `alert` what a webhook is told,
    `change` a row of the audit, `gap` nothing. `event` is "" for a sign of life. `tenant`: whose it is, "" nobody's."""

    event: str
    id: EventId
    data: Any = None
    tenant: str = ""

    def as_event(self) -> bytes:
        """As it is sent."""
        if not self.event:
            return b": keep-alive\n\n"
        said = msgspec.json.encode(self.data).decode()
        return f"event: {self.event}\nid: {'.'.join(map(str, self.id))}\ndata: {said}\n\n".encode()


class Events:
    """Belongs to the event loop. `end` says where the journal ends now."""

    def __init__(self, end: Callable[[], Position]) -> None:
        self._end = end
        self._began: EventId = (*end(), 0)
        self._last = self._began
        self._batches: deque[tuple[EventId, Sequence[Told]]] = deque()  # each with the id of its first
        self._kept = 0
        self._watchers: dict[asyncio.Queue[Happening], Bounds] = {}

    def calls(self, lines: Sequence[Line | OddLine]) -> None:
        """These calls are over."""
        self._take(lines)

    def tell(self, events: Iterable[tuple[str, Any, str]]) -> None:
        """These things have happened, each a name, what is told of it, and whose it is."""
        self._take(list(events))

    def _take(self, told: Sequence[Told]) -> None:
        """Remember them as they are: nearly always nobody asks."""
        if not told:
            return
        segment, offset = max(self._end(), self._last[:2])
        first = self._last[2] + 1 if (segment, offset) == self._last[:2] else 0
        self._last = segment, offset, first + len(told) - 1
        begin = segment, offset, first
        self._batches.append((begin, told))
        self._kept += len(told)
        while self._kept - len(self._batches[0][1]) >= REMEMBERED:
            (segment, offset, first), forgotten = self._batches.popleft()
            self._kept -= len(forgotten)
            self._began = segment, offset, first + len(forgotten) - 1
        happenings = [_happening(*one) for one in _numbered(begin, told)] if self._watchers else []
        for watcher, bounds in self._watchers.items():
            for happening in happenings:
                if bounds.has(happening.tenant) and not watcher.full():
                    watcher.put_nowait(happening)

    async def follow(self, params: dict[str, Any], bounds: Bounds) -> AsyncGenerator[Struct]:
        """What came behind the id `after`, then what comes, within bounds; one who does not keep up is told of the gap."""
        after = _id_of(str(params.get("after", "")))
        queue = asyncio.Queue[Happening](_MOST_WAITING)
        self._watchers[queue] = bounds
        try:
            for happening in self._since(after, bounds):
                yield happening
            while True:
                is_full = queue.full()
                yield await _next(queue, self._last)
                if is_full:
                    yield Happening("gap", self._last)
        finally:
            del self._watchers[queue]

    def _since(self, after: EventId | None, bounds: Bounds) -> list[Happening]:
        if after is None:
            return [Happening("", self._last)]  # the head goes out at once
        known = [one for begin, told in self._batches for one in _numbered(begin, told)]
        began = known[-REMEMBERED - 1][0] if len(known) > REMEMBERED else self._began
        gap = [Happening("gap", began)] if after < began else [Happening("", self._last)]
        since = [_happening(*one) for one in known[-REMEMBERED:] if one[0] > after]
        return [*gap, *(one for one in since if bounds.has(one.tenant))]


async def _next(queue: asyncio.Queue[Happening], last: EventId) -> Happening:
    try:
        async with asyncio.timeout(_BEAT_SECONDS):
            return await queue.get()
    except TimeoutError:
        return Happening("", last)


def _numbered(begin: EventId, told: Sequence[Told]) -> list[tuple[EventId, Told]]:
    """Each with its id."""
    segment, offset, first = begin
    return [((segment, offset, number), one) for number, one in enumerate(told, first)]


def _happening(identity: EventId, told: Told) -> Happening:
    if isinstance(told, tuple):
        name, data, tenant = told
        return Happening(name, identity, data, tenant)
    call = told.entry()
    is_refusal = not call.attempts and call.error is not None
    return Happening("refusal" if is_refusal else "call", identity, call, call.tenant or "")


def _id_of(text: str) -> EventId | None:
    """The id of an event of ours; None for anything else."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        return None
    segment, offset, number = map(int, parts)
    return segment, offset, number
