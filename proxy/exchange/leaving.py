"""Clients that leave: close the upstream at once where that stops the bill, else read on to the usage.

aiohttp tells a handler nothing by default; the connection calls `left` (see `web/connection.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.exchange.record import Record

MOST_DRAINS = 64
DRAIN_SECONDS = 120.0


class Drainer:
    """Lets at most 64 abandoned calls run on, each for at most 120 s."""

    def __init__(self) -> None:
        self._draining: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"<Drainer {len(self._draining)} of {MOST_DRAINS}>"

    def left(self, task: asyncio.Task[Any], record: Record) -> None:
        """The client of the call that `task` serves has gone. Synchronous: called from the connection's end."""
        if task.done():
            return
        record.client_left = record.phase
        if record.phase == "done":
            return
        if record.closing_stops_billing() or len(self._draining) >= MOST_DRAINS:
            task.cancel()
            return
        timer = asyncio.get_running_loop().call_later(DRAIN_SECONDS, task.cancel)
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        task.add_done_callback(lambda _: timer.cancel())
