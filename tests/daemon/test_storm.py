"""Several targets, each a process of its own: the best one dies, limps, and comes back. No call is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.setting import CLIENT_KEY
from harness.surroundings import PATIENCE_SECONDS, held_port

from proxy.policy.retries.breaker import FAILURES_TO_OPEN, OPEN_SECONDS

BAD_AT_FIRST = 3
BEST = f"mock/error?status=503&times={BAD_AT_FIRST}"
DEAD_CALLS, WINDOW, MOST_TO_RETURN = 40, 40, 1500
BETWEEN_CALLS_SECONDS = 0.02


def config(mocks: dict[str, Mock]) -> dict[str, Any]:
    """The best one costs a hundredth of the others."""
    cheap, dear = {"input": 0.05, "output": 0.05}, {"input": 20, "output": 20}
    others = {name: {"target": f"{name}/mock/echo", "price": dear} for name in ("second", "third")}
    return {
        "providers": {name: mock.provider() for name, mock in mocks.items()},
        "models": {
            "best": {"target": f"first/{BEST}", "price": cheap},
            **others,
            "smart": {"candidates": ["best", "second", "third"], "strategy": "thrifty"},
        },
        "strategies": {"thrifty": {"weights": {"cost": 1}, "explore": "0%", "sticky": 0}},
        "keys": {"alice": {"key": CLIENT_KEY}},
        "retries": {"attempts": 1, "first_wait": 0.01},
        "catalogue": {"refresh": "never"},
    }


class Caller:
    """Calls one after the other; each must be answered. `served` has by whom, `tried` how many attempts it took."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.served: list[str | None] = []
        self.tried: list[int] = []

    def call(self) -> None:
        reply = self._daemon.chat("smart")
        assert reply.status == 200, reply.body
        self.served.append(reply.header("x-tollkeeper-provider"))
        self.tried.append(int(reply.header("x-tollkeeper-attempts") or 0))

    def best_of(self, calls: int) -> int:
        """How many of the newest the best one served."""
        return self.served[-calls:].count("first")


@pytest.fixture
def others() -> Iterator[dict[str, Mock]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(Mock()) for name in ("second", "third")}


def test_the_best_target_dies_limps_and_comes_back_and_no_call_is_lost(others: dict[str, Mock], tmp_path: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(held_port())
        with Mock(port) as best:
            daemon = stack.enter_context(Daemon(config({"first": best, **others}), tmp_path, key=CLIENT_KEY))
            assert [daemon.chat("best").status for _ in range(BAD_AT_FIRST + 1)] == [503] * BAD_AT_FIRST + [200]
            caller = Caller(daemon)
            for _ in range(WINDOW):
                caller.call()
            assert caller.best_of(WINDOW) >= WINDOW * 0.9
        # dead: left after as many calls as a breaker wants, each of which another one answered; then a probe now and then
        began = time.monotonic()
        for _ in range(DEAD_CALLS):
            caller.call()
        probes = (time.monotonic() - began) // OPEN_SECONDS
        assert caller.best_of(DEAD_CALLS) == 0
        assert sum(caller.tried[-DEAD_CALLS:]) - DEAD_CALLS <= FAILURES_TO_OPEN + probes
        with Mock(port) as best:
            until = time.monotonic() + PATIENCE_SECONDS
            while not best.bill() and time.monotonic() < until:
                caller.call()
                time.sleep(BETWEEN_CALLS_SECONDS)
            # its first answers are errors again; then it gets a little traffic, and more with each answer
            asked_at = len(caller.served)
            while caller.best_of(WINDOW) < WINDOW * 0.9:
                caller.call()
                assert len(caller.served) - asked_at < MOST_TO_RETURN
            assert sum(row["status"] == 503 for row in best.bill()) == BAD_AT_FIRST
            daemon.stop()
