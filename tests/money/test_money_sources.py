"""Where the cost of a call is known from, per endpoint; and what a provider that lies about it achieves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import DONE, anthropic_stream, chat_chunk, chat_reply, chat_stream, usage_chunk
from harness.http import Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import Script, json_reply, plain_reply, reset, sse, then
from harness.upstream import Upstream
from money_books import USD, books_of, eventually

from proxy.stores.records import Row

BOUND_KEY = "sk-bob-canary"
PRICE = {"input": 1000, "output": 2000}
TOKENS = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
COMPUTED = Decimal("0.019")
HOLD = Decimal(200)  # 100,000 output tokens and more
ANSWER = {"model": "m", "data": [], "object": "list"}


@pytest.fixture(scope="module")
def toll(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a key of no budget, and one of a large budget."""
    targets = {"chat": "openrouter/house/model", "direct": "oai/house-model", "claude": "anthropic/house-model"}
    members = {
        "keys": {"alice": {"key": CLIENT_KEY}, "bob": {"key": BOUND_KEY, "budgets": [{"usd": 9000, "per": "total"}]}},
        "models": {name: {"target": target, "price": PRICE} for name, target in targets.items()},
        "retries": {"attempts": 1},
    }
    with Daemon(config_for(upstream_server, **members), tmp_path_factory.mktemp("toll"), key=CLIENT_KEY) as running:
        yield running


@pytest.fixture
def calls(toll: Daemon, upstream: Upstream) -> Calls:
    return Calls(toll, upstream)


class Calls:
    """Makes calls and reads what the books say of them."""

    def __init__(self, toll: Daemon, upstream: Upstream) -> None:
        self.toll = toll
        self.upstream = upstream

    def post(self, script: Script, path: str, body: dict[str, Any], *headers: tuple[str, str]) -> Reply:
        self.upstream.expect(script)
        return self.toll.post(f"/v1/{path}", body, headers)

    def chat(self, script: Script, model: str = "chat", **members: Any) -> Row:
        self.upstream.expect(script)
        return self.row(self.toll.chat(model, max_tokens=100_000, **members))

    def row(self, reply: Reply) -> Row:
        """The one attempt of a call, once it is settled."""
        (row,) = eventually(self.toll, lambda books: bool(books.of(reply.request_id))).of(reply.request_id)
        return row

    def doubts(self, row: Row) -> list[str]:
        """The anomalies told of an attempt, which come before the call's own line."""
        self.toll.wait_for_log(lambda line: line.get("request_id") == row.request_id)
        lines = (line for line in self.toll.log_lines() if line.get("event") == "cost_anomaly")
        return [line["reason"].split(" ")[0] for line in lines if row.id in line["reason"]]


def usd(row: Row) -> Decimal:
    return Decimal(row.cost_pusd) / USD


def reported(cost: str) -> bytes:
    """A body of which the provider says what it costs."""
    usage = b'{"prompt_tokens": 11, "completion_tokens": 4, "input_tokens": 11, "output_tokens": 4, "cost": %s}'
    return (
        json.dumps({**chat_reply(usage={}), "data": [], "content": [{"type": "text", "text": "x"}]})
        .encode()
        .replace(b'"usage": {}', b'"usage": ' + usage % cost.encode())
    )


ENDPOINTS = [
    ("chat/completions", {"messages": []}),
    ("completions", {"prompt": "hi"}),
    ("responses", {"input": "hi"}),
    ("messages", {"messages": [], "max_tokens": 9}),
    ("embeddings", {"input": "hi"}),
    ("rerank", {"query": "q", "documents": ["d"]}),
    ("images/generations", {"prompt": "a cat"}),
    ("moderations", {"input": "hi"}),
]


@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
def test_what_the_provider_reports_comes_first(calls: Calls, path: str, body: dict[str, Any]) -> None:
    reply = calls.post(json_reply(reported("0.0123456789015")), path, {"model": "chat", **body})
    row = calls.row(reply)
    assert (row.source, row.cost_pusd) == ("reported", 12_345_678_902)
    assert reply.header("x-tollkeeper-cost-usd") == "0.012345678902"


@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
def test_tokens_times_price_come_second(calls: Calls, path: str, body: dict[str, Any]) -> None:
    row = calls.row(calls.post(json_reply(reported("null")), path, {"model": "direct", **body}))
    assert (row.source, usd(row)) == ("computed", COMPUTED)
    assert (row.input_tokens, row.output_tokens) == (11, 4)


def test_a_messages_stream_is_computed_from_its_two_usages(calls: Calls) -> None:
    body = {"model": "claude", "messages": [], "max_tokens": 9, "stream": True}
    row = calls.row(calls.post(sse(anthropic_stream()), "messages", body, ("anthropic-version", "2023-06-01")))
    # 14 tokens in (3 of them from a cache without a price of its own), 4 out
    assert (row.source, usd(row)) == ("computed", Decimal("0.022"))


def test_streamed_tokens_are_counted_where_there_is_no_usage(calls: Calls) -> None:
    row = calls.chat(sse(chat_stream(text="word " * 100)), "direct", stream=True)
    assert row.source == "counted"
    assert Decimal("0.1") < usd(row) < Decimal("1.5")


def test_the_hold_is_what_is_left_where_nothing_is_known(calls: Calls) -> None:
    answer = chat_reply()
    del answer["usage"]
    row = calls.chat(json_reply(answer), "direct")
    assert row.source == "held"
    assert row.cost_pusd == row.hold_pusd >= HOLD * USD


def test_an_answer_that_breaks_off_unheard_costs_the_hold(calls: Calls) -> None:
    row = calls.chat(then(reset), "direct")
    assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)


def test_a_binary_answer_is_looked_up(calls: Calls) -> None:
    sound = plain_reply(b"\x01" * 999, headers=[("Content-Type", "audio/mpeg"), ("X-Generation-Id", "gen-sound")])
    reply = calls.post(sound, "audio/speech", {"model": "openai/gpt-4o-mini-tts", "input": "hi", "voice": "alloy"})
    row = calls.row(reply)
    assert (row.source, usd(row)) == ("looked_up", Decimal("0.0125"))


def test_a_cut_stream_of_openrouter_is_looked_up(calls: Calls) -> None:
    broken = sse(chat_chunk("He"), end=False, headers=[("X-Generation-Id", "gen-cut")])
    row = calls.chat(then(broken, reset), stream=True)
    assert (row.source, usd(row)) == ("looked_up", Decimal("0.0125"))


def test_a_model_without_a_price_is_unknown_for_a_key_without_a_budget(calls: Calls) -> None:
    row = calls.chat(json_reply(chat_reply(usage=TOKENS)), "oai/nobody-knows")
    assert (row.source, row.cost_pusd, row.input_tokens) == ("unknown", 0, 11)


def test_its_cost_is_still_what_the_provider_reports(calls: Calls) -> None:
    row = calls.chat(json_reply(reported("0.5")), "openrouter/nobody/knows")
    assert (row.source, usd(row)) == ("reported", Decimal("0.5"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"model": "oai/nobody-knows", "messages": []}),
        ("videos", {"model": "direct", "prompt": "a cat"}),
        ("batches", {"input_file_id": "file-1"}),
        ("fine_tuning/jobs", {"model": "direct"}),
        ("nobody/knows/this", {"model": "direct"}),
    ],
)
def test_what_cannot_be_bounded_is_refused_under_a_budget_and_passes_without(
    calls: Calls, path: str, body: dict[str, Any]
) -> None:
    refused = calls.toll.post(f"/v1/{path}", body, [("Authorization", f"Bearer {BOUND_KEY}")])
    assert (refused.status, refused.error["code"]) == (402, "model_not_priced")
    assert calls.upstream.calls == []
    assert calls.post(json_reply(ANSWER), path, body).status == 200
    assert len(calls.upstream.calls) == 1


def test_a_free_provider_costs_nothing_under_a_budget(calls: Calls) -> None:
    headers = ("Authorization", f"Bearer {BOUND_KEY}")
    reply = calls.post(
        json_reply(chat_reply(usage=TOKENS)), "chat/completions", {"model": "local/x", "messages": []}, headers
    )
    assert reply.status == 200
    assert calls.row(reply).cost_pusd == 0


def test_byok_pays_the_provider_beside_the_fee(calls: Calls) -> None:
    usage = {**TOKENS, "cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}
    row = calls.chat(json_reply(chat_reply(usage=usage)))
    assert (row.source, usd(row)) == ("reported", Decimal("0.021"))


LIES_OF_COST = [
    ("-1", "computed", COMPUTED, "negative"),
    ("-0.0000001", "computed", COMPUTED, "negative"),
    ('"12"', "computed", COMPUTED, "not_a_number"),
    ("true", "computed", COMPUTED, "not_a_number"),
    ("[1]", "computed", COMPUTED, "not_a_number"),
    ("NaN", "computed", COMPUTED, "not_a_number"),
    ("Infinity", "computed", COMPUTED, "not_a_number"),
    ("-Infinity", "computed", COMPUTED, "not_a_number"),
    ("1e308", "computed", COMPUTED, "absurd"),
    ("null", "computed", COMPUTED, None),
    ("0", "reported", Decimal(0), None),
    ("0.0", "reported", Decimal(0), None),
    ("1e-9", "reported", Decimal("1e-9"), None),
]


@pytest.mark.parametrize(("cost", "source", "expected", "doubt"), LIES_OF_COST)
@pytest.mark.parametrize("stream", [False, True])
def test_a_cost_that_cannot_be_is_passed_over(
    calls: Calls, cost: str, source: str, expected: Decimal, doubt: str | None, stream: bool
) -> None:
    usage = b'{"prompt_tokens": 11, "completion_tokens": 4, "cost": %s}' % cost.encode()
    last = usage_chunk("USAGE").replace(b'"USAGE"', usage)
    row = calls.chat(sse(chat_stream(last)) if stream else json_reply(reported(cost)), stream=stream)
    assert (row.source, usd(row)) == (source, expected)
    assert calls.doubts(row) == ([doubt] if doubt else [])


LIES_OF_TOKENS = ["-4", '"4"', "1e308", "-1e308", "NaN", "true", "{}"]


@pytest.mark.parametrize("count", LIES_OF_TOKENS)
@pytest.mark.parametrize("member", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_count_that_cannot_be_is_no_zero(calls: Calls, member: str, count: str, stream: bool) -> None:
    usage = json.dumps({**TOKENS, member: "LIE"}).encode().replace(b'"LIE"', count.encode())
    whole = json.dumps(chat_reply(usage="USAGE")).encode().replace(b'"USAGE"', usage)
    last = usage_chunk("USAGE").replace(b'"USAGE"', usage)
    row = calls.chat(sse(chat_stream(last)) if stream else json_reply(whole), "direct", stream=stream)
    assert row.source == ("counted" if stream else "held")
    assert calls.doubts(row)


@pytest.mark.parametrize("usage", ["null", "{}", '"lies"', "[]", "7"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_usage_that_is_none_is_like_a_missing_one(calls: Calls, usage: str, stream: bool) -> None:
    whole = json.dumps(chat_reply(usage="USAGE")).encode().replace(b'"USAGE"', usage.encode())
    last = usage_chunk("USAGE").replace(b'"USAGE"', usage.encode())
    row = calls.chat(sse(chat_stream(last)) if stream else json_reply(whole), "direct", stream=stream)
    assert row.source == ("counted" if stream else "held")
    assert row.cost_pusd > 0


def test_usage_told_twice_counts_once_and_the_last_wins(calls: Calls) -> None:
    twice = usage_chunk({**TOKENS, "cost": 1}) + usage_chunk({**TOKENS, "cost": 0.5})
    row = calls.chat(sse(chat_stream(twice)), stream=True)
    assert (row.source, usd(row)) == ("reported", Decimal("0.5"))


def test_running_totals_are_not_added_up(calls: Calls) -> None:
    running = b"".join(chat_chunk("x", usage={**TOKENS, "completion_tokens": n, "cost": n / 100}) for n in range(1, 5))
    row = calls.chat(sse(running + chat_chunk(finish="stop") + DONE), stream=True)
    assert (row.source, usd(row), row.output_tokens) == ("reported", Decimal("0.04"), 4)


def test_a_price_above_the_hold_is_booked_in_full_and_told(calls: Calls) -> None:
    headers = ("Authorization", f"Bearer {BOUND_KEY}")
    body = {"model": "chat", "messages": [], "max_tokens": 10}
    before = books_of(calls.toll).spent_by("key:bob/total")
    reply = calls.post(json_reply(reported("3")), "chat/completions", body, headers)
    row = calls.row(reply)
    assert (row.source, usd(row)) == ("reported", Decimal(3))
    assert row.hold_pusd < row.cost_pusd
    assert calls.doubts(row) == ["over_hold"]
    spent = [amount for (name, _), amount in books_of(calls.toll).spent.items() if "bob" in name]
    assert sum(spent) >= 3 * USD
    assert before >= 0


def test_an_error_inside_a_success_without_usage_costs_nothing(calls: Calls) -> None:
    row = calls.chat(json_reply({"error": {"message": "It broke.", "code": 502}, "choices": []}))
    assert (row.source, row.cost_pusd) == ("none", 0)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_of_the_provider_costs_nothing(calls: Calls, status: int) -> None:
    row = calls.chat(json_reply({"error": {"message": "No.", "code": status}}, status))
    assert (row.source, row.cost_pusd, row.status) == ("none", 0, status)
