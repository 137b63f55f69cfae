"""Streams read while they pass: the client's bytes are the upstream's, less one event at most."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InternalError, NoHealthyUpstream, ProxyError, RequestTooLarge, UpstreamReset, UpstreamTimeout
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings
from proxy.wire.reader import StreamReader, anthropic_type, error_event
from proxy.wire.sse import LARGEST_HELD, data_of, split_events
from proxy.wire.usage import Usage

COMMENT = b": OPENROUTER PROCESSING\n\n"
HI = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}\n\n'
STOP = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":9}}\n\n'
DONE = b"data: [DONE]\n\n"
COUNTED = Usage(input_tokens=8, output_tokens=9)


def passed(stream: bytes, size: int, *, hide_usage: bool = False) -> tuple[bytes, StreamReader]:
    reader = StreamReader(Findings("chat"), hide_usage=hide_usage)
    out = b"".join(reader.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    return out + reader.finish(), reader


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [DONE, b"data: [DONE]", b""])
def test_a_stream_passes_unchanged_and_is_read_whatever_the_chunks(size: int, end: bytes, last: bytes) -> None:
    stream = (COMMENT * 3 + HI + COMMENT + STOP + USAGE + last).replace(b"\n", end)
    out, reader = passed(stream, size)
    assert out == stream
    assert reader.findings.usage == COUNTED
    assert reader.findings.events == 3 + bool(last)
    assert reader.findings.complete


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_only_the_usage_event_is_hidden_and_the_end_still_comes(size: int, end: bytes) -> None:
    stream = COMMENT + HI + STOP + USAGE + COMMENT + b"event: x\n\n" + DONE
    out, reader = passed(stream.replace(b"\n", end), size, hide_usage=True)
    assert out == stream.replace(USAGE, b"").replace(b"\n", end)
    assert reader.findings.usage == COUNTED
    assert reader.findings.complete


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":8}}\n\n',
        b'data: {"choices":[],"usage":null,"prompt_filter_results":[]}\n\n',
        b'data: {"error":{"message":"x"},"usage":null}\n\n',
        b'data: {"error":{"message":"x"},"usage":{"prompt_tokens":8}}\n\n',
        b": comment only\n\n",
        b"event: ping\n\n",
        b"data: not json\n\n",
    ],
)
def test_no_other_event_is_hidden(event: bytes) -> None:
    assert passed(HI + event + DONE, 10_000, hide_usage=True)[0] == HI + event + DONE


def test_every_usage_event_is_hidden_where_a_server_sends_several() -> None:
    assert passed(USAGE + HI + USAGE + USAGE + DONE, 10_000, hide_usage=True)[0] == HI + DONE


def test_usage_in_an_unterminated_last_event_counts_and_can_be_hidden() -> None:
    cut = USAGE.rstrip(b"\n")
    out, reader = passed(HI + cut, 10_000)
    assert (out, reader.findings.usage) == (HI + cut, COUNTED)
    out, reader = passed(HI + cut, 10_000, hide_usage=True)
    assert (out, reader.findings.usage) == (HI, COUNTED)


def test_a_comment_line_before_the_data_line_hides_nothing() -> None:
    out, reader = passed(b": ping\n" + USAGE, 10_000)
    assert out == b": ping\n" + USAGE
    assert reader.findings.usage == COUNTED
    assert reader.findings.events == 1


def test_data_spread_over_several_lines_is_read_as_one() -> None:
    stream = b'event: x\r\ndata: {"usage":\r\ndata: {"prompt_tokens":8,"completion_tokens":9}}\r\n\r\n'
    out, reader = passed(stream, 5)
    assert out == stream
    assert reader.findings.usage == COUNTED


@pytest.mark.parametrize("size", [2**20, LARGEST_HELD, 3 * LARGEST_HELD])
def test_a_large_event_passes_and_what_follows_it_is_read(size: int) -> None:
    large = b'data: {"choices":[{"index":0,"delta":{"images":"' + b"x" * (2 * LARGEST_HELD + 10) + b'"}}]}\n\n'
    out, reader = passed(large + STOP + USAGE + DONE, size)
    assert out == large + STOP + USAGE + DONE
    assert reader.findings.usage == COUNTED
    assert reader.findings.events == 4
    assert reader.findings.complete


def test_the_usage_of_a_large_event_counts_though_somebody_looked_while_it_passed() -> None:
    large = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4},"x":"%s"}\n\n'
    large %= b"x" * (2 * LARGEST_HELD)
    reader = StreamReader(Findings("chat"), hide_usage=False)
    for begin in range(0, len(large), LARGEST_HELD):
        reader.feed(large[begin : begin + LARGEST_HELD])
        looked = reader.findings.usage
    assert looked is not None
    assert (looked.input_tokens, looked.output_tokens) == (3, 4)


def test_nothing_of_ours_may_be_written_inside_a_large_event() -> None:
    reader = StreamReader(Findings("chat"))
    assert reader.at_boundary
    assert reader.feed(HI + b"data: 1") == HI
    assert reader.at_boundary
    first = reader.feed(b"x" * (LARGEST_HELD + 1))
    assert first.startswith(b"data: 1xx")
    assert not reader.at_boundary
    assert reader.findings.events == 2
    second = reader.feed(b"x" * (LARGEST_HELD + 1))
    assert not reader.at_boundary
    assert reader.findings.events == 2
    assert len(first + second + reader.finish()) == len(b"data: 1") + 2 * (LARGEST_HELD + 1)


def test_a_stream_that_ends_on_a_boundary_has_nothing_left() -> None:
    reader = StreamReader(Findings("chat"))
    assert reader.feed(HI) == HI
    assert reader.feed(b"") == b""
    assert reader.finish() == b""


ERROR = UpstreamReset("broke off", param="p")
PLAIN = {"message": "broke off", "type": "upstream_error", "param": "p", "code": "upstream_reset"}
EVENTS: list[tuple[Shape, bytes, dict[str, Any]]] = [
    ("chat", b"", {"error": PLAIN}),
    ("completions", b"", {"error": PLAIN}),
    ("other", b"", {"error": PLAIN}),
    ("messages", b"event: error\n", {"type": "error", "error": {"type": "api_error", "message": "broke off"}}),
    (
        "responses",
        b"event: error\n",
        {"type": "error", "code": "upstream_reset", "message": "broke off", "param": "p", "error": PLAIN},
    ),
]


@pytest.mark.parametrize(("shape", "head", "body"), EVENTS)
def test_an_error_is_told_in_the_dialect_of_its_readers(shape: Shape, head: bytes, body: dict[str, Any]) -> None:
    event = error_event(shape, ERROR)
    assert event.startswith(head + b"data: {")
    assert split_events(event) == [event]
    data = data_of(event)
    assert data is not None
    assert json.loads(data) == body


@pytest.mark.parametrize("shape", [row[0] for row in EVENTS])
def test_a_message_of_several_lines_stays_in_one_event(shape: Shape) -> None:
    event = error_event(shape, InternalError("a\r\n\r\ndata: [DONE]\n\n"))
    assert split_events(event) == [event]
    assert event.count(b"\n") == (3 if event.startswith(b"event:") else 2)


TYPES = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (408, "invalid_request_error"),
    (413, "request_too_large"),
    (415, "invalid_request_error"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (502, "api_error"),
    (503, "overloaded_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
]


@pytest.mark.parametrize(("status", "name"), TYPES)
def test_every_status_has_a_name_at_anthropic(status: int, name: str) -> None:
    assert anthropic_type(status) == name


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (UpstreamTimeout("x"), "timeout_error"),
        (NoHealthyUpstream("x"), "overloaded_error"),
        (RequestTooLarge("x"), "request_too_large"),
    ],
)
def test_our_errors_carry_that_name_on_messages(error: ProxyError, name: str) -> None:
    data = data_of(error_event("messages", error))
    assert data is not None
    assert json.loads(data)["error"]["type"] == name


def test_a_hidden_event_leaves_the_line_end_of_its_predecessor() -> None:
    """A read may end between the CR and the LF that finish the event before the hidden one."""
    reader = StreamReader(Findings("chat"), hide_usage=True)
    first = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\r\n\r'
    hidden = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\r\n\r\n'
    passed = reader.feed(first) + reader.feed(b"\n" + hidden + b"data: [DONE]\r\n\r\n") + reader.finish()
    assert passed == first + b"\n" + b"data: [DONE]\r\n\r\n"


ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
PARTS = st.sampled_from([USAGE, HI, DONE, b"event: x\n", b"event: x\n" + USAGE, b"\n", b": a comment\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """A stream with a line end of its own for every line, and where it is cut: anywhere, or at every byte."""
    lines = b"".join(draw(st.lists(PARTS, min_size=1, max_size=8))).split(b"\n")
    stream = b"".join(line + draw(ENDS) for line in lines[:-1]) + b"event: last\n\n"
    anywhere = st.lists(st.integers(0, len(stream)), max_size=12).map(sorted)
    return stream, draw(anywhere | st.just(list(range(len(stream)))))


def without_usage(stream: bytes) -> bytes:
    """The stream line by line, as WHATWG HTML 9.2.6 has it: an event with nothing but usage goes with its blank line."""
    shown, event = b"", b""
    for line in re.findall(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", stream):
        if line.strip(b"\r\n"):
            event += line
            continue
        is_usage = [part for part in re.split(rb"\r\n|\n|\r", event) if part.startswith(b"data")] == [USAGE.strip()]
        shown += b"" if is_usage else event + line
        event = b""
    return shown + event


@given(streams())
def test_what_is_hidden_depends_on_no_cut(cut_stream: tuple[bytes, list[int]]) -> None:
    stream, cuts = cut_stream
    reader = StreamReader(Findings("chat"), hide_usage=True)
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    assert b"".join(map(reader.feed, pieces)) + reader.finish() == without_usage(stream)
    whole = StreamReader(Findings("chat"), hide_usage=True)
    whole.feed(stream)
    assert (reader.findings.events, reader.findings.usage) == (whole.findings.events, whole.findings.usage)
