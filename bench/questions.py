"""How long operators wait for an answer over a large ledger, and how long calls wait meanwhile."""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from bench.contender import Contender
from bench.contenders import tollkeeper
from bench.contenders.tollkeeper import Grown
from bench.latency import Aim, first_bytes
from bench.ledger import KEYS, MODELS, fill
from bench.measure import Bench, running
from bench.payloads import small_request
from bench.processes import BenchError, cpu_seconds, run_ours

MUST_SECONDS, AIM_SECONDS = 1.0, 0.3
_MOST_SECONDS = 120
_CALLS = 2000
_ADMIN = re.compile(r"Admin on (http://\S+)")

PATHS = (
    "/analytics/costs",
    "/analytics/costs?by=model",
    "/analytics/costs?by=key&since=30d",
    "/analytics/usage?by=provider&interval=day&since=30d",
    "/analytics/usage?by=model&interval=day&since=30d",
    "/analytics/usage?by=key,model&since=30d",
    "/analytics/usage?by=key,model&interval=day&since=7d",
    "/analytics/usage?by=model&interval=hour&since=7d",
    "/analytics/usage?by=endpoint&interval=month",
    "/analytics/usage?interval=minute&since=24h",
    "/analytics/performance?by=model&since=7d&key=k1",
    "/analytics/performance?interval=hour&since=7d&model=m-1*",
    "/analytics/costs?by=session&since=24h",
    "/analytics/costs?by=session&since=30d",
    "/analytics/costs?by=flag&since=30d",
    "/analytics/costs?session=agent-7&since=30d",
    "/forecast",
    "/anomalies",
    "/savings",
    "/what-if?model=gpt-4o-mini",
    "/reconciliation",
    "/usage?by=model",
    "/usage?by=key&since=7d",
    "/budgets",
    "/sessions",
    "/calls",
    "/calls/past",
    "/calls/past?key=k1",
    "/calls/past?outcome=failed",
    "/calls/past?model=asked-by-nobody",
    "/alerts/rules",
)
"""Of the admin port; `tollkeeper usage` is asked beside them."""


def run(bench: Bench, rows: int) -> dict[str, list[float]]:
    """Ask each several times, print the table; then the same while calls go on. Seconds by path; calls by when."""
    fill(bench, rows)
    start = partial(tollkeeper.start, grown=Grown(KEYS, MODELS))
    with running(start, bench.folder, bench.upstreams.plain) as contender:
        root = _admin_root(bench.folder / "tollkeeper.log")
        times = range(bench.effort.rounds + 1)
        found, used = dict[str, list[float]](), dict[str, float]()
        for path in PATHS:
            before = cpu_seconds(contender.process.pids)
            found[path] = [_seconds(partial(_ask, root + path)) for _ in times]
            used[path] = (cpu_seconds(contender.process.pids) - before) / len(times)
        config = str(bench.folder / "config.yaml")
        usage = partial(run_ours, "usage", "--by", "model", "--config", config)
        found["tollkeeper usage --by model"] = [_seconds(usage) for _ in times]
        print(table(found, used))
        alone = _calls(contender, bench)
        with _asking(root):
            beside = _calls(contender, bench)
    for name, calls in (("nobody asks", alone), ("one question after the other is answered", beside)):
        p50, p99 = (calls[len(calls) * percent // 100] * 1000 for percent in (50, 99))
        print(f"first byte of 200 calls a second while {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return {**found, "calls alone": alone, "calls beside": beside}


def table(found: dict[str, list[float]], used: dict[str, float]) -> str:
    """One line a question: the first answer, the median of those after it, and the daemon's processor time for one."""
    lines = ["| question | first, s | then, s | CPU, s | must: 1 s | aim: 0.3 s |", "|---|--:|--:|--:|---|---|"]
    for name, (first, *others) in found.items():
        then = median(others)
        said = ["met" if max(first, then) <= most else "**not met**" for most in (MUST_SECONDS, AIM_SECONDS)]
        cpu = f"{used[name]:.2f}" if name in used else "–"
        lines.append(f"| {' | '.join([f'`{name}`', f'{first:.3f}', f'{then:.3f}', cpu, *said])} |")
    return "\n".join(lines)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ask(address: str) -> None:
    try:
        with urllib.request.urlopen(address, timeout=_MOST_SECONDS) as answer:
            answer.read()
    except OSError as error:
        print(f"{address}: {error}", file=sys.stderr)


def _admin_root(log: Path) -> str:
    found = _ADMIN.search(log.read_text())
    if found is None:
        raise BenchError("the daemon named no admin port")
    return found[1]


def _calls(contender: Contender, bench: Bench) -> list[float]:
    plain = bench.upstreams.plain
    through = Aim(contender.whole.port, small_request(contender.whole))
    return first_bytes(through, Aim(plain.whole.port, small_request(plain.whole)), _CALLS)[0]


@contextmanager
def _asking(root: str) -> Iterator[None]:
    """Somebody asks all of them, again and again."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            for path in PATHS:
                if not is_over.is_set():
                    _ask(root + path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
