"""What happens, as it happens: calls under way, calls that ended, the minutes. For pages that stay open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from proxy.errors import Overloaded
from proxy.exchange.entry import Entry
from proxy.stores.failures import StoreError
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.questions.analytics import AnalyticsQuestion
from proxy.stores.questions.queries import Files
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.admin_api import instant
from proxy.web.operator.answers import LiveCall
from proxy.web.operator.live.pulse import MINUTES, MinuteAnswer
from proxy.web.operator.live.traffic import Traffic

_MOST_READERS = 64
_AT_FIRST = 50  # calls that had ended before
_TICK_SECONDS = 0.1  # what begins and what ends is on a page within a quarter of a second
_PROGRESS_TICKS = 4  # how far calls are is told less often
_BEAT_TICKS = 100  # of silence, after which it says that it lives


class LiveAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`after`: the `id` of the event that was read last."""

    after: str = ""


class LiveLine(Struct, frozen=True):
    """`calls` are under way, oldest first; `ended` those that ended since the event before, oldest first, without
    `missed` ones that came too fast; `minutes` those that have changed since."""

    event: str
    id: str
    at: str
    calls: list[LiveCall]
    ended: list[Entry]
    missed: int
    minutes: list[MinuteAnswer]


class LiveStream:
    """Belongs to the event loop. Nobody waits for a slow reader: it misses calls, and is told how many."""

    def __init__(self, traffic: Traffic, files: Files) -> None:
        self._traffic, self._files = traffic, files
        self._begun_ms = int(time.time() * 1000)
        self._readers = 0

    async def lines(self, params: dict[str, Any], bounds: Bounds) -> AsyncGenerator[Struct]:
        """One as soon as it is asked for, then whenever something within bounds is new. Raises `Overloaded` for one
        reader too many."""
        after = msgspec.convert(params, LiveAsk).after
        if self._readers >= _MOST_READERS:
            raise Overloaded(f"{_MOST_READERS} pages look on already; close one of them.")
        self._readers += 1
        try:
            async for line in self._lines(after, bounds):
                yield line
        finally:
            self._readers -= 1

    async def _lines(self, after: str, bounds: Bounds) -> AsyncGenerator[Struct]:
        feed, silent, minutes = self._traffic.feed, 0, MINUTES
        await feed.caught_up()
        known = feed.number(after)
        number = max(0, feed.told - _AT_FIRST) if known is None else known
        shown = number if bounds.tenants is None else feed.count(bounds) - len(feed.after(number, bounds))
        known_calls: list[str] | None = None
        earlier = await self._earlier(bounds) if known is None else []
        while True:
            calls, fresh = self._traffic.under_way(bounds, time.monotonic()), feed.count(bounds) - shown
            under_way = [call.request_id for call in calls]
            if fresh or under_way != known_calls or silent >= (_PROGRESS_TICKS if calls else _BEAT_TICKS):
                ended = feed.after(number, bounds)
                now = time.time()
                told, earlier = [*earlier, *feed.pulse.minutes(now, bounds, minutes)], []
                at = instant(int(now * 1000))
                yield LiveLine("live", feed.place(), at, calls, ended, fresh - len(ended), told)
                number, shown, silent, minutes = feed.told, shown + fresh, 0, 2
            known_calls = under_way
            await asyncio.sleep(_TICK_SECONDS)
            silent += 1
            await feed.caught_up()

    async def _earlier(self, bounds: Bounds) -> list[MinuteAnswer]:
        """The minutes of the last hour that were over when the daemon began, as the ledger has them."""
        since_ms = int(time.time() * 1000) - MINUTES * MINUTE_MS
        until_ms = self._begun_ms - self._begun_ms % MINUTE_MS
        if until_ms <= since_ms:
            return []
        asked = AnalyticsQuestion((), UTC, "minute", since_ms, until_ms, tenants=bounds.tenants)
        try:
            return [_minute(row) for row in (await asyncio.to_thread(self._files.analytics, asked)).rows]
        except StoreError:  # what happens now is told all the same
            return []


def _minute(row: dict[str, Any]) -> MinuteAnswer:
    """Of analytics, where refusals and failed tries are told apart."""
    times = row["first_token_ms"]
    return MinuteAnswer(
        instant(int(datetime.fromisoformat(row["at"]).timestamp() * 1000)),
        row["calls"] + row["refused"],
        row["errors"] + row["refused"],
        row["cost_usd"],
        None if times["p50"] is None else times,
    )
