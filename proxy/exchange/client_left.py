"""Clients that leave: close the upstream at once where that stops the bill, else read on to the usage.

aiohttp tells a handler nothing by default; the connection calls `left` (see `web/connection.py`).
"""

from __future__ import annotations

import asyncio

from proxy.exchange.io.stepper import Stepper
from proxy.exchange.record import Record
from proxy.wire.endpoints import DRAWING

MOST_DRAINS = 64
DRAIN_SECONDS = 120.0
PICTURE_SECONDS = 300.0


class Drainer:
    """Lets at most 64 abandoned calls run on, each for at most 120 s; pictures, which are kept, for 300 s."""

    def __init__(self) -> None:
        self._draining: dict[Stepper, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        return f"<Drainer {len(self._draining)} of {MOST_DRAINS}>"

    def left(self, call: Stepper, record: Record) -> None:
        """The client of a call has gone. Synchronous: called from the connection's end."""
        if call.done:
            return
        record.client_left = record.phase
        if record.phase == "done":
            return
        if record.closing_stops_billing() or len(self._draining) >= MOST_DRAINS:
            call.cancel()
            return
        seconds = PICTURE_SECONDS if record.endpoint in DRAWING else DRAIN_SECONDS
        self._draining[call] = asyncio.get_running_loop().call_later(seconds, call.cancel)

    def ended(self, call: Stepper) -> None:
        """A call is over."""
        if self._draining and (timer := self._draining.pop(call, None)) is not None:
            timer.cancel()
