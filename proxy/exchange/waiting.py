"""Waiting in line for room under a budget, or for a place at a provider: one is called at a time, and takes its room before the next is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from proxy.policy.limits.line import Line


class Queue:
    """The line, and who of it has been called and has not taken what it was called for."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.line: Line[Place] = Line()
        self.called: Place | None = None

    def is_before(self, key: str, rank: int) -> bool:
        """Whether a call of this key that comes now has to stand behind others: of its own, of a higher priority, or one
        just called."""
        return self.called is not None or self.line.is_before(key, rank)

    def look_again(self) -> None:
        """Something came free, or a place in the line: call the next that may go."""
        if self.line.waiting and self.called is None:
            self.called = self.line.call(lambda place: place.may_go())
            if self.called is not None:
                self.called.call()


class Place:
    """`with Place(queue, key, may_go, rank) as place:` stands in line; `await place.turn(seconds)` until called.

    What it was called for is to be taken within the block. A client that leaves leaves the line with it.
    """

    __slots__ = ("_is_called", "_key", "_queue", "_rank", "_turn", "may_go")

    def __init__(self, queue: Queue, key: str, may_go: Callable[[], bool], rank: int) -> None:
        self._queue = queue
        self._rank = rank
        self._key = key
        self._turn: asyncio.Future[bool] | None = None
        self._is_called = False
        self.may_go = may_go

    def __enter__(self) -> Place:
        self._queue.line.join(self._key, self, self._rank)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.line.leave(self._key, self, self._rank)
        self.answered()

    @property
    def is_first(self) -> bool:
        """Whether nobody of the same key came before."""
        return self._queue.line.is_first(self._key, self, self._rank)

    def call(self) -> None:
        """It is this one's turn."""
        self._is_called = True
        self._answer(True)

    def _answer(self, is_called: bool) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(is_called)

    async def turn(self, seconds: float) -> bool:
        """Wait to be called; False where nobody called in time."""
        loop = asyncio.get_running_loop()
        self._turn = loop.create_future()
        late = loop.call_later(max(0.0, seconds), self._answer, False)
        if self._is_called:
            self._answer(True)
        self._queue.look_again()
        try:
            return await self._turn
        finally:
            late.cancel()

    def answered(self) -> None:
        """It took its room, or did not; the next may be called."""
        self._is_called = False
        if self._queue.called is self:
            self._queue.called = None
            self._queue.look_again()
