"""wire.md 6.2 on the real daemon: how event streams end: complete, cut off, or in an error event."""

from __future__ import annotations

import json
import re

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import (
    OPENROUTER_USAGE,
    anthropic_stream,
    chat_chunk,
    chat_stream,
    event,
    responses_stream,
    usage_chunk,
)
from harness.steps import (
    Script,
    chunk,
    close,
    hang,
    reset,
    say,
    sse,
    stream_head,
    then,
)
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

USAGE = usage_chunk(OPENROUTER_USAGE)


def test_T33_a_stream_that_stops_unfinished_is_never_a_silent_success(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_chunk("He") + chat_chunk("llo")))
    reply = daemon.chat(stream=True)
    passed = chat_chunk("He") + chat_chunk("llo")
    assert reply.body.startswith(passed)
    assert _error_of(reply.body[len(passed) :])["code"] == "upstream_reset"
    assert not reply.complete
    assert daemon.line_of(reply)["error_type"] is not None


def _error_of(tail: bytes) -> dict[str, object]:
    """The error in a single last event."""
    match = re.fullmatch(rb"data: (\{.*\})\n\n", tail)
    assert match is not None, tail
    error: dict[str, object] = json.loads(match[1])["error"]
    return error


def test_T34_usage_in_an_unterminated_last_event_counts(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_chunk("He") + chat_chunk(finish="stop") + USAGE.rstrip(b"\n")
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events, True)
    assert daemon.line_of(reply)["output_tokens"] == 4


def test_T35_bytes_after_done_do_no_harm(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_stream(USAGE) + b": bye\n\nrubbish"
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events, True)
    assert daemon.line_of(reply)["output_tokens"] == 4


@pytest.mark.parametrize("end", [close, reset, hang])
@pytest.mark.parametrize(
    ("target", "model", "events"),
    [
        ("/v1/chat/completions", "openai/gpt-4o", chat_stream(USAGE)),
        ("/v1/messages", "anthropic/claude-3.5-sonnet", anthropic_stream()),
        ("/v1/responses", "oai/gpt-4o", responses_stream()),
    ],
)
def test_T35_what_befalls_the_connection_after_the_last_event_is_no_failure(
    daemon: Daemon, upstream: Upstream, target: str, model: str, events: bytes, end: Script
) -> None:
    upstream.expect(then(say(stream_head() + chunk(events)), end))
    reply = daemon.post(target, {**chat_body(model), "input": "x", "stream": True})
    assert reply.body == events, reply.body[-300:]
    assert daemon.line_of(reply)["error_type"] is None


@pytest.mark.parametrize("end", [reset, close])
@pytest.mark.parametrize(
    ("target", "model", "passed", "last"),
    [
        ("/v1/chat/completions", "two-homes", chat_chunk("He"), rb'data: \{"error":\{.*\}\}\n\n'),
        (
            "/v1/messages",
            "anthropic/claude-3.5-sonnet",
            anthropic_stream()[:400],
            rb'event: error\ndata: \{"type":"error","error":.*\}\n\n',
        ),
        ("/v1/responses", "oai/gpt-4o", responses_stream()[:300], rb'event: error\ndata: \{"type":"error",.*\}\n\n'),
    ],
)
def test_T37_T51_an_upstream_lost_midway_is_told_in_the_stream(
    daemon: Daemon, upstream: Upstream, end: object, target: str, model: str, passed: bytes, last: bytes
) -> None:
    passed = passed[: passed.rindex(b"\n\n") + 2]
    upstream.expect(then(say(stream_head() + chunk(passed)), end))
    reply = daemon.post(target, {**chat_body(model), "input": "x", "stream": True})
    assert reply.status == 200
    assert reply.body.startswith(passed)
    assert re.fullmatch(last, reply.body[len(passed) :]), reply.body[len(passed) :]
    assert b"[DONE]" not in reply.body
    assert not reply.complete
    assert len(upstream.calls) == 1, "nothing may be retried or sent elsewhere after the first byte"


def test_T37_half_an_event_is_not_passed_before_the_error(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He") + chat_chunk("llo")[:30])), reset))
    reply = daemon.chat(stream=True)
    assert reply.body.startswith(chat_chunk("He") + b'data: {"error":')
    assert not reply.complete


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        ({"code": 503, "message": "m"}, 3),
        ({"code": "503", "message": "m"}, 3),
        ({"code": "rate_limit_exceeded", "message": "m"}, 3),
        ({"message": "no code"}, 3),
        ({"code": 400, "message": "m"}, 1),
        ({"code": 402, "message": "m"}, 1),
    ],
)
def test_T38_an_error_as_first_event_is_judged_by_its_code(
    daemon: Daemon, upstream: Upstream, error: dict[str, object], calls: int
) -> None:
    events = event({"error": error, "choices": []})
    upstream.expect(sse(events), again=True)
    reply = daemon.chat(stream=True)
    assert (reply.status, reply.body) == (200, events)
    assert len(upstream.calls) == calls
    assert daemon.line_of(reply)["error_type"] is not None


def test_T38_an_error_as_first_event_is_retried_and_forgotten(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(event({"error": {"code": 503, "message": "m"}})), sse(chat_stream(USAGE)))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (chat_stream(USAGE), True)
    assert reply.header("x-tollkeeper-attempts") == "2"
