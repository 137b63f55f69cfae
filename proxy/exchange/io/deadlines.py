"""Deadlines of those who may be slow but must not be silent, looked at ten times a second."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol

TICK_SECONDS = 0.1
PAUSED_SECONDS = 1.0  # that a look is late


class Watched(Protocol):
    """Something with a deadline."""

    def due(self) -> float:
        """When it is over, in the loop's time; `inf`: not before it is watched again."""

    def expire(self) -> None:
        """It is over. Whoever wants to go on is watched as long as nobody forgets it."""


class Deadlines:
    """Looks at all deadlines together, so that setting or moving one costs next to nothing. To the tenth of a second.

    `now` is the time of the latest look, for who is watched. `watched` has everyone, with the time of the next look at it,
    `fresh` whoever came, or came nearer, since the latest one. What is due later is not looked at before. Where we were paused
    ourselves (a machine that slept, SIGSTOP), what came meanwhile is read first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.watched: dict[Watched, float] = {}
        self.fresh: set[Watched] = set()
        self._later: dict[int, list[Watched]] = {}  # by the tick; of those that were forgotten, too
        self._ticks = 0
        self.is_ticking = self._was_paused = False
        self.now = 0.0

    def moment(self) -> float:
        """The loop's time, as of the latest look where there are looks."""
        return self.now if self.is_ticking else self._loop.time()

    def watch(self, one: Watched) -> None:
        """Tell it when its time is over. To be said again where that has come nearer."""
        self.watched.setdefault(one, inf)
        self.fresh.add(one)
        if not self.is_ticking:
            self.is_ticking = True
            self.now = self._loop.time()
            self._ticks = int(self.now / TICK_SECONDS)
            self._loop.call_later(TICK_SECONDS, self._tick)

    def forget(self, one: Watched) -> None:
        """It is of no interest any more."""
        self.watched.pop(one, None)

    def _tick(self) -> None:
        now, before_seconds = self._loop.time(), self.now
        self.now, self.is_ticking = now, bool(self.watched)
        if self.is_ticking:
            self._loop.call_later(TICK_SECONDS, self._tick)
            self._was_paused = not self._was_paused and now - before_seconds > PAUSED_SECONDS
            if self._was_paused:
                return
        watched, before = self.watched, self._ticks
        looked_at = [one for one in self.fresh if one in watched]  # most are over by now
        self.fresh, self._ticks = set(), int(now / TICK_SECONDS)
        for tick in range(before + 1, self._ticks + 1):
            looked_at += self._later.pop(tick, ())
        if not self.is_ticking:
            self._later.clear()
        looked_at.reverse()
        try:
            while looked_at:
                self._look(looked_at.pop(), now)
        finally:  # what follows from one deadline may go wrong
            self.fresh.update(looked_at)

    def _look(self, one: Watched, now: float) -> None:
        look_at = self.watched.get(one)
        if look_at is None:  # the end of another was its own
            return
        if (due := one.due()) == inf:
            del self.watched[one]
        elif due <= now:
            one.expire()
            if one in self.watched:  # and goes on
                self.watched[one] = inf
                self.fresh.add(one)
        elif due < look_at or look_at <= now:
            self.watched[one] = due
            self._later.setdefault(int(due / TICK_SECONDS) + 1, []).append(one)
