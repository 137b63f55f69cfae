"""The first token is the first event that says something, on every endpoint, and everybody who is told of it agrees."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import DONE, OPENROUTER_COMMENT, anthropic_stream, chat_chunk, chat_reply, event, responses_stream
from harness.steps import LAST_CHUNK, chunk, json_reply, pause, say, sse, stream_head, then, wait_at
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")


def cut(stream: bytes, name: bytes) -> tuple[bytes, bytes]:
    """A stream before its event that holds `name`, and from there on."""
    events = stream.split(b"\n\n")
    first = next(number for number, one in enumerate(events) if name in one)
    return b"".join(one + b"\n\n" for one in events[:first]), b"\n\n".join(events[first:])


CHAT, OLDER = "/v1/chat/completions", "/v1/completions"
USAGE = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 11, "cost": 0.00001}})
TEXT = event({"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]})
STREAMS: dict[str, tuple[str, dict[str, Any], bytes, bytes]] = {
    "chat": (CHAT, chat_body(), chat_chunk(""), chat_chunk("Hi") + chat_chunk(finish="stop") + USAGE + DONE),
    "completions": (OLDER, {"model": "openai/gpt-4o", "prompt": "x"},
                    event({"choices": [{"index": 0, "text": "", "finish_reason": None}]}), TEXT + USAGE + DONE),
    "responses": ("/v1/responses", {"model": "openai/gpt-4o", "input": "x"},
                  *cut(responses_stream(), b"output_text.delta")),
    "messages": ("/v1/messages", {"model": "anthropic/claude-3.5-sonnet", "max_tokens": 50, "messages": []},
                 *cut(anthropic_stream(output_tokens=11), b"content_block_delta")),
}  # fmt: skip


def call_of(daemon: Daemon, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The one call under way, once it is so far."""
    while True:
        for call in daemon.asked("/calls")["calls"]:
            if fits(call):
                return dict(call)


@pytest.mark.parametrize("name", STREAMS)
def test_what_opens_a_stream_is_its_first_byte_and_what_says_something_its_first_token(
    daemon: Daemon, upstream: Upstream, name: str
) -> None:
    target, body, opening, rest = STREAMS[name]
    gate = upstream.gate()
    upstream.expect(
        then(say(stream_head() + chunk(OPENROUTER_COMMENT + opening)), wait_at(gate), pause(0.05), say(chunk(rest) + LAST_CHUNK))
    )  # fmt: skip
    before = {name: daemon.metric(f"tollkeeper_{name}") for name in METRICS}
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", target, (), json.dumps({**body, "stream": True}).encode()))
        reply = connection.read_head()
        early = call_of(daemon, lambda call: call["first_byte_seconds"] is not None)
        assert (early["first_token_seconds"], early["tokens_per_second"]) == (None, None)
        gate.open()
        connection.read_body(reply)
    line = daemon.line_of(reply)
    assert line["first_byte_seconds"] == pytest.approx(early["first_byte_seconds"], abs=0.001)
    assert early["age_seconds"] < line["first_token_seconds"] <= line["total_seconds"]
    (attempt,) = daemon.asked(f"/calls/{reply.request_id}")["attempts"]
    assert attempt["first_token_ms"] == pytest.approx(line["first_token_seconds"] * 1000, abs=1)
    assert attempt["first_byte_ms"] <= early["age_seconds"] * 1000 + 1 < attempt["first_token_ms"]
    grown = {name: daemon.metric(f"tollkeeper_{name}") - before[name] for name in METRICS}
    assert grown["time_to_first_token_seconds_sum"] == pytest.approx(line["first_token_seconds"])
    following = (line["total_seconds"] - line["first_token_seconds"]) / (line["output_tokens"] - 1)
    assert grown["time_per_output_token_seconds_sum"] == pytest.approx(following)


METRICS = ("time_to_first_token_seconds_sum", "time_to_first_token_seconds_count", "time_per_output_token_seconds_sum")


def test_a_stream_in_one_piece_has_its_first_token_in_the_ledger_as_well(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_chunk("") + chat_chunk("Hi") + chat_chunk(finish="stop") + USAGE + DONE))
    reply = daemon.chat(stream=True)
    line = daemon.line_of(reply)
    assert line["first_token_seconds"] == line["first_byte_seconds"]
    (attempt,) = daemon.asked(f"/calls/{reply.request_id}")["attempts"]
    assert 0 <= attempt["first_token_ms"] - attempt["first_byte_ms"] <= attempt["total_ms"]


def test_what_says_nothing_or_is_no_stream_has_no_first_token(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_chunk("") + chat_chunk(finish="stop") + USAGE + DONE), json_reply(chat_reply()))
    before = daemon.metric("tollkeeper_time_to_first_token_seconds_count")
    for reply in (daemon.chat(stream=True), daemon.chat()):
        line = daemon.line_of(reply)
        assert (line["first_token_seconds"], line["first_byte_seconds"] > 0) == (None, True)
        (attempt,) = daemon.asked(f"/calls/{reply.request_id}")["attempts"]
        assert attempt["first_token_ms"] is None
        assert 0 <= attempt["first_byte_ms"] <= attempt["total_ms"]
    assert daemon.metric("tollkeeper_time_to_first_token_seconds_count") == before
