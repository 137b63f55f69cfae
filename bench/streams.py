"""Many streams at once, read by a bare protocol: what an event costs, what an open stream holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

import uvloop

from bench.payloads import Door, stream_request
from bench.processes import BenchError

_NEEDLE = b'"delta"'
_PATIENCE_SECONDS = 60  # the slowest gateway takes milliseconds for an event
_LAST_CHUNK = b"\n\n\r\n0\r\n\r\n"
_END = b"data: [DONE]" + _LAST_CHUNK  # of chat; other protocols name their last event


class Pace(NamedTuple):
    """So many streams at once. `margin` events at either end are left out: opening and closing are not counted."""

    streams: int
    events: int
    interval_ms: int
    margin: int = 10
    spread: float = 4.37  # intervals over which they are opened, so that their events do not come in step


class Flow(NamedTuple):
    """Between two readings of the processor's clock: events passed on, and reads they arrived in."""

    cpu_seconds: float
    events: int
    reads: int


class _Run:
    """What all streams have in common: the counters, and the moments at which the clock is read."""

    def __init__(self, door: Door, pace: Pace) -> None:
        self.end = _END if door.path.endswith("/chat/completions") else _LAST_CHUNK
        self.request = stream_request(door, pace.events, pace.interval_ms)
        self.streams = pace.streams
        self.margin = pace.margin
        self.expected = pace.events + 1  # the finish has a delta as well, unless a gateway writes events anew
        self.events = 0
        self.reads = 0
        self.flowing = 0
        self.ended = 0
        self.broken = 0
        self.all_flow = asyncio.Event()
        self.first_near_end = asyncio.Event()
        self.all_ended = asyncio.Event()
        self.readings: list[tuple[float, int, int]] = []
        self.cpu_seconds: Callable[[], float] = float

    def read_clock(self) -> None:
        self.readings.append((self.cpu_seconds(), self.events, self.reads))


class _Stream(asyncio.Protocol):
    """One connection, one stream."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._events = 0
        self._tail = b""
        self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        run = self._run
        data = self._tail + data
        found = data.count(_NEEDLE)
        # the end of what was read may hold the beginning of a needle, or of the last chunk
        self._tail = data[data.rfind(_NEEDLE) + 1 :][-len(_END) :] if found else data[-len(_END) :]
        before, self._events = self._events, self._events + found
        run.events += found
        run.reads += 1
        if before < run.margin <= self._events:
            run.flowing += 1
            if run.flowing == run.streams:
                run.read_clock()
                run.all_flow.set()
        elif before < run.expected - run.margin <= self._events and not run.first_near_end.is_set():
            run.read_clock()
            run.first_near_end.set()
        if data.endswith(b"0\r\n\r\n"):
            self._finish(complete=self._events >= run.expected - 1 and data.endswith(run.end))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(complete=False)

    def _finish(self, *, complete: bool) -> None:
        if self._done:
            return
        self._done = True
        self._run.ended += 1
        self._run.broken += not complete
        if self._run.ended == self._run.streams:
            self._run.all_ended.set()


@asynccontextmanager
async def _patience(seconds: float, run: _Run) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise BenchError(f"{run.ended} of {run.streams} streams had ended after {seconds:.0f} s.") from None


async def _open(run: _Run, port: int, spread_seconds: float) -> list[_Stream]:
    """Open the streams spread over some time, so that their events do not come in step."""
    loop = asyncio.get_running_loop()
    opened: list[_Stream] = []
    began = loop.time()
    for number in range(run.streams):
        await asyncio.sleep(max(0.0, began + spread_seconds * number / run.streams - loop.time()))
        _, stream = await loop.create_connection(lambda: _Stream(run), "127.0.0.1", port)
        opened.append(stream)
    return opened


def flow(door: Door, pace: Pace, cpu_seconds: Callable[[], float]) -> Flow:
    """Read streams to their ends; what was used while all of them ran. Raises where one was not complete."""

    async def read() -> Flow:
        run = _Run(door, pace)
        run.cpu_seconds = cpu_seconds
        interval = pace.interval_ms / 1000
        async with _patience(pace.events * interval + _PATIENCE_SECONDS, run):
            await _open(run, door.port, pace.spread * interval)
            await run.all_ended.wait()
        if run.broken or len(run.readings) < 2:
            raise BenchError(f"{run.broken} of {pace.streams} streams were not complete.")
        (cpu_0, events_0, reads_0), (cpu_1, events_1, reads_1) = run.readings[:2]
        return Flow(cpu_1 - cpu_0, events_1 - events_0, reads_1 - reads_0)

    return uvloop.run(read())


def bytes_held(door: Door, streams: int, resident_bytes: Callable[[], int]) -> float:
    """Hold streams open at one event a second; the memory each of them takes."""

    async def hold() -> float:
        run = _Run(door, Pace(streams, 60, 1000))
        before = resident_bytes()
        async with _patience(_PATIENCE_SECONDS, run):
            opened = await _open(run, door.port, 1.0)
            await asyncio.sleep(2.5)
        if run.ended or run.events < 2 * streams:
            raise BenchError(f"Only {run.events} events came on {streams} open streams, {run.ended} of which ended.")
        after = resident_bytes()
        for stream in opened:
            stream.transport.abort()
        return (after - before) / streams

    return uvloop.run(hold())
