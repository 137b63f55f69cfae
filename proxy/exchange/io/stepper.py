"""How calls share an event loop: the coroutine of each is stepped by hand, no task, no future, no turn of the loop between a
byte and what follows from it; and what they say in one turn goes out together, at its end.

A call waits for somebody who may be slow but must not be silent. A write to a socket whose reader sleeps wakes that reader, on
another core mostly, which takes longer than the write; of several in a row only the first one does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from itertools import repeat
from math import inf
from typing import Any, Protocol

from proxy.exchange.io.deadlines import TICK_SECONDS, Deadlines

STALLED_SECONDS = 300.0
MOST_WAITING = 64  # to say something: more do not wait for the end of the turn

_ENDS = StopIteration, asyncio.CancelledError


class Waiter(Protocol):
    """Who waits for a signal."""

    def step(self) -> None:
        """It was fired."""


class Signal:
    """`await signal` until `fire`. Made once and used for every wait of one coroutine, run by hand or as a task's.

    `waiter` is told at the next `fire`. It speaks as much of a future's protocol as a task needs to wait for it. A generator that
    is awaited may `yield` it as well, which takes much less.
    """

    __slots__ = ("_loop", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiter: Waiter | None = None

    def __await__(self) -> Generator[Signal, None, None]:
        return repeat(self, 1)  # type: ignore[return-value] # as a generator would, in half the time

    def fire(self) -> None:
        """Wake whoever waits, now."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.step()

    # what a task asks of a future

    @property
    def _asyncio_future_blocking(self) -> bool:
        """Whether somebody means to wait for it."""
        return True

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, _: bool) -> None:
        """A task has heard that."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it belongs to."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """A task waits: it is woken in the loop's next turn, as tasks are."""
        self.waiter = _Task(self, callback, context)

    def result(self) -> None:
        """Nothing but that it was fired."""

    def cancel(self, msg: object = None) -> bool:
        """The task that waits was cancelled: it is woken to hear of it."""
        self.fire()
        return False


class _Task:
    """A task that waits for a signal."""

    __slots__ = ("_callback", "_context", "_signal")

    def __init__(self, signal: Signal, callback: Callable[[Any], object], context: Context | None) -> None:
        self._signal = signal
        self._callback = callback
        self._context = context

    def step(self) -> None:
        """Wake it in the loop's next turn."""
        self._signal.get_loop().call_soon(self._callback, self._signal, context=self._context)


class Timeout:
    """How long a coroutine waits: `with stepper.within(...)` raises TimeoutError where it waits, when `heard` was not called
    for `silence_seconds`, or at the time `until` of the loop. One block at a time.

    While `excused` the silence is not theirs (a slow client holds us up), within `STALLED_SECONDS`.
    """

    __slots__ = ("_deadlines", "_excused", "_is_fresh", "_last", "_silence_seconds", "_until")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._last, self._silence_seconds, self._until = 0.0, inf, inf
        self._excused = self._is_fresh = False  # watched since the latest look

    def interrupt(self, error: BaseException) -> bool:
        """Raise `error` where it waits."""
        raise NotImplementedError

    def within(self, silence_seconds: float, until: float) -> Timeout:
        """No longer than that, from now on."""
        self._silence_seconds = silence_seconds
        self._until = until
        if not self._is_fresh:
            self._is_fresh = True
            self._deadlines.watch(self)
        self._last = self._deadlines.now + TICK_SECONDS  # the last look may be so long ago
        return self

    def expect(self, silence_seconds: float) -> None:
        """From now on, so much silence is borne."""
        self._silence_seconds = silence_seconds
        self._deadlines.watch(self)

    def excuse(self, *, excused: bool) -> None:
        """The silence is not theirs, or theirs again."""
        self._excused = excused
        self._deadlines.watch(self)

    def heard(self) -> None:
        """There was a sign of life."""
        self._last = self._deadlines.now

    def __enter__(self) -> Timeout:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def rest(self) -> None:
        """However long it takes, from now on."""
        self._silence_seconds = self._until = inf
        if not self._is_fresh:  # else the next look finds it so
            self._deadlines.watched.pop(self, None)

    def due(self) -> float:
        """When it ends, as things stand."""
        self._is_fresh = False
        stalled = STALLED_SECONDS if self._excused else 0.0
        return min(self._last + self._silence_seconds + stalled, self._until)

    def expire(self) -> None:
        """It has ended."""
        self.rest()
        self.interrupt(TimeoutError())


class Stepper(Timeout):
    """Steps one coroutine, then another, whenever what it waits for is there, or with an error where that is not in time."""

    __slots__ = ("_coroutine", "_ended", "_interruption", "_waits_for")

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__(deadlines)
        self._coroutine: Coroutine[Any, Any, None] = _OVER
        self._ended: Callable[[], object] = _nothing
        self._waits_for: Any = None
        self._interruption: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether none is under way."""
        return self._coroutine is _OVER

    def run(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], object]) -> None:
        """Run it to its first wait, or to its end, of which `ended` is told."""
        self._coroutine = coroutine
        self._ended = ended
        self.step()

    def cancel(self) -> bool:
        """End it with `CancelledError`, unless it catches that; False where it has ended already."""
        return self.interrupt(asyncio.CancelledError())

    def interrupt(self, error: BaseException) -> bool:
        """Raise `error` in it where it waits. One that runs hears of it at its next wait."""
        if self.done:
            return False
        waited = self._waits_for
        if waited is None:
            self._interruption = error
            return True
        self._waits_for = None
        if type(waited) is Signal:
            waited.waiter = None
        else:
            waited.cancel()
        try:
            self.step(error)
        finally:
            del error  # its traceback leads here: such rings are left to the garbage collector
        return True

    def step(self, error: BaseException | None = None) -> None:
        """On with it, or with an error where it waits."""
        self._waits_for = None
        try:
            waited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            while self._interruption is not None:
                error, self._interruption = self._interruption, None
                waited = self._coroutine.throw(error)
        except _ENDS:
            error = None  # as above
            self._end()
        except BaseException:
            error = None
            self._end()
            raise
        else:
            self._waits_for = waited
            if type(waited) is Signal:
                waited.waiter = self
            else:
                self._wait_for(waited)

    def _wait_for(self, waited: Any) -> None:
        if waited is None:  # as sleep(0) has it
            waited = asyncio.get_running_loop().create_future()
            waited.set_result(None)
        self._waits_for = waited
        waited._asyncio_future_blocking = False  # noqa: SLF001 - how a task tells a future that it has been heard
        waited.add_done_callback(self._woken)

    def _woken(self, by: Any) -> None:
        if by is self._waits_for:
            self.step()

    def _end(self) -> None:
        # what is over holds nothing: `ended` leads back here, a ring as above
        ended = self._ended
        self._coroutine, self._ended, self._interruption = _OVER, _nothing, None
        ended()


class Sender(Protocol):
    """A connection."""

    def go(self) -> None:
        """Say now what there is to say, if anything."""


class Outbox:
    """What goes out at the end of a turn of one event loop. `turns`: so many have ended in which anything did."""

    __slots__ = ("_at_the_end", "_waiting", "turns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at_the_end = partial(loop.call_soon, self._flush)
        self._waiting: deque[Sender] = deque()
        self.turns = 0

    def put(self, sender: Sender) -> None:
        """Let it say what it has to, in this turn."""
        waiting = self._waiting
        if not waiting:
            self._at_the_end()
        elif len(waiting) >= MOST_WAITING:
            self._flush()
        waiting.append(sender)

    def _flush(self) -> None:
        """Let all who wait say it."""
        waiting = self._waiting
        self.turns += 1
        try:
            while waiting:
                waiting.popleft().go()
        finally:
            if waiting:  # a bug in one is nothing to the others
                self._at_the_end()


async def _none() -> None:
    """Of a stepper that runs nothing."""


def _nothing() -> None:
    """Nobody is told any more."""


_OVER = _none()
_OVER.close()
