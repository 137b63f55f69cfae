"""Where a small call and an event of a stream spend their processor time, and what a call passes through.

py-spy looks at a daemon that is kept busy. A sample counts for the innermost of our own functions
on its stack, so that a library counts for whoever called it; one without a function of ours is the
event loop's, or aiohttp's. What a thread weighs is what the kernel says it used: one that waits for a
disk or a lock is seen more often than it works.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.calls import Caller
from bench.contender import Contender
from bench.contenders import tollkeeper
from bench.installing import pip
from bench.measure import Bench, events, running, small_calls
from bench.payloads import small_request
from bench.processes import ROOT, BenchError, mode_ticks, thread_seconds
from bench.streams import Pace

_SAMPLES_A_SECOND = 250
_BUSY = 0.85  # a daemon that often sleeps is found asleep
_SECONDS = 4
_FILE = re.compile(r"\((.+?):\d+\)$")
_THREAD = re.compile(r"thread \((\d+)\)")
_PACKAGE = str(ROOT / "proxy") + "/"
_NOT_A_STEP = ("cli/", "__main__.py")  # at the bottom of every stack
_LEAST_SHARE = 0.01  # of the whole; smaller files are added up by room
_SMALL_ONES = "(small ones)"

Shares = dict[tuple[str, str], float]
Measure = Callable[[Contender, Bench], dict[str, float]]


class Profile(NamedTuple):
    """What one takes, in seconds; how much of that is the kernel's; the share of every place, by room and file."""

    seconds: float
    kernel_share: float
    shares: Shares


def run(bench: Bench) -> dict[str, object]:
    """Print a table for a small call and one for an event, and what one call passes through."""
    py_spy = _py_spy(bench.folder)
    found: dict[str, object] = {}
    for what, metric, chosen in (
        ("a small call", "call cpu", lambda *_: small_calls),
        ("an event", "event cpu", _busy),
    ):
        profile = _profiled(py_spy, bench, chosen, metric)
        print(f"{table(what, profile)}\n")
        places = {f"{room}: {file}": share for (room, file), share in profile.shares.items()}
        found[what] = profile._asdict() | {"shares": places}
    found["walk"] = walked = _walked(bench)
    print(f"One call, walked: {len(walked['files'])} files entered, {len(walked['kinds'])} kinds of values made.")
    return found


def table(what: str, profile: Profile) -> str:
    """Rooms by what they take, their files below them; the rooms sum to the whole."""
    rooms: dict[str, dict[str, float]] = {}
    for (room, file), share in profile.shares.items():
        files = rooms.setdefault(room, {})
        name = file if share >= _LEAST_SHARE else _SMALL_ONES
        files[name] = files.get(name, 0.0) + share
    lines = [f"| where {what} spends it | µs | share |", "|---|--:|--:|", _line("**all of it**", 1.0, profile)]
    lines.append(_line("of that in the kernel, whoever called it", profile.kernel_share, profile))
    for room, files in sorted(rooms.items(), key=lambda item: -sum(item[1].values())):
        lines.append(_line(f"**{room}**", sum(files.values()), profile))
        if len(files) > 1:
            lines += [_line(f"&emsp;{file}", share, profile) for file, share in files.items()]
    return "\n".join(lines)


def _line(label: str, share: float, profile: Profile) -> str:
    return f"| {label} | {share * profile.seconds * 1e6:.1f} | {share:.0%} |"


def _py_spy(folder: Path) -> Path:
    """Beside our Python, on the path, or from its package. Raises `BenchError`."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    return Path(found) if found else pip(folder / "py-spy", "py-spy").with_name("py-spy")


def _profiled(py_spy: Path, bench: Bench, chosen: Callable[[Contender, Bench], Measure], metric: str) -> Profile:
    """A daemon of its own, measured and sampled at once."""
    raw = bench.folder / f"{metric}.raw"
    command = [str(py_spy), "record", "--format", "raw", "--output", str(raw), "--rate", str(_SAMPLES_A_SECOND)]
    command += ["--duration", "600", "--full-filenames", "--threads", "--pid"]
    with running(tollkeeper.start, bench.folder, bench.upstreams.plain) as contender:
        pids, measure = contender.process.pids, chosen(contender, bench)
        before, threads_before = mode_ticks(pids), thread_seconds(contender.process.pid)
        spy = subprocess.Popen(
            [*command, str(contender.process.pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            seconds = measure(contender, bench)[metric]
        finally:
            threads = thread_seconds(contender.process.pid)
            user, kernel = (now - then for now, then in zip(mode_ticks(pids), before, strict=True))
            spy.send_signal(signal.SIGINT)
            said = spy.communicate(timeout=60)[0]
    used = {tid: had - threads_before.get(tid, 0.0) for tid, had in threads.items()}
    if not raw.exists():
        raise BenchError(f"py-spy took no samples: {said.strip()[-200:]}")
    return Profile(seconds, kernel / max(1, user + kernel), _shares(raw.read_text().splitlines(), used))


def _busy(contender: Contender, bench: Bench) -> Measure:
    """Events that come so fast that the daemon has little time to sleep; waking up is shared by several."""
    seconds = events(contender, bench)["event cpu"]
    interval_ms = max(1, round(bench.effort.streams * seconds / _BUSY * 1000))
    return partial(events, pace=Pace(bench.effort.streams, _SECONDS * 1000 // interval_ms, interval_ms))


def _shares(stacks: Sequence[str], used: Mapping[int, float]) -> Shares:
    """Samples by place; `used` is what each thread used meanwhile, in seconds."""
    counts: dict[int, Counter[tuple[str, str]]] = {}
    for stack in stacks:
        frames, _, times = stack.rpartition(" ")
        named = _THREAD.match(frames)
        counts.setdefault(int(named[1]) if named else 0, Counter())[_place(frames.split(";"))] += int(times)
    total = sum(used.get(thread, 0.0) for thread in counts)
    shares: Shares = {}
    for thread, places in counts.items():
        for place, count in places.items():
            shares[place] = shares.get(place, 0.0) + used.get(thread, 0.0) / total * count / places.total()
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _place(frames: Sequence[str]) -> tuple[str, str]:
    """Room and file of one stack, whose innermost frame comes last."""
    files = [found[1] for found in map(_FILE.search, reversed(frames)) if found]
    for file in files:
        ours = file.removeprefix(_PACKAGE)
        if ours != file and not ours.startswith(_NOT_A_STEP):
            return _room(ours), f"proxy/{ours}"
    aiohttp = next((file for file in files if "/aiohttp/" in file), None)
    if aiohttp is not None:
        return "aiohttp", "aiohttp/" + aiohttp.rpartition("/aiohttp/")[2]
    return "the event loop: reads, polls, timers", "the event loop"


def _room(file: str) -> str:
    parts = file.split("/")[:-1]
    return "/".join(["proxy", *parts[: 2 if parts[:1] in (["policy"], ["web"]) else 1]])


def _walked(bench: Bench) -> dict[str, list[str]]:
    """What the last of some equal calls passes through: the first ones fill what is kept between calls."""
    file = bench.folder / "walk.json"
    start = partial(tollkeeper.start, command=("-m", "bench.walk", str(file)))
    with running(start, bench.folder, bench.upstreams.plain) as contender:
        pid, caller, request = contender.process.pid, Caller(contender.whole.port), small_request(contender.whole)
        caller.call(request)  # which opens the connection
        _told(pid, file)
        caller.call(request)
        caller.close()
        return _told(pid, file)


def _told(pid: int, file: Path) -> dict[str, list[str]]:
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    end = time.monotonic() + 20
    while not file.exists():
        if time.monotonic() > end:
            raise BenchError("The daemon under the hook did not tell what it counted.")
        time.sleep(0.01)
    counted: dict[str, list[str]] = json.loads(file.read_text())
    return counted
