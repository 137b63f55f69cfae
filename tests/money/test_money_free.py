"""Calls that cost nothing, side by side under a budget: each is answered, and each is booked."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply, then, wait_at
from harness.upstream import Upstream
from money_books import StartToll, settled

BUDGET = [{"usd": 1, "per": "month"}]
FREE = {"target": "openrouter/house/model", "price": {"input": 0, "output": 0}}
PAID = {"target": "openrouter/house/model", "price": {"input": 0, "output": 1}}


@pytest.mark.parametrize("whose", ["key", "everybody"])
@pytest.mark.parametrize("second", ["free", "paid"])
def test_calls_of_amount_nothing_side_by_side_are_answered_and_booked(
    start_daemon: StartToll, upstream: Upstream, whose: str, second: str
) -> None:
    members = {"keys": {"alice": {"key": CLIENT_KEY, "budgets": BUDGET}}} if whose == "key" else {"budgets": BUDGET}
    daemon = start_daemon(models={"free": FREE, "paid": PAID}, **members)
    gate = upstream.gate()
    upstream.expect(*[then(wait_at(gate), json_reply(chat_reply(usage={"cost": 0.0})))] * 3)
    with ExitStack() as stack:
        calls = [stack.enter_context(daemon.open_chat(model, max_tokens=100)) for model in ("free", second, "free")]
        upstream.wait_for_calls(3)
        gate.open()
        assert [call.read_reply().status for call in calls] == [200] * 3
    books = settled(daemon)
    assert books.sources == {"reported": 3}
    assert set(books.spent.values()) == {0}


def test_a_kill_with_free_calls_open_lets_the_daemon_start_again(upstream: Upstream, tmp_path: Path) -> None:
    config = config_for(upstream, keys={"alice": {"key": CLIENT_KEY, "budgets": BUDGET}}, models={"free": FREE})
    gate = upstream.gate()
    upstream.expect(*[then(wait_at(gate), json_reply(chat_reply()))] * 2)
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(daemon.open_chat("free", max_tokens=100))
        upstream.wait_for_calls(2)
        os.kill(daemon.pid, signal.SIGKILL)
    gate.open()
    upstream.expect(json_reply(chat_reply(usage={"cost": 0.0})))
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        assert daemon.chat("free", max_tokens=100).status == 200
        books = settled(daemon)
        assert (len(books.rows), books.cost) == (3, 0)
