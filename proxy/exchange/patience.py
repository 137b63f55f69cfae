"""How long to wait for somebody who may be slow but must not be silent."""

from __future__ import annotations

import asyncio
from types import TracebackType

STALLED_SECONDS = 300.0


class Patience:
    """`async with Patience(...) as patience`: raises TimeoutError in the block when `heard` was not
    called for `silence_seconds`, or at the monotonic time `until`.

    One timer that re-arms itself, so that hearing a chunk costs one assignment. While `excused`
    the silence is not theirs (a slow client holds us up), within `STALLED_SECONDS`.
    """

    __slots__ = (
        "_handle",
        "_last",
        "_loop",
        "_timeout",
        "excused",
        "silence_seconds",
        "until",
    )

    def __init__(self, silence_seconds: float, until: float) -> None:
        self.silence_seconds = silence_seconds
        self.until = until
        self.excused = False
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._last = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """There was a sign of life."""
        self._last = self._loop.time()

    async def __aenter__(self) -> Patience:
        await self._timeout.__aenter__()
        self.heard()
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _due(self) -> float:
        stalled = STALLED_SECONDS if self.excused else 0.0
        return min(self._last + self.silence_seconds + stalled, self.until)

    def _arm(self) -> None:
        self._handle = self._loop.call_at(self._due(), self._check)

    def _check(self) -> None:
        if self._due() > self._loop.time():
            self._arm()
        else:
            self._timeout.reschedule(self._loop.time())
