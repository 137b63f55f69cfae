"""`python -m bench.storm`: a hundred models of different price, speed and failure; the best one dies, limps and comes back.

The daemon and the mock whose models these are run as processes of their own. One client makes streamed calls, one after the
other; each must be answered, whoever fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench.processes import ROOT, BenchError, Process, free_port, on_other_core, run_ours

MODELS = 100
BEST = "mock/model-1"
WINDOW = 40  # calls
_PATIENCE_SECONDS = 60
_BILL = "/mock/bill"
_WELL = "mock/echo?ttft=0.005&interval=0.001&tokens=6"
_DEAD = "mock/error?status=503"
_LIMPING = "mock/error?status=503&every=2&ttft=0.005&interval=0.001&tokens=6"


class World(NamedTuple):
    """`cheapest`: the number of the cheapest other model, by which the mock prices it (the best one has number 1)."""

    strategy: Mapping[str, Any]
    cheapest: int

    def orders(self) -> dict[str, str]:
        """How each model behaves: as quick and as reliable as it happens to be; every second one never fails."""
        dice, found = Random(14), {BEST: _WELL}
        for at in range(MODELS - 1):
            number = round(self.cheapest * (995 / self.cheapest) ** (at / (MODELS - 2)))
            number += f"mock/model-{number}" in found
            quick = f"ttft={dice.uniform(0.01, 0.04):.3f}&interval={dice.uniform(0.001, 0.004):.4f}&tokens=6"
            fails = f"mock/error?status=503&every={dice.randrange(20, 100)}&" if at % 2 else "mock/echo?"
            found[f"mock/model-{number}"] = fails + quick
        return found


class Effort(NamedTuple):
    """How long it is dead and limps at least: calls or seconds, whichever takes longer; of the limping it is asked so often."""

    dead_calls: int = WINDOW
    limping_asked: int = 6
    seconds: float = 0.0
    most_seconds_to_return: float = 120.0


class Storm(NamedTuple):
    """What was seen. `asked_…`: how many calls went to the best one first; seconds by the clock."""

    calls: int
    lost: int
    asked_dead: int
    left_seconds: float
    dead_seconds: float
    asked_limping: int
    limping: int
    back_calls: int
    back_seconds: float


CLEAR = World({"weights": {"cost": 1}, "sticky": 0}, 400)
CLOSE = World({"weights": {"cost": 0.34, "speed": 0.33, "quality": 0.33}, "sticky": 0}, 20)
"""In `CLEAR` the best one is cheaper by far, and cost alone counts; in `CLOSE` the next one is nearly as good, weighed as `balanced` does."""


class Mock(NamedTuple):
    """The provider of all of them."""

    port: int

    def tell(self, model: str, what: str) -> None:
        """Have it behave so from now on."""
        self._asked("PUT", f"/mock/models/{model}", json.dumps({"as": what}))

    def forget(self) -> None:
        """Count anew."""
        self._asked("DELETE", _BILL)

    def asked_best(self) -> int:
        """How many calls the best one was asked for, since then."""
        return sum(row["model"] == BEST for row in json.loads(self._asked("GET", _BILL))["rows"])

    def _asked(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_SECONDS)
        connection.request(method, path, body)
        reply = connection.getresponse()
        said = reply.read()
        connection.close()
        if reply.status >= 300:
            raise BenchError(f"the mock answered {reply.status}: {said[:200]!r}")
        return said


class Caller:
    """One connection; `served` by whom each call was answered, "" where it was not."""

    def __init__(self, port: int) -> None:
        """The daemon's."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        self.served: list[str] = []

    def close(self) -> None:
        """No more calls."""
        self._connection.close()

    def call(self) -> None:
        """A streamed call, read to its end."""
        body = {"model": "smart", "stream": True, "messages": [{"role": "user", "content": "Which of you answers?"}]}
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = self._connection.getresponse()
        said = reply.read()
        is_whole = reply.status == 200 and b"data: [DONE]" in said and b'"error"' not in said
        self.served.append(reply.headers["x-tollkeeper-model"] if is_whole else "")

    def has_settled(self, part: float) -> bool:
        """Whether the best one answers so many of the newest calls."""
        return self.served[-WINDOW:].count(BEST) >= WINDOW * part

    def until(self, is_over: Callable[[], bool], most_seconds: float) -> float:
        """Call until then; the seconds that took."""
        began = time.monotonic()
        while not is_over():
            self.call()
            if time.monotonic() - began > most_seconds:
                raise BenchError(
                    f"it took longer than {most_seconds:.0f} s; the latest were answered by {self.served[-9:]}"
                )
        return time.monotonic() - began


def configuration(port: int, mock: Mock, world: World, folder: Path) -> str:
    """One name, and all the models as its candidates."""
    provider = {"kind": "openrouter", "api_key": "sk-or-bench", "base_url": f"http://127.0.0.1:{mock.port}/api/v1"}
    return json.dumps({
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"port": 0},
        "state_dir": str(folder / "state"),
        "providers": {"openrouter": provider},
        "models": {"smart": {"candidates": list(world.orders()), "strategy": "ours"}},
        "strategies": {"ours": dict(world.strategy)},
        "retries": {"attempts": 1},
    })  # fmt: skip


@contextmanager
def running(world: World, folder: Path) -> Iterator[tuple[int, Mock]]:
    """The daemon's port, and the mock with its models."""
    port, mock = free_port(), Mock(free_port())
    config = folder / "config.yaml"
    config.write_text(configuration(port, mock, world, folder))
    path = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "proxy"]
    upstream = Process(
        "mock", [*command, "mock", "--port", str(mock.port), "--models", "1000"], folder / "mock.log", path
    )
    try:
        upstream.wait_until_listening(mock.port)
        on_other_core(upstream)
        for model, behaviour in world.orders().items():
            mock.tell(model, behaviour)
        daemon = Process("Tollkeeper", [*command, "serve", "--config", str(config)], folder / "daemon.log", path)
        try:
            daemon.wait_until_listening(port)
            run_ours("models", "sync", "--config", str(config))
            yield port, mock
        finally:
            daemon.end()
    finally:
        upstream.end()


def storm(world: World, effort: Effort, folder: Path) -> Storm:
    """Until the best one has its traffic; dead; limping; well again, until it has most of its traffic back."""
    with running(world, folder) as (port, mock), closing(Caller(port)) as caller:
        caller.until(lambda: caller.has_settled(0.9), _PATIENCE_SECONDS)
        mock.forget()
        mock.tell(BEST, _DEAD)
        began, at = time.monotonic(), len(caller.served)
        left_seconds = 0.0
        while len(caller.served) < at + effort.dead_calls or time.monotonic() < began + effort.seconds:
            asked = mock.asked_best()
            caller.call()
            if mock.asked_best() > asked and len(caller.served) <= at + WINDOW:
                left_seconds = time.monotonic() - began
        asked_dead, dead_seconds = mock.asked_best(), time.monotonic() - began
        limping_at = _limp(caller, mock, effort)
        asked_limping, limping = mock.asked_best(), len(caller.served) - limping_at
        mock.tell(BEST, _WELL)
        well_at = len(caller.served)
        back_seconds = caller.until(
            lambda: len(caller.served) - well_at >= WINDOW and caller.has_settled(0.75), effort.most_seconds_to_return
        )
        served = caller.served
        return Storm(
            len(served), served.count(""), asked_dead, left_seconds, dead_seconds, asked_limping, limping,
            len(served) - well_at, back_seconds,
        )  # fmt: skip


def _limp(caller: Caller, mock: Mock, effort: Effort) -> int:
    """Every second answer of the best one is an error; the number of the first call from which it is so."""
    mock.forget()
    mock.tell(BEST, _LIMPING)
    began, at = time.monotonic(), len(caller.served)
    caller.until(
        lambda: mock.asked_best() >= effort.limping_asked and time.monotonic() >= began + effort.seconds,
        effort.seconds + 2 * _PATIENCE_SECONDS,
    )
    return at


def told(name: str, seen: Storm) -> str:
    """A row of the table."""
    cells = [
        name, f"{seen.calls:,}", f"{seen.lost}", f"{seen.left_seconds:.1f}", f"{seen.asked_dead} in {seen.dead_seconds:.0f} s",
        f"{seen.asked_limping} of {seen.limping:,}", f"{seen.back_seconds:.0f} s, {seen.back_calls:,} calls",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the figures of both worlds."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the best one is dead, and limps")
    options = parser.parse_args()
    print("| the best one | calls | lost | left after, s | asked while dead | asked while limping | back after |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, world in (("cheaper by far, by cost alone", CLEAR), ("a little better, `balanced`", CLOSE)):
        with tempfile.TemporaryDirectory() as folder:
            effort = Effort(limping_asked=0, seconds=options.seconds, most_seconds_to_return=600)
            print(told(name, storm(world, effort, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
