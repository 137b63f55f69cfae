"""How late the event loop is: a timer that notes by how much it was missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

SECONDS_BETWEEN = 0.5
SAMPLES_KEPT = 60


class Handle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Loop(Protocol):
    """The two methods of an event loop that are needed."""

    def time(self) -> float:
        """Monotonic seconds."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Any:
        """Run `callback` after `delay` seconds; returns a `Handle`."""
        ...


class LoopLag:
    """Remembers half a minute, so that a stall between two scrapes is seen by the next one."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._missed_by: deque[float] = deque([0.0], maxlen=SAMPLES_KEPT)
        self._due = 0.0
        self._timer: Handle | None = None

    def start(self) -> None:
        """Begin to measure, until `stop`."""
        self._due = self._loop.time() + SECONDS_BETWEEN
        self._timer = self._loop.call_later(SECONDS_BETWEEN, self._tick)

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def seconds(self) -> float:
        """The longest stall of the last half minute."""
        return max(self._missed_by)

    def _tick(self) -> None:
        self._missed_by.append(max(0.0, self._loop.time() - self._due))
        self.start()
