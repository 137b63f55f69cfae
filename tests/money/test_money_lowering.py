"""What becomes of a call that does not fit: its maximum is lowered, it waits for others, or it is told why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from harness.daemon import Daemon
from harness.events import chat_reply, chat_stream, responses_stream, usage_chunk
from harness.mock import Mock
from harness.setting import CLIENT_KEY, UPSTREAM_KEY, config_for
from harness.steps import json_reply, sse, then, wait_at
from harness.upstream import Upstream
from money_books import KEY, StartToll, ask, books_of, eventually, priced

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
LEAST_TOKENS = 256
USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [], "usage": USAGE}


def under(upstream: Upstream, usd: float, **more: Any) -> dict[str, Any]:
    """A configuration whose client key has so much a month, at $1 a thousand output tokens."""
    targets = {
        "chat": "openrouter/house/model",
        "direct": "oai/model",
        "claude": "anthropic/house",
        "own": "openai/own",
    }
    usual = config_for(upstream)["providers"]
    return {
        "providers": {**usual, "openai": {**usual["oai"], "max_tokens_field": None}},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": usd, "per": "month"}]}},
        "models": {alias: priced(target, 1000) for alias, target in targets.items()},
        "routes": [{"match": "openai/own", "provider": "openai"}],
        "retries": {"attempts": 1},
        "budget_policy": {"wait": 0},
        **more,
    }


CASES = [
    ("/v1/chat/completions", {"model": "chat", "messages": HELLO}, "max_tokens"),
    ("/v1/chat/completions", {"model": "direct", "messages": HELLO}, "max_tokens"),
    ("/v1/chat/completions", {"model": "own", "messages": HELLO}, "max_completion_tokens"),
    ("/v1/chat/completions", {"model": "chat", "messages": HELLO, "max_tokens": None}, "max_tokens"),
    ("/v1/completions", {"model": "direct", "prompt": "hi"}, "max_tokens"),
    ("/v1/responses", {"model": "direct", "input": "hi"}, "max_output_tokens"),
    ("/v1/responses", {"model": "chat", "input": "hi"}, "max_output_tokens"),
]


@pytest.mark.parametrize(("path", "body", "field"), CASES)
@pytest.mark.parametrize("stream", [False, True])
def test_the_maximum_is_lowered_to_what_the_budget_leaves_and_the_header_says_so(
    start_daemon: StartToll, upstream: Upstream, path: str, body: dict[str, Any], field: str, stream: bool
) -> None:
    daemon = start_daemon(**under(upstream, 0.5))
    usage = {"prompt_tokens": 1, "completion_tokens": 500, "total_tokens": 501, "cost": 0.5}
    events = responses_stream() if path.endswith("responses") else chat_stream(usage_chunk(usage))
    upstream.expect(sse(events) if stream else json_reply(chat_reply(usage=usage)))
    reply = daemon.post(path, {**body, "stream": stream})
    assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, f"{field}=500")
    assert upstream.call.json[field] == 500


def test_a_maximum_of_the_clients_own_is_never_touched(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, 0.5))
    reply = daemon.chat("chat", max_tokens=501)
    assert (reply.status, reply.error["code"]) == (402, "budget_exceeded")
    assert upstream.calls == []
    upstream.expect(json_reply(chat_reply()))
    fits = daemon.chat("chat", max_tokens=500)
    assert (fits.status, fits.header("x-tollkeeper-adjusted")) == (200, None)
    assert upstream.call.json["max_tokens"] == 500


def test_fewer_than_256_tokens_are_no_answer(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, (LEAST_TOKENS - 1) / 1000))
    reply = daemon.chat("chat")
    assert (reply.status, reply.error["code"], reply.header("x-should-retry")) == (402, "budget_exceeded", "false")
    message = reply.error["message"]
    assert "this key's budget per month" in message
    assert "$0.255" in message
    assert "UTC" in message
    assert upstream.calls == []
    enough = start_daemon(**under(upstream, LEAST_TOKENS / 1000))
    upstream.expect(json_reply(chat_reply()))
    assert enough.chat("chat").header("x-tollkeeper-adjusted") == f"max_tokens={LEAST_TOKENS}"


def test_a_budget_of_everything_together_is_named_as_that(start_daemon: StartToll, upstream: Upstream) -> None:
    members = under(upstream, 5) | {"budgets": [{"usd": 0.1, "per": "total"}]}
    reply = start_daemon(**members).chat("chat", max_tokens=101)
    assert reply.status == 402
    assert "the budget of everything together" in reply.error["message"]
    assert "never starts anew" in reply.error["message"]


def test_a_refusal_on_messages_speaks_anthropics_language(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, 0.1))
    body = {"model": "claude", "messages": HELLO, "max_tokens": 101}
    reply = daemon.post("/v1/messages", body, [("anthropic-version", "2023-06-01")])
    assert (reply.status, reply.json["type"]) == (402, "error")
    assert "this key's budget" in reply.error["message"]


def test_holds_in_the_way_are_waited_for_then_refused_for_now(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, 1, budget_policy={"wait": 0.3}))
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())))
    with daemon.open_chat("chat", max_tokens=600) as first:
        upstream.wait_for_calls(1)
        began = time.monotonic()
        reply = daemon.chat("chat", max_tokens=600)
        waited = time.monotonic() - began
        gate.open()
        assert first.read_reply().status == 200
    assert (reply.status, reply.error["code"]) == (429, "budget_in_flight")
    assert waited >= 0.299, "timers go by whole milliseconds"
    assert float(reply.header("retry-after") or 0) >= 1
    assert float(reply.header("retry-after-ms") or 0) > 0


def test_a_waiter_goes_on_as_soon_as_another_call_settles_below_its_hold(
    start_daemon: StartToll, upstream: Upstream
) -> None:
    daemon = start_daemon(**under(upstream, 1, budget_policy={"wait": 300}))
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())), json_reply(chat_reply()))
    with daemon.open_chat("chat", max_tokens=600) as first, daemon.open_chat("chat", max_tokens=600) as second:
        upstream.wait_for_calls(1)
        gate.open()
        assert {first.read_reply().status, second.read_reply().status} == {200}
    assert len(upstream.calls) == 2


def test_a_client_that_leaves_while_it_waits_is_never_sent(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, 1, budget_policy={"wait": 300}))
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())), json_reply(chat_reply()))
    with daemon.open_chat("chat", max_tokens=600) as first:
        upstream.wait_for_calls(1)
        daemon.open_chat("chat", max_tokens=600).leave()
        daemon.wait_for_log(lambda line: line.get("client_left") is not None)
        gate.open()
        assert first.read_reply().status == 200
    assert daemon.chat("chat", max_tokens=600).status == 200
    assert len(upstream.calls) == 2


@pytest.fixture
def sdk_daemon(start_toll: StartToll) -> Iterator[tuple[Daemon, openai.OpenAI]]:
    daemon = start_toll(
        alice={"budgets": [{"usd": 0.04, "per": "month"}]},
        models={"m": priced("openrouter/mock/slow?ttft=0.6&interval=0&tokens=1&cost=0.0001"), "big": priced("x/y")},
    )
    with openai.OpenAI(base_url=daemon.url, api_key=KEY, max_retries=4) as client:
        yield daemon, client


def test_the_sdk_asks_once_where_the_budget_is_spent(sdk_daemon: tuple[Daemon, openai.OpenAI]) -> None:
    daemon, client = sdk_daemon
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=HELLO, max_tokens=1000)
    assert caught.value.status_code == 402
    daemon.wait_for_log(lambda line: line.get("error") == "budget_exceeded")
    assert len([line for line in daemon.log_lines() if line.get("event") == "call"]) == 1


def test_the_sdk_waits_by_itself_where_holds_are_in_the_way(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**under(upstream, 1))
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())), json_reply(chat_reply("now")))

    def call() -> str | None:
        with openai.OpenAI(base_url=daemon.url, api_key=CLIENT_KEY, max_retries=30) as client:
            return (
                client.chat.completions.create(model="chat", messages=HELLO, max_tokens=600).choices[0].message.content
            )

    with daemon.open_chat("chat", max_tokens=600) as first, ThreadPoolExecutor(1) as pool:
        upstream.wait_for_calls(1)
        second = pool.submit(call)
        daemon.wait_for_log(lambda line: line.get("error") == "budget_in_flight")
        gate.open()
        assert (first.read_reply().status, second.result()) == (200, "now")
    assert {row.error for row in eventually(daemon, lambda books: bool(books.refused)).refused} == {"budget_in_flight"}


def test_what_a_retry_takes_after_a_failed_one_is_a_new_hold(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [{"usd": 0.03, "per": "month"}]},
        models={"m": priced("first/error?status=503&times=2&cost=0.03&tokens=1")},
        providers={"first": mock.provider("mock")},
        retries={"attempts": 3, "first_wait": 0.01},
    )
    reply = daemon.post("/v1/chat/completions", ask("m"))
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (200, "3")
    assert reply.header("x-tollkeeper-cost-usd") == "0.030000000000"
    rows = books_of(daemon).of(reply.request_id)
    assert [(row.attempt, row.source, row.hold_pusd, row.cost_pusd) for row in rows] == [
        (1, "none", 30_000_000_000, 0),
        (2, "none", 30_000_000_000, 0),
        (3, "reported", 30_000_000_000, 30_000_000_000),
    ]
    assert [row.counts_call for row in rows].count(True) == 1


def test_where_the_next_hold_does_not_fit_the_first_error_is_told(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [{"usd": 0.01, "per": "month"}]},
        models={"m": {**priced("first/error?status=503&message=the-first-error", 1), "fallbacks": ["second/echo"]}},
        providers={"first": mock.provider("mock"), "second": mock.provider("mock")},
    )
    reply = daemon.post("/v1/chat/completions", ask("m", max_tokens=9_000))
    assert "the-first-error" in reply.error["message"]
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (503, "1")


def test_a_fallback_that_is_an_alias_has_that_aliass_price(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [{"usd": 1, "per": "month"}]},
        models={
            "m": {**priced("first/error?status=503"), "fallbacks": ["other"]},
            "other": priced("second/echo?tokens=1&cost=0.01", 600),
        },
        providers={"first": mock.provider("mock"), "second": mock.provider("mock")},
    )
    reply = daemon.post("/v1/chat/completions", ask("m"))
    assert reply.status == 200
    assert [row.hold_pusd for row in books_of(daemon).of(reply.request_id)] == [30_000_000_000, 60_000_000_000]


def test_no_secret_of_ours_is_in_a_refusal(start_daemon: StartToll, upstream: Upstream) -> None:
    reply = start_daemon(**under(upstream, 0.1)).chat("chat", max_tokens=5000)
    assert UPSTREAM_KEY.encode() not in reply.raw
    assert CLIENT_KEY.encode() not in reply.raw


@pytest.mark.parametrize("asked", [10, 10.0, "10"])
def test_the_maximum_of_a_translated_call_is_the_one_that_was_held(
    start_daemon: StartToll, upstream: Upstream, asked: Any
) -> None:
    members = under(upstream, 0.02)
    members["providers"]["anthropic"]["speaks"] = ["messages"]
    members["routes"].append({"match": "anthropic/*", "provider": "anthropic"})
    upstream.expect(json_reply(MESSAGE))
    assert start_daemon(**members).chat("claude", max_tokens=asked).status == 200
    assert upstream.call.json["max_tokens"] == 10


@pytest.mark.parametrize(("usd", "status"), [(0.02, 200), (0.01, 402)])
def test_where_a_protocol_asks_for_sixteen_tokens_they_are_held(
    start_daemon: StartToll, upstream: Upstream, usd: float, status: int
) -> None:
    members = under(upstream, usd)
    members["providers"]["oai"]["speaks"] = ["responses"]
    upstream.expect(json_reply(RESPONSE))
    assert start_daemon(**members).chat("direct", max_tokens=1).status == status
    assert [call.json["max_output_tokens"] for call in upstream.calls] == ([16] if status == 200 else [])
