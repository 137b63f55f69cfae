"""Every expression of the dashboard and of the rules, before a real Prometheus that scraped a real daemon at work."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.surroundings import PATIENCE_SECONDS, held_port
from live_prometheus import Prometheus
from test_prometheus import ALERTS, ALL, RULES, expressions, filled_in

RECORDED = [(rule["record"], rule["expr"]) for rule in RULES if "record" in rule]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {
        "providers": {"mock": {}},
        "models": {"brave": {"target": "dead/llama", "fallbacks": ["mock/echo"]}},
        "keys": {"alice": {"key": "sk-alice", "budgets": [{"usd": 5, "per": "day"}]},
                 "bob": {"key": "sk-bob", "limits": [{"requests": 1, "per": "month"}]}},
        "budgets": [{"usd": 100, "per": "month"}, {"usd": 1, "per": "week", "shadow": True}],
        "retries": {"attempts": 1},
        "shutdown": {"drain": 1},
    }  # fmt: skip
    with held_port() as nobody:
        config["providers"]["dead"] = {"kind": "openai", "base_url": f"http://127.0.0.1:{nobody}/v1", "free": True}
        with Daemon(config, tmp_path_factory.mktemp("scraped"), key="sk-alice") as running:
            yield running


def traffic(daemon: Daemon) -> None:
    """One of everything that a panel shows."""
    for model in ("mock/echo?cost=0.001", "mock/reasoning", "mock/error?status=500", "brave", "nobody/knows-this"):
        daemon.chat(model)
    daemon.chat("mock/slow?tokens=20&ttft=0.01&interval=0.01", stream=True)
    daemon.chat("mock/echo", [("Authorization", "Bearer sk-bob")])
    with daemon.open_chat("mock/slow?tokens=500&interval=0.05", stream=True) as connection:
        connection.read_head()


def without_value(prometheus: Prometheus, left: dict[str, str]) -> dict[str, str]:
    return {
        title: expr for title, expr in left.items()
        if not any(math.isfinite(value) for _, value in prometheus.query(expr))
    }  # fmt: skip


@pytest.mark.timeout(300)
def test_every_expression_has_a_value_once_there_is_traffic(daemon: Daemon, tmp_path: Path) -> None:
    left = {title: filled_in(expr, ALL) for title, expr in expressions()}
    left |= dict(RECORDED)
    with Prometheus(f"127.0.0.1:{daemon.admin_port}", None, tmp_path) as prometheus:
        prometheus.wait_until_ready()
        end = time.monotonic() + 2 * PATIENCE_SECONDS
        while left := without_value(prometheus, left):
            assert time.monotonic() < end, f"nothing ever came of {list(left)}"
            traffic(daemon)
            time.sleep(0.3)  # Prometheus scrapes once a second, and tells nobody
        firing = {name for name, rule in ALERTS.items() if prometheus.query(rule["expr"])}
    firing -= {"TollkeeperEventLoopLag"}  # a busy machine lets the loop wait
    assert firing <= {"TollkeeperBreakerOpen", "TollkeeperSuccessRateLow"}, "nothing else is wrong here"
