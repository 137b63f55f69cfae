"""`python -m bench.sharing`: what a cache, sharing, a choice among candidates and a place in line cost a call, and what a full
batch queue costs others.

The daemon serves the mock's answers. A call's cost is the processor time of the daemon, which a busy machine changes little; the
waits beside a batch are by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.processes import ROOT, Process, cpu_seconds, free_port, on_other_core
from proxy.dialects import Incoming
from proxy.exchange.job import NO_WEIGHT, Job
from proxy.exchange.pacing import Pacing
from proxy.exchange.record import record_of
from proxy.policy.values import Caller, Plan
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint

KEYS = ("plain", "coalesce", "cache", "both")
MODELS = {"quick": "openrouter/mock/echo?cost=0.01", "slow": "openrouter/mock/slow?ttft=0.02&tokens=4&cost=0.01"}
CHOICES = {"choice-3": 3, "choice-100": 100, "choice-500": 500}  # candidates
ROUNDS = 3

Ask = Callable[..., float]


def configuration(port: int, mock_port: int, folder: Path) -> str:
    """One key for each way, and a model whose provider is the mock."""
    words = {"coalesce": {"coalesce": True}, "cache": {"cache": True}, "both": {"cache": True, "coalesce": True}}
    keys = {name: {"key": f"sk-bench-{name}", **words.get(name, {})} for name in KEYS}
    price = {"input": 1, "output": 2}
    names: dict[str, Any] = {name: {"target": target, "price": price} for name, target in MODELS.items()}
    for at in range(max(CHOICES.values())):
        names[f"candidate-{at}"] = {"target": f"openrouter/mock/echo?cost={0.01 + at / 1e6:.6f}", "price": price}
    for name, number in CHOICES.items():
        names[name] = {"candidates": [f"candidate-{at}" for at in range(number)], "strategy": "balanced"}
    mock = {"kind": "openrouter", "api_key": "sk-or-bench", "base_url": f"http://127.0.0.1:{mock_port}/api/v1"}
    return json.dumps({
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"port": 0},
        "state_dir": str(folder / "state"),
        "providers": {"openrouter": mock},
        "models": names,
        "catalogue": {"refresh": "never"},
        "keys": keys,
    })  # fmt: skip


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[int, list[int]]]:
    """The daemon before the mock: its port, and its processes."""
    port, mock_port = free_port(), free_port()
    config = folder / "config.yaml"
    config.write_text(configuration(port, mock_port, folder))
    path = {"PYTHONPATH": str(ROOT)}
    mock = Process("mock", [sys.executable, "-m", "proxy", "mock", "--port", str(mock_port)], folder / "mock.log", path)
    try:
        mock.wait_until_listening(mock_port)
        on_other_core(mock)
        serve = [sys.executable, "-m", "proxy", "serve", "--config", str(config)]
        served = Process("Tollkeeper", serve, folder / "daemon.log", path)
        try:
            served.wait_until_listening(port)
            yield port, served.pids
        finally:
            served.end()
    finally:
        mock.end()


def asking(port: int) -> Ask:
    """Ask over one connection: whose key, the seed of the call, the model; how long it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(key: str, seed: int, model: str = "quick") -> float:
        body = {"model": model, "seed": seed, "max_tokens": 20, "messages": [{"role": "user", "content": "Is it?"}]}
        headers = {"Authorization": f"Bearer sk-bench-{key}", "Content-Type": "application/json"}
        began = time.monotonic()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise SystemExit(f"a call was answered {reply.status}")
        return time.monotonic() - began

    return ask


def cpu_per_call(ask: Ask, pids: list[int], calls: int) -> dict[str, float]:
    """Microseconds of the daemon's processor time a call, the median of the rounds, ways in turn. Hits ask one thing again."""
    seeds, found = count(), dict[str, list[float]]()
    ask("both", -1)
    for _ in range(ROUNDS):
        for name in (*KEYS, "hit", *CHOICES):
            before = cpu_seconds(pids)
            for _ in range(calls):
                _ask_as(ask, name, next(seeds))
            found.setdefault(name, []).append((cpu_seconds(pids) - before) / calls * 1e6)
    return {name: median(values) for name, values in found.items()}


def _ask_as(ask: Ask, way: str, seed: int) -> float:
    if way == "hit":
        return ask("both", -1)
    return ask("plain", seed, way) if way in CHOICES else ask(way, seed)


def place_in_line(times: int) -> float:
    """Microseconds to take a place at a target that is paced, and to give it back."""
    job = Job(
        Call(Endpoint("none"), "", "", "GET", b""), NO_WEIGHT.requested, 0, 0, Caller("x"), Plan((), ""), Incoming(()),
        record_of("x"), inf, (), (),
    )  # fmt: skip

    async def take() -> float:
        pacing, where = Pacing(), ("", "openrouter", "m")
        pacing._pace(where)
        began = time.perf_counter()
        for _ in range(times):
            await pacing.enter(job, where, 15.0)
            if job.leave is not None:
                job.leave()
        return (time.perf_counter() - began) / times * 1e6

    return asyncio.run(take())


def begin_batch(port: int, lines: int) -> tuple[str, Callable[[], dict[str, Any]]]:
    """A batch of slow lines, and how it stands."""
    body = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "max_tokens": 20}
    rows = (
        json.dumps({"custom_id": str(at), "method": "POST", "url": "/v1/chat/completions", "body": body})
        for at in range(lines)
    )
    form = f'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="b.jsonl"\r\n\r\n{chr(10).join(rows)}\r\n--b--\r\n'  # noqa: E501

    def asked(method: str, path: str, body: str = "", kind: str = "application/json") -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, body or None, {"Authorization": "Bearer sk-bench-plain", "Content-Type": kind})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return found

    file = asked("POST", "/v1/files", form, "multipart/form-data; boundary=b")
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = asked("POST", "/v1/batches", json.dumps(wanted))["id"]
    return batch, lambda: asked("GET", f"/v1/batches/{batch}")


def beside_a_batch(port: int, ask: Ask, calls: int) -> tuple[float, float, int]:
    """The 95th percentile of a call's seconds, quiet and while a batch is under way; how many of its lines were left then."""
    quiet = quantiles([ask("plain", at, "slow") for at in range(calls)], n=20)[-1]
    _, standing = begin_batch(port, 20 * calls)
    while standing()["request_counts"]["completed"] < 8:
        time.sleep(0.05)
    busy = quantiles([ask("plain", at, "slow") for at in range(calls)], n=20)[-1]
    counts = standing()["request_counts"]
    return quiet, busy, counts["total"] - counts["completed"]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.sharing", description=__doc__)
    parser.add_argument("--calls", type=int, default=1500, help="calls of each way in each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder)) as (port, pids):
        ask = asking(port)
        for seed in range(300):
            ask("plain", seed)
        costs = cpu_per_call(ask, pids, options.calls)
        for name, cost in costs.items():
            print(f"{name:>9}: {cost:6.0f} µs a call, {cost - costs['plain']:+6.0f} beside plain")
        print(f"    place: {place_in_line(100_000):6.2f} µs to take and give back")
        quiet, busy, left = beside_a_batch(port, ask, options.calls // 5)
        print(
            f"    batch: p95 {quiet * 1e3:.1f} ms quiet, {busy * 1e3:.1f} ms beside it ({busy / quiet:.2f} ×), {left} lines left"
        )


if __name__ == "__main__":
    main()
