"""Calls side by side without a maximum of their own: they go, or wait for one another, while money is there."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from harness.crowd import Answer, crowd
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.http import Connection, request_bytes
from harness.mock import Mock
from harness.setting import CLIENT_KEY
from harness.steps import Script, json_reply, then, wait_at
from harness.upstream import Upstream
from money_books import PATIENCE_SECONDS, StartToll, settled

PRICE = {"input": "0.15", "output": "0.60"}
QUICK = "slow?ttft=0.2&interval=0&tokens=1&cost=0.0001"
FIVE = [{"usd": 5, "per": "month"}]


def body(model: str = "m", **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}


def served(answers: list[Answer]) -> Counter[int]:
    assert all(answer.whole for answer in answers)
    return Counter(answer.status for answer in answers)


@pytest.mark.parametrize("target", [f"known/{QUICK}", f"openrouter/mock/{QUICK}"], ids=["known", "unknown"])
@pytest.mark.parametrize("number", [3, 10, 30])
def test_all_calls_go_while_money_is_there_and_none_is_changed(
    start_toll: StartToll, mock: Mock, number: int, target: str
) -> None:
    daemon = start_toll(
        alice={"budgets": FIVE},
        providers={"openrouter": mock.provider(), "known": mock.provider("mock")},
        models={"m": {"target": target, "price": PRICE}},
        budget_policy={"wait": 0},
    )
    answers = crowd(daemon, [body(stream=bool(n % 2)) for n in range(number)])
    assert served(answers) == {200: number}
    assert {answer.header("x-tollkeeper-adjusted") for answer in answers} == {""}
    books = settled(daemon)
    assert books.cost == mock.billed() == number * Decimal("0.0001")


@pytest.mark.parametrize("number", [3, 10, 30])
def test_near_its_end_a_budget_serves_them_in_turn(start_toll: StartToll, mock: Mock, number: int) -> None:
    # an answer of 4,096 tokens costs $0.0025: four at once fit into what is left
    daemon = start_toll(
        alice={"budgets": [{"usd": 0.0125, "per": "month"}]},
        providers={"known": mock.provider("mock")},
        models={"m": {"target": f"known/{QUICK}", "price": PRICE}},
        budget_policy={"wait": 60},
    )
    answers = crowd(daemon, [body() for _ in range(number)])
    assert served(answers) == {200: number}
    adjusted = {answer.header("x-tollkeeper-adjusted") for answer in answers}
    assert all(text.startswith("max_tokens=") and 4_096 <= int(text[11:]) < 16_384 for text in adjusted)
    books = settled(daemon)
    assert books.cost == mock.billed() == number * Decimal("0.0001")


def until_waiting(daemon: Daemon, number: int) -> None:
    """Come back when so many calls stand in line."""
    until = time.monotonic() + PATIENCE_SECONDS
    host = f"127.0.0.1:{daemon.admin_port}"
    while True:
        with Connection(daemon.admin_port) as connection:
            connection.send(request_bytes("GET", "/calls", (), None, host))
            live = connection.read_reply("GET").json
        if [call["phase"] for call in live["calls"]].count("waiting") == number:
            return
        assert time.monotonic() < until, live
        time.sleep(0.05)


def _config(usd: float, wait: float) -> dict[str, Any]:
    keys = {name: {"key": key} for name, key in (("alice", CLIENT_KEY), ("bob", "sk-bob-canary"))}
    return {
        "keys": keys,
        "budgets": [{"usd": usd, "per": "month"}],
        "models": {"m": {"target": "openrouter/house/model", "price": {"input": 0, "output": 1000}}},
        "budget_policy": {"wait": wait},
        "retries": {"attempts": 1},
    }


def test_keys_take_turns_and_each_is_served_in_its_order(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**_config(1, 60))
    gates = [upstream.gate() for _ in range(6)]
    replies: list[Script] = [then(wait_at(gate), json_reply(chat_reply(usage={"cost": 0.0001}))) for gate in gates]
    upstream.expect(*replies)
    bob = [("Authorization", "Bearer sk-bob-canary")]
    order: list[tuple[str, list[tuple[str, str]]]] = [("first", []), ("a2", []), ("a3", []), ("a4", []), ("b1", bob)]
    with ExitStack() as stack:
        calls = []
        for number, (name, headers) in enumerate(order):
            calls.append(stack.enter_context(daemon.open_chat("m", headers, max_tokens=900, user=name)))
            if number == 0:
                upstream.wait_for_calls(1)
            else:
                until_waiting(daemon, number)
        for number, gate in enumerate(gates[:5], 1):
            assert len(upstream.wait_for_calls(number)) == number
            gate.open()
        assert [call.read_reply().status for call in calls] == [200] * 5
    assert [call.json["user"] for call in upstream.calls] == ["first", "a2", "b1", "a3", "a4"]


def test_a_key_that_holds_its_share_is_told_so_while_others_go_on(start_daemon: StartToll, upstream: Upstream) -> None:
    config = _config(1, 0)
    daemon = start_daemon(**{**config, "budgets": [{"usd": 1, "per": "month", "share": 0.5}]})
    gate = upstream.gate()
    upstream.expect(*[then(wait_at(gate), json_reply(chat_reply(usage={"cost": 0.0001})))] * 2)
    with daemon.open_chat("m", max_tokens=300) as first:
        upstream.wait_for_calls(1)
        refused = daemon.chat("m", max_tokens=300)
        with daemon.open_chat("m", [("Authorization", "Bearer sk-bob-canary")], max_tokens=300) as others:
            upstream.wait_for_calls(2)
            gate.open()
            assert [first.read_reply().status, others.read_reply().status] == [200, 200]
    assert (refused.status, refused.error["code"]) == (429, "budget_in_flight")
    assert "the share (0.5) of it that one key may hold at once" in refused.error["message"]


def test_a_line_is_no_longer_than_the_clients_own_patience(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**_config(1, 600))
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())))
    with daemon.open_chat("m", max_tokens=900) as first:
        upstream.wait_for_calls(1)
        reply = daemon.chat("m", [("x-stainless-read-timeout", "1")], max_tokens=900, stream=True)
        assert (reply.status, reply.error["code"]) == (429, "budget_in_flight")
        assert reply.header("retry-after-ms") is not None
        gate.open()
        assert first.read_reply().status == 200
    assert len(upstream.calls) == 1
