"""Runs the coroutine of one call by hand: no task, no future, no turn of the loop between a byte and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


class Signal:
    """`await signal` until `fire`. Made once and used for every wait of one coroutine, run by hand or as a task's.

    `waiter` is called at the next `fire`. It speaks as much of a future's protocol as a task needs to wait for it.
    """

    __slots__ = ("_asyncio_future_blocking", "_loop", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self.waiter: Callable[[Signal], object] | None = None

    def __await__(self) -> Generator[Signal, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def fire(self) -> None:
        """Wake whoever waits, now."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter(self)

    # what a task asks of a future

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it belongs to."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """A task waits: it is woken in the loop's next turn, as tasks are."""
        self.waiter = lambda _: self._loop.call_soon(callback, self, context=context)

    def result(self) -> None:
        """Nothing but that it was fired."""

    def cancel(self, msg: object = None) -> bool:
        """The task that waits was cancelled: it is woken to hear of it."""
        self.fire()
        return False


class Stepper:
    """Steps one coroutine whenever what it waits for is there. `done` once it has ended, which `ended` is told."""

    __slots__ = ("_coroutine", "_ended", "_interruption", "_waits_for", "done")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._ended = ended
        self._waits_for: Any = None
        self._interruption: BaseException | None = None
        self.done = False

    def start(self) -> None:
        """Run to the first wait, or to the end."""
        self._go(None)

    def cancel(self) -> bool:
        """End it with `CancelledError`, unless it catches that; False where it has ended already."""
        return self.interrupt(asyncio.CancelledError())

    def interrupt(self, error: BaseException) -> bool:
        """Raise `error` in it where it waits. One that runs hears of it at its next wait."""
        if self.done:
            return False
        waited, self._waits_for = self._waits_for, None
        if waited is None:
            self._interruption = error
            return True
        if type(waited) is not Signal:
            waited.cancel()
        self._go(error)
        return True

    def _woken(self, by: Any) -> None:
        if by is self._waits_for:
            self._go(None)

    def _go(self, error: BaseException | None) -> None:
        """On with it, or with an error where it waits."""
        self._waits_for = None
        coroutine = self._coroutine
        try:
            waited = coroutine.send(None) if error is None else coroutine.throw(error)
            while self._interruption is not None:
                error, self._interruption = self._interruption, None
                waited = coroutine.throw(error)
        except (StopIteration, asyncio.CancelledError):
            self._end()
        except BaseException:
            self._end()
            raise
        else:
            if type(waited) is Signal:
                self._waits_for = waited
                waited.waiter = self._woken
            else:
                self._wait_for(waited)

    def _wait_for(self, waited: Any) -> None:
        if waited is None:  # as sleep(0) has it
            waited = asyncio.get_running_loop().create_future()
            waited.set_result(None)
        self._waits_for = waited
        waited._asyncio_future_blocking = False  # noqa: SLF001 - how a task tells a future that it has been heard
        waited.add_done_callback(self._woken)

    def _end(self) -> None:
        self.done = True
        # what is over holds nothing: `ended` leads back here, and such rings would be left to the garbage collector
        ended, self._ended, self._coroutine = self._ended, _nothing, _OVER
        ended()


async def _none() -> None:
    """Of a stepper whose coroutine has ended."""


def _nothing() -> None:
    """Nobody is told any more."""


_OVER = _none()
_OVER.close()
ENDED = Stepper(_OVER, _nothing)  # in the place of one that has not begun
ENDED.done = True
