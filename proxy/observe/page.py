"""`/metrics`: read on the event loop, rendered in a thread, one rendering at a time however many scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.observe.metrics import asks_for_openmetrics
from proxy.observe.readings import Readings


class Renders(Protocol):
    """What the page is made of (`Metrics`)."""

    def readings(self) -> Readings:
        """Ask the sources."""
        ...

    def render(self, accept: str, readings: Readings) -> tuple[bytes, str]:
        """Make the page."""
        ...


def _nothing() -> None:
    """Everything is counted at once."""


class MetricsPage:
    """Scrapes that wait for the same rendering share it; none is answered with one that began before it asked."""

    def __init__(self, metrics: Renders, catch_up: Callable[[], object] = _nothing) -> None:
        """`catch_up` is called in the thread before it renders."""
        self._metrics = metrics
        self._catch_up = catch_up
        self._one_at_a_time = asyncio.Lock()
        self._begun = 0
        self._latest: dict[bool, tuple[int, tuple[bytes, str]]] = {}

    async def get(self, accept: str) -> tuple[bytes, str]:
        """The page's bytes and its content type."""
        begun_before = self._begun
        kind = asks_for_openmetrics(accept)
        async with self._one_at_a_time:
            number, page = self._latest.get(kind, (0, (b"", "")))
            if number > begun_before:
                return page
            self._begun = number = self._begun + 1
            page = await asyncio.to_thread(self._render, accept, self._metrics.readings())
            self._latest[kind] = number, page
            return page

    def _render(self, accept: str, readings: Readings) -> tuple[bytes, str]:
        self._catch_up()
        return self._metrics.render(accept, readings)
