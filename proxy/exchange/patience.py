"""How long to wait for somebody who may be slow but must not be silent: deadlines looked at ten times a second."""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.exchange.stepper import Stepper

TICK_SECONDS = 0.1
STALLED_SECONDS = 300.0


class Watched(Protocol):
    """Something with a deadline."""

    def due(self) -> float:
        """When it is over, in the loop's time."""

    def expire(self) -> None:
        """It is over. Whoever wants to go on is watched as long as nobody forgets it."""


class Deadlines:
    """Looks at all deadlines together, so that setting or moving one costs next to nothing. To the tenth of a second.

    `now` is the time of the latest look, for who is watched.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._is_ticking = False
        self.now = 0.0

    def moment(self) -> float:
        """The loop's time, as of the latest look where there are looks."""
        return self.now if self._is_ticking else self._loop.time()

    def watch(self, one: Watched) -> None:
        """Tell it when its time is over."""
        self._watched.add(one)
        if not self._is_ticking:
            self._is_ticking = True
            self.now = self._loop.time()
            self._loop.call_later(TICK_SECONDS, self._tick)

    def forget(self, one: Watched) -> None:
        """It is of no interest any more."""
        self._watched.discard(one)

    def _tick(self) -> None:
        now = self.now = self._loop.time()
        self._is_ticking = bool(self._watched)
        if self._is_ticking:  # before anything that follows from a deadline may go wrong
            self._loop.call_later(TICK_SECONDS, self._tick)
        for one in [one for one in self._watched if one.due() <= now]:
            if one in self._watched:  # the end of another may have been its own
                one.expire()


class Patience:
    """`with Patience(...) as patience`: raises TimeoutError where the coroutine waits, when `heard` was not
    called for `silence_seconds`, or at the time `until` of the loop.

    While `excused` the silence is not theirs (a slow client holds us up), within `STALLED_SECONDS`.
    """

    __slots__ = ("_deadlines", "_last", "_stepper", "excused", "silence_seconds", "until")

    def __init__(self, deadlines: Deadlines, stepper: Stepper, silence_seconds: float, until: float) -> None:
        self._deadlines = deadlines
        self._stepper = stepper
        self._last = 0.0
        self.silence_seconds = silence_seconds
        self.until = until
        self.excused = False

    def heard(self) -> None:
        """There was a sign of life."""
        self._last = self._deadlines.now

    def __enter__(self) -> Patience:
        self._deadlines.watch(self)
        self._last = self._deadlines.moment() + TICK_SECONDS  # the last look may be so long ago
        return self

    def __exit__(self, *_: object) -> None:
        self._deadlines.forget(self)

    def due(self) -> float:
        """When it ends, as things stand."""
        stalled = STALLED_SECONDS if self.excused else 0.0
        return min(self._last + self.silence_seconds + stalled, self.until)

    def expire(self) -> None:
        """It has ended."""
        self._deadlines.forget(self)
        self._stepper.interrupt(TimeoutError())
