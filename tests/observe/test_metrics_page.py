"""The page while calls go on, scrapes that meet, and how late the event loop is."""

from __future__ import annotations

import asyncio
import threading

import pytest
from metrics_samples import GOOD, finished, metrics, page, samples, total
from msgspec.structs import replace

from proxy.observe.loop_lag import SAMPLES_KEPT, SECONDS_BETWEEN, LoopLag
from proxy.observe.page import MetricsPage
from proxy.observe.readings import Readings

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def test_a_page_is_rendered_in_a_thread_while_calls_go_on() -> None:
    fed = metrics()
    stop = threading.Event()
    pages: list[str] = []

    def scrape() -> None:
        pages.append(page(fed))
        while not stop.is_set():
            pages.append(page(fed))

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(3_000):
        finished(fed, replace(GOOD, provider=f"p{number % 150}", model="fast"))
    stop.set()
    thread.join()
    assert total(samples(page(fed)), "tollkeeper_requests_total") == 3_000
    counts = [total(samples(text), "tollkeeper_requests_total") for text in (pages[0], pages[-1])]
    assert counts == sorted(counts)


class SlowPage:
    """Renders when it is let, and counts how often."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.begun = asyncio.Event()
        self.renderings = 0
        self._loop = asyncio.get_running_loop()
        self._readings = metrics().readings()

    def readings(self) -> Readings:
        assert asyncio.get_running_loop() is self._loop, "sources belong to the event loop"
        return self._readings

    def render(self, accept: str, readings: Readings) -> tuple[bytes, str]:
        assert readings is self._readings
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.may_go_on.wait(60)
        self.renderings += 1
        return b"%d" % self.renderings, accept


async def test_scrapes_that_come_during_a_rendering_share_the_next_one() -> None:
    slow = SlowPage()
    served = MetricsPage(slow)
    first = asyncio.create_task(served.get("a"))
    await slow.begun.wait()
    later = [asyncio.create_task(served.get("a")) for _ in range(20)]
    other = asyncio.create_task(served.get(OPENMETRICS))
    await asyncio.sleep(0)
    slow.may_go_on.set()
    assert (await first)[0] == b"1"
    assert {(await task)[0] for task in later} == {b"2"}
    assert (await other) == (b"3", OPENMETRICS)
    assert (await served.get("a"))[0] == b"4", "a scrape that asks afterwards gets a page of its own"


class FakeLoop:
    """A loop whose time stands still until it is told to run a timer, some seconds late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: object, /) -> Timer:
        self.timers.append(Timer(self.now + delay, callback))
        return self.timers[-1]

    def run(self, late: float) -> None:
        timer = self.timers.pop(0)
        self.now = timer.due + late
        assert callable(timer.callback)
        timer.callback()


class Timer:
    def __init__(self, due: float, callback: object) -> None:
        self.due, self.callback, self.cancelled = due, callback, False

    def cancel(self) -> None:
        self.cancelled = True


def test_the_lag_is_the_longest_stall_of_half_a_minute() -> None:
    loop = FakeLoop()
    lag = LoopLag(loop)
    assert lag.seconds() == 0
    lag.start()
    for late in (0.0, 0.4, 0.001, -0.001):
        loop.run(late)
    assert lag.seconds() == pytest.approx(0.4)
    assert SAMPLES_KEPT * SECONDS_BETWEEN == 30
    for _ in range(SAMPLES_KEPT):
        loop.run(0.002)
    assert lag.seconds() == pytest.approx(0.002)
    lag.stop()
    lag.stop()
    assert [timer.cancelled for timer in loop.timers] == [True]


async def test_the_lag_is_measured_on_the_real_loop() -> None:
    lag = LoopLag(asyncio.get_running_loop())
    lag.start()
    lag.stop()
    assert lag.seconds() == 0
