"""Judged by what came: a reply of another kind than was asked for is read where it can be, and else costs its hold."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from harness.events import chat_reply, chat_stream, usage_chunk
from harness.http import Reply
from harness.steps import LAST_CHUNK, Headers, chunk, head, plain_reply, say, say_apart
from money_calls import COMPUTED, TOKENS, Calls, usd

STREAM = chat_stream(usage_chunk(TOKENS))
UNTOLD = chat_stream()
WHOLE = json.dumps(chat_reply(usage=TOKENS)).encode()
MUTE = json.dumps({name: value for name, value in chat_reply().items() if name != "usage"}).encode()
LINES = b"".join(line.removeprefix(b"data: ") + b"\n" for line in STREAM.split(b"\n\n") if b"{" in line)
RAW = zlib.compressobj(wbits=-15)
HEADLESS = RAW.compress(STREAM) + RAW.flush()


def typed(name: str | None, encoding: str | None = None) -> Headers:
    headers = [("Content-Type", name)] if name else []
    return [*headers, ("Content-Encoding", encoding)] if encoding else headers


READ: list[tuple[str, bytes, Headers]] = [
    ("events as text", STREAM, typed("text/plain")),
    ("events without a type", STREAM, typed(None)),
    ("events as bytes", STREAM, typed("application/octet-stream")),
    ("a line of JSON each", LINES, typed("application/x-ndjson")),
    ("a document", WHOLE, typed("application/json")),
    ("a document as text", WHOLE, typed("text/plain; charset=utf-8")),
    ("a document as events", WHOLE, typed("text/event-stream")),
    ("events packed", gzip.compress(STREAM), typed("text/event-stream", "gzip")),
    ("events deflated", zlib.compress(STREAM), typed("text/event-stream", "deflate")),
    ("events deflated without a head", HEADLESS, typed("text/event-stream", "deflate")),
    ("a document packed", gzip.compress(WHOLE), typed("application/json", "gzip")),
]
UNREAD: list[tuple[str, bytes, Headers]] = [
    ("a page", b"<html><body>Welcome!</body></html>", typed("text/html")),
    ("a page as events", b"<html>\n\n<body>Welcome!</body></html>", typed("text/event-stream")),
    ("a document that says nothing", MUTE, typed("application/json")),
    ("a document as text that says nothing", MUTE, typed("text/plain")),
    ("an encoding nobody knows", b"\x1b\x2a\x00" * 99, typed("text/event-stream", "zzz")),
    ("broken packing", gzip.compress(UNTOLD)[:20] + b"x" * 40, typed("text/event-stream", "gzip")),
    ("other bytes", bytes(range(256)), typed("application/octet-stream")),
]


def answered(calls: Calls, body: bytes, headers: Headers, *, stream: bool) -> Reply:
    """A call whose answer reaches the client as it came."""
    asked: dict[str, Any] = {"model": "direct", "messages": [], "max_tokens": 500, "stream": stream}
    asked |= {"stream_options": {"include_usage": True}} if stream else {}
    reply = calls.post(plain_reply(body, headers=headers), "chat/completions", asked)
    assert (reply.status, reply.body) == (200, body)
    assert reply.header("content-encoding") == dict(headers).get("Content-Encoding")
    return reply


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("body", "headers"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_can_be_read_is_read(calls: Calls, body: bytes, headers: Headers, stream: bool) -> None:
    row = calls.row(answered(calls, body, headers, stream=stream))
    assert (row.source, usd(row), row.input_tokens, row.output_tokens) == ("computed", COMPUTED, 11, 4)


@pytest.mark.parametrize("name", ["application/json", "text/plain", "application/octet-stream", None])
def test_a_stream_is_one_whatever_its_type_says(calls: Calls, name: str | None) -> None:
    """Read, its usage kept from who did not ask for it, and its end told; in pieces as whole, and again over a connection
    that knows such heads."""
    asked = {"model": "direct", "messages": [], "stream": True}
    start = head(200, [*typed(name), ("Transfer-Encoding", "chunked")])
    for script in (
        *[plain_reply(b": hello\n\n" + STREAM, headers=typed(name))] * 3,
        say_apart(
            [
                start,
                chunk(b": hello\n\n"),
                *(chunk(event + b"\n\n") for event in STREAM.split(b"\n\n")[:-1]),
                LAST_CHUNK,
            ]
        ),
    ):
        reply = calls.post(script, "chat/completions", asked)
        assert (reply.status, reply.body, reply.complete) == (200, b": hello\n\n" + UNTOLD, True)
        assert reply.header("content-type") == name
        row = calls.row(reply)
        assert (row.source, usd(row), row.input_tokens, row.output_tokens) == ("computed", COMPUTED, 11, 4)
    cut = calls.post(plain_reply(UNTOLD[:60], headers=typed(name)), "chat/completions", asked)
    assert (calls.row(cut).outcome, cut.complete) == ("upstream_reset", False)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("body", "headers"), [row[1:] for row in UNREAD], ids=[row[0] for row in UNREAD])
def test_what_cannot_be_read_costs_its_hold(calls: Calls, body: bytes, headers: Headers, stream: bool) -> None:
    row = calls.row(answered(calls, body, headers, stream=stream))
    assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)
    assert row.hold_pusd > 0


@pytest.mark.parametrize("stream", [True, False])
def test_events_nobody_asked_for_are_counted(calls: Calls, stream: bool) -> None:
    row = calls.row(answered(calls, UNTOLD, typed("text/plain"), stream=stream))
    assert row.source == "counted"
    assert row.output_tokens > 0


def test_packed_events_that_come_in_pieces_are_read(calls: Calls) -> None:
    packed = gzip.compress(STREAM)
    pieces = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    start = head(200, [*typed("text/event-stream", "gzip"), ("Transfer-Encoding", "chunked")])
    asked = {"model": "direct", "messages": [], "stream": True}
    reply = calls.post(say(start, *map(chunk, pieces), LAST_CHUNK), "chat/completions", asked)
    assert reply.body == packed
    assert usd(calls.row(reply)) == COMPUTED


def test_a_bomb_is_not_unpacked(calls: Calls) -> None:
    bomb = gzip.compress(b"data: {}\n\n" + b" " * 300_000_000)
    row = calls.row(answered(calls, bomb, typed("text/event-stream", "gzip"), stream=True))
    assert row.source == "held"
