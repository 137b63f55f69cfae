"""The end of a daemon: no new connections, time for the calls under way, a cut for the rest; two lines that say so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog

from proxy.errors import ShuttingDown
from proxy.listeners import Listener
from proxy.web.client.api import Api
from proxy.web.client.parts import Closing

IDLE_SECONDS = 1.0  # a connection without a request for so long may go
LAST_WORDS_SECONDS = 1.0  # what clients get to take the end of a cut answer
_LOOK_SECONDS = 0.02

log = structlog.get_logger()


class Shutdown:
    """`begin`, then `drain`, then close everything, then `tell`. Times are the event loop's."""

    def __init__(self, api: Api, listener: Listener) -> None:
        self._api = api
        self._listener = listener
        self._closing = Closing(serves=listener.is_inherited)
        self._began = math.nan
        self._until = math.nan

    def begin(self, window: float) -> None:
        """Stop accepting. Synchronous, for the signal's own callback."""
        if self._api.parts.closing is not None:
            return
        self._began = asyncio.get_running_loop().time()
        self._until = self._began + window
        self._api.parts.close(self._closing)
        self._listener.stop_accepting()
        new = "wait for the next instance" if self._closing.serves else "are refused"
        log.info("stopping", calls=len(self._api.running), window_seconds=window, new_connections=new)

    def hurry(self) -> None:
        """End the window now."""
        self._until = -math.inf

    async def drain(self) -> None:
        """Wait for the calls under way, for the window at most, and cut the rest."""
        await self._wait_until(lambda: self._until)
        self._closing.serves = False
        self._api.cut_all(ShuttingDown("Tollkeeper is shutting down; the answer was cut off.", retry_after=1))
        last = self._now() + LAST_WORDS_SECONDS
        await self._wait_until(lambda: last)

    def tell(self, *, ledger_complete: bool) -> None:
        """Say what became of the calls, once everything is closed."""
        ended = self._closing
        log.info(
            "stopped",
            finished=ended.finished,
            cut=ended.cut,
            refused=ended.refused,
            seconds=round(self._now() - self._began, 3),
            ledger_complete=ledger_complete,
        )

    async def _wait_until(self, when: Callable[[], float]) -> None:
        """Wait until it is over, at most until then; asked again and again, as `hurry` changes it."""
        while not self._is_over() and self._now() < when():
            self._listener.server.close_idle(IDLE_SECONDS)
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_over(self) -> bool:
        """Whether nothing is under way any more; with a successor, idle connections may still bring a call."""
        server = self._listener.server
        if self._api.running or server.is_sending:
            return False
        return not (self._closing.serves and server.connections)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
