"""Where the cost of a call is known from, per endpoint."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from harness.events import DONE, anthropic_stream, chat_chunk, chat_reply, chat_stream, event, usage_chunk
from harness.steps import json_reply, plain_reply, reset, sse, sse_apart, then
from money_books import USD, books_of, eventually
from money_calls import BOUND_KEY, COMPUTED, TOKENS, Calls, usd

HOLD = Decimal(200)  # 100,000 output tokens and more
ANSWER = {"model": "m", "data": [], "object": "list"}


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
]


@pytest.mark.parametrize(("path", "body"), [*ENDPOINTS, ("images", {"prompt": "a cat"})])
def test_what_the_provider_reports_comes_first(calls: Calls, path: str, body: dict[str, Any]) -> None:
    reply = calls.post(json_reply(reported("0.0123456789015")), path, {"model": "chat", **body})
    row = calls.row(reply)
    assert (row.source, row.cost_pusd) == ("reported", 12_345_678_902)
    assert reply.header("x-tollkeeper-cost-usd") == "0.012345678902"


@pytest.mark.parametrize(("path", "body"), [*ENDPOINTS, ("images/generations", {"prompt": "a cat"})])
def test_tokens_times_price_come_second(calls: Calls, path: str, body: dict[str, Any]) -> None:
    row = calls.row(calls.post(json_reply(reported("null")), path, {"model": "direct", **body}))
    assert (row.source, usd(row)) == ("computed", COMPUTED)
    assert (row.input_tokens, row.output_tokens) == (11, 4)


def test_a_messages_stream_is_computed_from_its_two_usages(calls: Calls) -> None:
    body = {"model": "claude", "messages": [], "max_tokens": 9, "stream": True}
    row = calls.row(calls.post(sse(anthropic_stream()), "messages", body, ("anthropic-version", "2023-06-01")))
    # 14 tokens in (3 of them from a cache without a price of its own), 4 out
    assert (row.source, usd(row)) == ("computed", Decimal("0.022"))


COUNTED = 120
ALLOWED = [
    ({}, COUNTED),
    ({"max_tokens": 100}, 100),
    ({"max_tokens": 50, "n": 2}, 100),
    ({"max_tokens": 200}, COUNTED),
    ({"max_tokens": 60}, COUNTED),
]


@pytest.mark.parametrize(("members", "tokens"), ALLOWED)
def test_no_more_is_counted_than_the_request_allowed(calls: Calls, members: dict[str, int], tokens: int) -> None:
    """Counts are estimates: long words are several tokens to us, and may be one to the model. What is half as much again
    is no error of ours, but a provider that heeds no limit."""
    stream = b"".join([*[chat_chunk(" internationalisation")] * 20, chat_chunk(finish="stop"), DONE])  # 6 each to us
    reply = calls.post(sse(stream), "chat/completions", {"model": "direct", "messages": [], "stream": True, **members})
    row = calls.row(reply)
    assert (row.source, row.output_tokens) == ("counted", tokens)


def test_streamed_tokens_are_counted_where_there_is_no_usage(calls: Calls) -> None:
    row = calls.chat(sse(chat_stream(text="word " * 100)), "direct", stream=True)
    assert row.source == "counted"
    assert Decimal("0.1") < usd(row) < Decimal("1.5")


@pytest.mark.parametrize("apart", [True, False])
def test_a_messages_stream_that_ends_in_an_error_is_counted_as_far_as_it_came(calls: Calls, apart: bool) -> None:
    begun = anthropic_stream(text="word " * 100).partition(b"event: content_block_stop")[0]
    error = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    body = {"model": "claude", "messages": [], "max_tokens": 900, "stream": True}
    reply = calls.post(sse_apart([begun, error] if apart else [begun + error]), "messages", body)
    assert (reply.status, reply.body) == (200, begun + error)
    row = calls.row(reply)
    # 14 tokens in, and 500 bytes out; not the one token that the stream's first event tells
    assert (row.source, row.output_tokens, usd(row)) == ("counted", 125, Decimal("0.264"))


def test_the_hold_is_what_is_left_where_nothing_is_known(calls: Calls) -> None:
    answer = chat_reply()
    del answer["usage"]
    row = calls.chat(json_reply(answer), "direct")
    assert row.source == "held"
    assert row.cost_pusd == row.hold_pusd >= HOLD * USD


def test_an_answer_that_breaks_off_unheard_costs_the_hold(calls: Calls) -> None:
    calls.upstream.hang_up()
    row = calls.chat(then(reset), "direct")
    assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)


def test_a_connection_that_was_closed_as_a_call_went_out_costs_nothing(calls: Calls) -> None:
    calls.chat(json_reply(chat_reply(usage=TOKENS)), "direct")
    calls.upstream.expect(then(reset), json_reply(chat_reply(usage=TOKENS)))
    reply = calls.toll.chat("direct", max_tokens=100_000)
    rows = eventually(calls.toll, lambda books: len(books.of(reply.request_id)) == 2).of(reply.request_id)
    assert [(row.outcome, row.source, row.cost_pusd > 0) for row in rows] == [
        ("stale_connection", "none", False),
        ("200", "computed", True),
    ]


def test_a_binary_answer_is_looked_up(calls: Calls) -> None:
    sound = plain_reply(b"\x01" * 999, headers=[("Content-Type", "audio/mpeg"), ("X-Generation-Id", "gen-sound")])
    reply = calls.post(sound, "audio/speech", {"model": "openai/gpt-4o-mini-tts", "input": "hi", "voice": "alloy"})
    row = calls.row(reply)
    assert (row.source, usd(row)) == ("looked_up", Decimal("0.0125"))


@pytest.mark.parametrize(
    ("told", "due"),
    [
        ({"duration": 25.933313}, ("computed", Decimal("0.0026"))),
        ({"duration": 25.933313, "usage": {"type": "duration", "seconds": 30}}, ("computed", Decimal("0.003"))),
        ({"duration": -1}, None),
        ({}, None),
    ],
)
def test_a_transcript_costs_as_long_as_it_says_it_was(
    calls: Calls, told: dict[str, Any], due: tuple[str, Decimal] | None
) -> None:
    body = {"model": "openai/whisper-1", "input_audio": {"data": "A" * 50_000, "format": "wav"}}
    row = calls.row(calls.post(json_reply({"text": "hi", **told}), "audio/transcriptions", body))
    assert (row.source, usd(row)) == (due or ("held", Decimal(row.hold_pusd) / USD))


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
    assert "budget_policy: {unpriced: allow}" in refused.error["message"]
    if path != "chat/completions":
        assert "price" not in refused.error["message"].replace("unpriced", "")
        named = "this method and path" if path.startswith("nobody") else f"'{path.partition('/')[0]}'"
        assert named in refused.error["message"]
    assert calls.upstream.calls == []
    assert calls.post(json_reply(ANSWER), path, body).status == 200
    assert len(calls.upstream.calls) == 1


@pytest.mark.parametrize("path", ["videos", "nobody/knows/this"])
@pytest.mark.parametrize(("usage", "source", "cost"), [({"cost": 0.5}, "reported", "0.5"), ({}, "unknown", "0")])
def test_what_no_row_bounds_is_booked_from_whatever_its_reply_tells(
    calls: Calls, path: str, usage: dict[str, Any], source: str, cost: str
) -> None:
    told = {"id": "video_1", "status": "queued", "usage": {**TOKENS, **usage}}
    row = calls.row(calls.post(json_reply(told), path, {"prompt": "a cat"}))
    assert (row.source, usd(row), row.input_tokens) == (source, Decimal(cost), 11)


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


def test_a_price_above_the_hold_is_booked_in_full_and_told(calls: Calls) -> None:
    headers = ("Authorization", f"Bearer {BOUND_KEY}")
    body = {"model": "chat", "messages": [], "max_tokens": 10}
    before = books_of(calls.toll).spent_by("key:bob:total")
    reply = calls.post(json_reply(reported("3")), "chat/completions", body, headers)
    row = calls.row(reply)
    assert (row.source, usd(row)) == ("reported", Decimal(3))
    assert row.hold_pusd < row.cost_pusd
    assert calls.doubts(row) == ["over_hold"]
    assert books_of(calls.toll).spent_by("key:bob:total") - before == 3


def test_an_error_inside_a_success_without_usage_costs_nothing(calls: Calls) -> None:
    row = calls.chat(json_reply({"error": {"message": "It broke.", "code": 502}, "choices": []}))
    assert (row.source, row.cost_pusd) == ("none", 0)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_of_the_provider_costs_nothing(calls: Calls, status: int) -> None:
    row = calls.chat(json_reply({"error": {"message": "No.", "code": status}}, status))
    assert (row.source, row.cost_pusd, row.status) == ("none", 0, status)


TIERS = [
    ("default", "0.0000044", "0.0000064"),
    ("priority", "0.0000077", "0.0000112"),
    ("scale", "0.0000044", "0.0000064"),
    (None, "0.0000044", "0.0000064"),
]


@pytest.mark.parametrize(("tier", "read", "written"), TIERS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_the_price_is_that_of_the_tier_the_reply_names(
    calls: Calls, path: str, stream: bool, tier: str | None, read: str, written: str
) -> None:
    """gpt-4.1-mini of the shipped list, from OpenAI itself: 11 tokens in, 4 out, whatever tier was asked for."""
    usage = {**TOKENS, "input_tokens": 11, "output_tokens": 4}
    reply = {**chat_reply(usage=usage), "service_tier": tier}
    if not stream:
        script = json_reply(reply)
    elif path == "responses":
        begun, ended = (
            {"type": f"response.{n}", "response": r}
            for n, r in (("created", {"service_tier": "auto"}), ("completed", reply))
        )
        script = sse(event(begun) + event(ended))
    else:
        script = sse(chat_chunk("Hi", service_tier=tier) + chat_chunk(finish="stop") + usage_chunk(usage) + DONE)
    body = {"model": "openai/gpt-4.1-mini", "messages": [], "input": "hi", "stream": stream, "service_tier": "auto"}
    row = calls.row(calls.post(script, path, body))
    assert (row.provider, row.source, usd(row)) == ("openai", "computed", Decimal(read) + Decimal(written))
