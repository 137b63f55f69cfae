"""One round: every proxy started afresh, measured, ended. Metric names are those of the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench import streams
from bench.calls import Caller, wrk
from bench.contenders import Contender, Upstreams, start
from bench.payloads import image_body, request, small_body, stream_request
from bench.processes import cpu_seconds, proxy_core_seconds, resident_bytes

Measured = dict[str, list[float]]


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int
    wrk_seconds: int
    streams: int
    events: int
    held_streams: int
    images: int
    latency_calls: int


FULL = Effort(rounds=3, wrk_seconds=7, streams=64, events=200, held_streams=500, images=40, latency_calls=800)
QUICK = Effort(rounds=1, wrk_seconds=4, streams=64, events=120, held_streams=300, images=20, latency_calls=400)
EVENT_INTERVAL_MS = 20


class Bench(NamedTuple):
    """Where a run takes place."""

    folder: Path
    upstreams: Upstreams
    effort: Effort


def measure(name: str, bench: Bench) -> Measured:
    """Measure one proxy, twice started: memory is only honest in a process that has done nothing yet."""
    measured: Measured = {}
    for part in (_memory, _work):
        contender = start(name, bench.folder, bench.upstreams)
        try:
            measured.setdefault("cold start", []).append(contender.cold_seconds)
            for metric, value in part(contender, bench).items():
                measured.setdefault(metric, []).append(value)
        finally:
            contender.process.end()
    return measured


def _memory(contender: Contender, bench: Bench) -> dict[str, float]:
    _warm_up(contender, calls=20)
    time.sleep(0.5)
    pids = contender.process.pids
    idle, idle_pss = resident_bytes(pids), resident_bytes(pids, "Pss")
    held = streams.bytes_held(contender.stream_port, bench.effort.held_streams, lambda: resident_bytes(pids))
    return {"idle rss": idle, "idle pss": idle_pss, "stream memory": held}


def _work(contender: Contender, bench: Bench) -> dict[str, float]:
    _warm_up(contender, calls=20)
    return (
        _first_bytes(contender, bench)
        | _small(contender, bench)
        | _events(contender, bench)
        | _images(contender, bench)
    )


def _warm_up(contender: Contender, calls: int) -> None:
    for port, wanted in (
        (contender.whole_port, request(contender.whole_port, small_body())),
        (contender.stream_port, stream_request(contender.stream_port, 2, 0)),
    ):
        caller = Caller(port)
        for _ in range(calls):
            caller.call(wanted)
        caller.close()


def _first_bytes(contender: Contender, bench: Bench) -> dict[str, float]:
    """Calls with and without the proxy by turns, so that whatever slows the machine slows both."""
    whole = _added(contender.whole_port, bench.upstreams.whole_port, bench.effort.latency_calls, _small_call)
    streamed = _added(contender.stream_port, bench.upstreams.stream_port, bench.effort.latency_calls, _stream_call)
    return {
        "first byte p50": whole[0],
        "first byte p99": whole[1],
        "first event p50": streamed[0],
        "first event p99": streamed[1],
    }


def _small_call(port: int) -> tuple[bytes, bytes]:
    return request(port, small_body()), b""


def _stream_call(port: int) -> tuple[bytes, bytes]:
    return stream_request(port, 1, 0), b'"delta"'


def _added(port: int, direct_port: int, calls: int, make: Callable[[int], tuple[bytes, bytes]]) -> tuple[float, float]:
    """What the proxy adds at the median and at the 99th percentile, in seconds."""
    through, direct = Caller(port), Caller(direct_port)
    (wanted, until), (wanted_direct, until_direct) = make(port), make(direct_port)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(calls):
        times[0].append(through.call(wanted, until=until))
        times[1].append(direct.call(wanted_direct, until=until_direct))
    through.close()
    direct.close()
    through_times, direct_times = sorted(times[0]), sorted(times[1])
    middle, late = calls // 2, calls * 99 // 100
    return through_times[middle] - direct_times[middle], through_times[late] - direct_times[late]


def _small(contender: Contender, bench: Bench) -> dict[str, float]:
    wrk(contender.whole_port, 1, bench.folder)
    pids = contender.process.pids
    began, core_began, used = time.monotonic(), proxy_core_seconds(), cpu_seconds(pids)
    calls = wrk(contender.whole_port, bench.effort.wrk_seconds, bench.folder)
    used = cpu_seconds(pids) - used
    seconds = time.monotonic() - began
    others = max(0.0, proxy_core_seconds() - core_began - used) / seconds
    return {"call cpu": used / calls, "calls a second": calls / seconds, "others": others}


def _events(contender: Contender, bench: Bench) -> dict[str, float]:
    pids, effort = contender.process.pids, bench.effort
    passed = streams.flow(
        contender.stream_port, effort.streams, effort.events, EVENT_INTERVAL_MS, lambda: cpu_seconds(pids)
    )
    return {"event cpu": passed.cpu_seconds / passed.events, "events a read": passed.events / passed.reads}


def _images(contender: Contender, bench: Bench) -> dict[str, float]:
    caller, pids = Caller(contender.stream_port), contender.process.pids
    wanted = request(contender.stream_port, image_body())
    for _ in range(3):
        caller.call(wanted)
    used = cpu_seconds(pids)
    for _ in range(bench.effort.images):
        caller.call(wanted)
    used = cpu_seconds(pids) - used
    caller.close()
    return {"image cpu": used / bench.effort.images}
