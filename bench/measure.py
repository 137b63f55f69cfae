"""One round: every proxy started afresh, measured, ended. Metric names are those of the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import streams
from bench.calls import Caller, call_alone, wrk
from bench.contender import Contender
from bench.latency import Aim, first_bytes
from bench.payloads import EVENT_INTERVAL_MS, Door, agent_request, image_request, small_request, stream_request
from bench.processes import cpu_seconds, proxy_core_seconds, resident_bytes
from bench.upstreams import Upstream, Upstreams

Measured = dict[str, list[float]]
Results = dict[str, Measured]
Start = Callable[[Path, Upstream], Contender]


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int
    wrk_seconds: int
    streams: int
    events: int
    held_streams: int
    images: int
    latency_calls: int


FULL = Effort(rounds=3, wrk_seconds=7, streams=64, events=200, held_streams=500, images=40, latency_calls=2000)
QUICK = Effort(rounds=1, wrk_seconds=3, streams=64, events=120, held_streams=300, images=20, latency_calls=600)


class Bench(NamedTuple):
    """Where a run takes place."""

    folder: Path
    upstreams: Upstreams
    effort: Effort


def measure(start: Start, bench: Bench) -> Measured:
    """Measure one proxy, three times started: memory is only honest in a process that has done nothing yet."""
    measured: Measured = {}
    for part, upstream in (
        (_memory, bench.upstreams.plain),
        (_work, bench.upstreams.plain),
        (_over_tls, bench.upstreams.tls),
    ):
        with running(start, bench.folder, upstream) as contender:
            found = part(contender, bench) | {"cold start": contender.cold_seconds}
        for metric, value in found.items():
            measured.setdefault(metric, []).append(value)
    # a start is measured three times, the other numbers once a round
    measured["cold start"] = [min(measured["cold start"])]
    return measured


@contextmanager
def running(start: Start, folder: Path, upstream: Upstream) -> Iterator[Contender]:
    """A proxy that has answered some calls of either kind, ended afterwards."""
    with started(start, folder, upstream) as contender:
        warm_up(contender.whole, small_request(contender.whole))
        warm_up(contender.stream, stream_request(contender.stream, 2, 0))
        yield contender


@contextmanager
def started(start: Start, folder: Path, upstream: Upstream) -> Iterator[Contender]:
    """A proxy that has answered one call, ended afterwards."""
    contender = start(folder, upstream)
    try:
        yield contender
    finally:
        contender.process.end()


def warm_up(door: Door, request: bytes) -> None:
    """Some calls in a row."""
    caller = Caller(door.port)
    for _ in range(20):
        caller.call(request)
    caller.close()


def small_calls(contender: Contender, bench: Bench, doors: list[Door] | None = None) -> dict[str, float]:
    """Processor time of a small call; entering by each door in turn, where there are several, and not for the first time."""
    requests = [small_request(door) for door in doors or [contender.whole]]
    seconds = 1
    while wrk(contender.whole.port, requests, seconds, bench.folder) < 3 * len(requests):
        seconds *= 2
    pids = contender.process.pids
    used = cpu_seconds(pids)
    calls = wrk(contender.whole.port, requests, bench.effort.wrk_seconds, bench.folder)
    used = cpu_seconds(pids) - used
    return {"call cpu": used / calls, "calls a second": calls / used}


def _agent_calls(contender: Contender, bench: Bench) -> dict[str, float]:
    """Processor time of a turn of an agent; and of one late in its session, before the upstream that takes large bodies."""
    late = agent_request(contender.stream, calls=100, lines=320)
    turns = ("agent cpu", contender.whole, agent_request(contender.whole)), ("late agent cpu", contender.stream, late)
    found, pids = {}, contender.process.pids
    for name, door, request in turns:
        wrk(door.port, [request], 1, bench.folder)
        used = cpu_seconds(pids)
        calls = wrk(door.port, [request], bench.effort.wrk_seconds, bench.folder)
        found[name] = (cpu_seconds(pids) - used) / calls
    return found


def _alone(contender: Contender, bench: Bench) -> dict[str, float]:
    """Processor time of a small call over a connection of its own, which says that it is to be closed: one after the other."""
    request, pids = small_request(contender.whole), contender.process.pids
    last = request.replace(b"\r\nContent-Length", b"\r\nConnection: close\r\nContent-Length", 1)
    for _ in range(20):
        call_alone(contender.whole.port, last)
    used = cpu_seconds(pids)
    for _ in range(bench.effort.latency_calls):
        call_alone(contender.whole.port, last)
    return {"alone cpu": (cpu_seconds(pids) - used) / bench.effort.latency_calls}


def events(contender: Contender, bench: Bench, pace: streams.Pace | None = None) -> dict[str, float]:
    """Processor time of an event while all streams are under way."""
    pids, effort = contender.process.pids, bench.effort
    pace = pace or streams.Pace(effort.streams, effort.events, EVENT_INTERVAL_MS)
    passed = streams.flow(contender.stream, pace, lambda: cpu_seconds(pids))
    return {"event cpu": passed.cpu_seconds / passed.events, "events a read": passed.events / passed.reads}


def _memory(contender: Contender, bench: Bench) -> dict[str, float]:
    time.sleep(0.5)
    pids = contender.process.pids
    idle, idle_pss = resident_bytes(pids), resident_bytes(pids, "Pss")
    held = streams.bytes_held(contender.stream, bench.effort.held_streams, lambda: resident_bytes(pids))
    return {"idle rss": idle, "idle pss": idle_pss, "stream memory": held}


def _work(contender: Contender, bench: Bench) -> dict[str, float]:
    pids = contender.process.pids
    began, core_began, used = time.monotonic(), proxy_core_seconds(), cpu_seconds(pids)
    found = (
        _first_bytes(contender, bench)
        | small_calls(contender, bench)
        | _agent_calls(contender, bench)
        | _alone(contender, bench)
        | events(contender, bench)
        | _images(contender, bench)
    )
    by_others = proxy_core_seconds() - core_began - (cpu_seconds(pids) - used)
    return found | {"others": max(0.0, by_others) / (time.monotonic() - began)}


def _over_tls(contender: Contender, bench: Bench) -> dict[str, float]:
    found = small_calls(contender, bench) | events(contender, bench)
    return {"tls call cpu": found["call cpu"], "tls event cpu": found["event cpu"]}


def _first_bytes(contender: Contender, bench: Bench) -> dict[str, float]:
    """What the proxy adds at the median and at the 99th percentile, in seconds."""
    plain, found = bench.upstreams.plain, {}
    for name, through, direct in (
        ("first byte", _small_aim(contender.whole), _small_aim(plain.whole)),
        ("first event", _stream_aim(contender.stream), _stream_aim(plain.stream)),
    ):
        seconds, direct_seconds = first_bytes(through, direct, bench.effort.latency_calls)
        for percent in (50, 99):
            at = len(seconds) * percent // 100
            found[f"{name} p{percent}"] = seconds[at] - direct_seconds[at]
    return found


def _small_aim(door: Door) -> Aim:
    return Aim(door.port, small_request(door))


def _stream_aim(door: Door) -> Aim:
    return Aim(door.port, stream_request(door, 3, 5), b'"delta"')


def _images(contender: Contender, bench: Bench) -> dict[str, float]:
    caller, pids = Caller(contender.stream.port), contender.process.pids
    wanted = image_request(contender.stream)
    for _ in range(3):
        caller.call(wanted)
    used = cpu_seconds(pids)
    for _ in range(bench.effort.images):
        caller.call(wanted)
    used = cpu_seconds(pids) - used
    caller.close()
    return {"image cpu": used / bench.effort.images}
