"""A usage that comes behind the end of a stream: one correction, told everywhere, and the client does not wait for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from harness.events import DONE, anthropic_stream, chat_chunk, chat_stream, usage_chunk
from harness.http import Reply
from harness.steps import LAST_CHUNK, Script, chunk, hang, reset, say, say_apart, stream_head, then, wait_at
from money_books import books_of, eventually
from money_calls import BOUND_KEY, COMPUTED, TOKENS, Calls, usd

BOB = [("Authorization", f"Bearer {BOUND_KEY}")]
ENDED = [stream_head(), chunk(chat_stream(text="word " * 100))]


def ask(calls: Calls, script: Script, **members: Any) -> Reply:
    """A streamed call of the key with a budget, to its last byte."""
    calls.upstream.expect(script)
    body = {"model": "direct", "messages": [], "max_tokens": 1000, "stream": True, **members}
    return calls.toll.post("/v1/chat/completions", body, BOB)


def test_a_usage_behind_the_end_corrects_what_was_counted(calls: Calls) -> None:
    gate = calls.upstream.gate()
    before = books_of(calls.toll).spent_by("key:bob:total")
    late = [chunk(usage_chunk(TOKENS)), LAST_CHUNK]
    reply = ask(calls, then(say_apart(ENDED), wait_at(gate), say_apart(late)))
    assert reply.body.endswith(DONE)  # the client had its whole reply before the usage came
    gate.open()
    books = eventually(calls.toll, lambda books: [row.source for row in books.of(reply.request_id)] == ["computed"])
    (row,) = books.of(reply.request_id)
    assert (usd(row), row.input_tokens, row.output_tokens) == (COMPUTED, 11, 4)
    assert books.spent_by("key:bob:total") - before == COMPUTED
    line = calls.toll.wait_for_log(lambda line: line.get("request_id") == reply.request_id)
    assert (line["cost_source"], Decimal(line["cost_usd"]), line["output_tokens"]) == ("computed", COMPUTED, 4)


def test_what_a_cache_had_of_the_tools_is_told_by_a_late_usage(calls: Calls) -> None:
    tool = {"name": "late", "parameters": {"type": "object", "description": "words " * 40}}
    late = {**TOKENS, "prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 1000}}
    ask(
        calls, say_apart([*ENDED, chunk(usage_chunk(late)), LAST_CHUNK]), tools=[{"type": "function", "function": tool}]
    )

    def told() -> list[tuple[int, ...]]:
        with closing(sqlite3.connect(f"file:{calls.toll.folder}/state/ledger.db?mode=ro", uri=True)) as ledger:
            asked = "SELECT calls, called, tokens, cached_tokens FROM rollup_tools WHERE tool = 'late'"
            return ledger.execute(asked).fetchall()

    eventually(calls.toll, lambda _: bool(found := told()) and found[0][3] > 0)
    ((times, called, tokens, cached),) = told()
    assert (times, called, tokens) == (1, 0, cached) and 60 < cached < 100


def test_nothing_more_is_no_correction(calls: Calls) -> None:
    reply = ask(calls, then(say(*ENDED), hang))
    row = calls.row(reply)
    assert row.source == "counted"
    assert (row.input_tokens > 0, row.output_tokens > 90) == (True, True)
    line = calls.toll.wait_for_log(lambda line: line.get("request_id") == reply.request_id)
    assert (line["cost_source"], line["output_tokens"]) == ("counted", row.output_tokens)


def test_a_late_cost_is_above_no_hold_where_nothing_bounded_the_call(calls: Calls) -> None:
    late = [chunk(usage_chunk({**TOKENS, "cost": 0.5})), LAST_CHUNK]
    calls.upstream.expect(say_apart([*ENDED, *late]))
    reply = calls.toll.chat("oai/nobody-knows", stream=True)
    books = eventually(calls.toll, lambda books: [row.source for row in books.of(reply.request_id)] == ["reported"])
    (row,) = books.of(reply.request_id)
    assert (usd(row), calls.doubts(row)) == (Decimal("0.5"), [])


def test_a_usage_in_the_next_read_counts(calls: Calls) -> None:
    reply = ask(calls, say_apart([*ENDED, chunk(usage_chunk(TOKENS)), LAST_CHUNK]))
    books = eventually(calls.toll, lambda books: [row.source for row in books.of(reply.request_id)] == ["computed"])
    assert usd(books.of(reply.request_id)[0]) == COMPUTED


LONG = "word " * 100
CUT_BEHIND_ITS_USAGE = [
    ("direct", "chat/completions", chat_stream(usage_chunk(TOKENS), LONG).removesuffix(DONE), COMPUTED),
    (
        "direct",
        "chat/completions",
        chat_chunk(LONG) + usage_chunk(TOKENS, [{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        COMPUTED,
    ),
    (
        "direct",
        "chat/completions",
        chat_chunk(LONG) + usage_chunk(None, [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": TOKENS}]),
        COMPUTED,
    ),
    ("claude", "messages", anthropic_stream(text=LONG).partition(b"event: message_stop")[0], Decimal("0.022")),
]


@pytest.mark.parametrize(("model", "path", "said", "due"), CUT_BEHIND_ITS_USAGE)
def test_what_breaks_off_behind_its_usage_costs_what_that_says(
    calls: Calls, model: str, path: str, said: bytes, due: Decimal
) -> None:
    body = {"model": model, "messages": [], "max_tokens": 1000, "stream": True}
    row = calls.row(calls.post(then(say_apart([stream_head(), chunk(said)]), reset), path, body))
    assert (row.source, usd(row)) == ("computed", due)


COUNTS_ON = [
    chat_chunk(LONG, usage={**TOKENS, "completion_tokens": 1}) + chat_chunk(finish="stop"),
    chat_chunk(LONG) + usage_chunk({**TOKENS, "completion_tokens": 1}),
    chat_chunk(LONG) + chat_chunk(finish="stop", usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
    chat_chunk(LONG, index=1) + usage_chunk(TOKENS, [{"index": 0, "delta": {}, "finish_reason": "stop"}]),
]


@pytest.mark.parametrize("said", COUNTS_ON)
def test_what_breaks_off_behind_a_usage_that_counts_on_costs_what_was_seen(calls: Calls, said: bytes) -> None:
    body = {"model": "direct", "messages": [], "max_tokens": 100_000, "stream": True}
    row = calls.row(calls.post(then(say_apart([stream_head(), chunk(said)]), reset), "chat/completions", body))
    assert row.source in ("counted", "held") and usd(row) > COMPUTED


def test_what_fails_under_way_fails_in_the_ledger(calls: Calls) -> None:
    error = {"code": 529, "message": "Overloaded", "metadata": {"error_type": "provider_overloaded"}}
    reply = ask(
        calls, say(stream_head(), chunk(chat_chunk("word") + chat_chunk(finish="error", error=error)), LAST_CHUNK)
    )
    row = calls.row(reply)
    assert (row.outcome, row.error) == ("200_error_529", "provider_overloaded")
    line = calls.toll.wait_for_log(lambda line: line.get("request_id") == reply.request_id)
    assert (line["error"], line["error_type"]) == ("provider_overloaded", "provider_overloaded")
    assert line["tried"][0]["outcome"] == "200_error_529"
