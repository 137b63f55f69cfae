"""Restarts behind a socket that somebody else holds, under load: no call is refused, reset, lost or booked twice."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.surroundings import held_port
from harness.traffic import Traffic
from money_books import KEY, Books, ask

RESTARTS = 30 if "FAULTS" in os.environ else 6
RATE = 200
NO_UVLOOP = "import sys\nsys.modules['uvloop'] = None\n"


def config(admin_port: int) -> dict[str, Any]:
    return {
        "admin": {"host": "127.0.0.1", "port": admin_port},
        "providers": {"mock": {}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 1000, "per": "total"}]}},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 300},
    }


def bodies() -> list[dict[str, Any]]:
    """Of ten calls two stream, one of these for half a second."""
    brief = [ask("mock/echo")] * 8
    return [*brief, ask("mock/echo", stream=True), ask("mock/slow?ttft=0.1&interval=0.05&tokens=8", stream=True)]


async def restart(start: Callable[[], Daemon], times: int) -> tuple[Traffic, int]:
    """Replace the daemon so many times while calls come in; the calls, and how many the daemons say they cut."""
    daemon = await asyncio.to_thread(start)
    requests = [daemon.request("POST", "/v1/chat/completions", (), json.dumps(body).encode()) for body in bodies()]
    traffic, ended, cut = Traffic(daemon.port, requests, RATE), asyncio.Event(), 0
    calling = asyncio.ensure_future(traffic.run(ended))
    try:
        for _ in range(times):
            await traffic.has_caught_up()
            await traffic.has_reused(RATE // 4)  # calls as on any day, before the next restart
            assert await asyncio.to_thread(daemon.stop) == 0
            cut += daemon.wait_for_log(lambda line: line["event"] == "stopped")["cut"]
            daemon.__exit__()
            daemon = await asyncio.to_thread(start)
    finally:
        ended.set()
        await calling
        assert await asyncio.to_thread(daemon.stop) == 0
        daemon.__exit__()
    return traffic, cut


@pytest.mark.timeout(300 + 60 * RESTARTS)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_restarts_under_load_refuse_and_lose_nothing(loop: str, tmp_path: Path) -> None:
    env = {}
    if loop == "asyncio":
        (tmp_path / "sitecustomize.py").write_text(NO_UVLOOP)
        env["PYTHONPATH"] = str(tmp_path)
    times = RESTARTS if loop == "uvloop" else RESTARTS // 3
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, held_port() as admin_port:

        def start() -> Daemon:
            return Daemon(config(admin_port), tmp_path, key=KEY, listener=listener, env=env).__enter__()

        traffic, cut = asyncio.run(restart(start, times))
    figures = ", ".join(f"{name} {traffic.percentile(share):.3f} s" for name, share in [("p50", 0.5), ("p99", 0.99)])
    print(f"\n{times} restarts: {dict(traffic.outcomes)}, {figures}, slowest {max(traffic.seconds):.3f} s")
    assert set(traffic.outcomes) == {"whole"}, traffic.outcomes
    assert cut == 0
    books = Books(tmp_path / "state")
    books.check()
    assert books.held == []
    assert len(books.rows) == traffic.outcomes["whole"]
