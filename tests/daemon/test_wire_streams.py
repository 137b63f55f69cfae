"""wire.md 6.2 on the real daemon: event streams in every framing and chunking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import (
    DONE,
    OPENAI_USAGE,
    OPENROUTER_COMMENT,
    OPENROUTER_USAGE,
    anthropic_stream,
    chat_chunk,
    chat_stream,
    error_body,
    event,
    usage_chunk,
)
from harness.steps import (
    LAST_CHUNK,
    chunk,
    json_reply,
    say,
    sse,
    sse_apart,
    stream_head,
    then,
    wait_at,
)
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

USAGE = usage_chunk(OPENROUTER_USAGE)


def test_T26_a_character_split_between_reads_arrives_whole(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_stream(text="😀")
    cut = events.index("😀".encode()) + 2
    upstream.expect(sse_apart([events[:cut], events[cut:]]))
    assert daemon.chat(stream=True).body == events


@pytest.mark.parametrize("model", ["openai/gpt-4o", "oai/gpt-4o"])
def test_T27_a_stream_may_be_split_anywhere(daemon: Daemon, upstream: Upstream, model: str) -> None:
    events = event({"choices": [{"index": 0, "delta": {"content": "é"}, "finish_reason": "stop"}]})
    whole = events + event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}) + DONE
    seen = events + DONE if model.startswith("oai/") else whole
    ids = {}
    for cut in range(1, len(whole)):
        upstream.expect(sse_apart([whole[:cut], whole[cut:]]))
        reply = daemon.chat(model, stream=True)
        assert (reply.body, reply.complete) == (seen, True), f"split at {cut}"
        ids[reply.request_id] = cut
    lines = daemon.wait_for_lines(lambda line: line.get("request_id") in ids, len(ids))
    assert [ids[line["request_id"]] for line in lines if line["output_tokens"] != 2] == [], "splits with another usage"


@pytest.mark.parametrize("model", ["openai/gpt-4o", "oai/gpt-4o"])
def test_T27_a_stream_may_come_byte_by_byte(daemon: Daemon, upstream: Upstream, model: str) -> None:
    events = chat_stream(usage_chunk(OPENAI_USAGE))
    upstream.expect(sse_apart(events[at : at + 1] for at in range(len(events))))
    reply = daemon.chat(model, stream=True)
    assert reply.body == (chat_stream() if model.startswith("oai/") else events)
    assert daemon.line_of(reply)["output_tokens"] == 4


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 5, 10000])
def test_T28_other_line_ends_pass_and_are_understood(daemon: Daemon, upstream: Upstream, end: bytes, size: int) -> None:
    events = chat_stream(USAGE).replace(b"\n", end)
    upstream.expect(sse_apart(events[at : at + size] for at in range(0, len(events), size)))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events, True)
    assert daemon.line_of(reply)["output_tokens"] == 4


def test_T28_mixed_line_ends_make_no_phantom_event(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_chunk("a").replace(b"\n\n", b"\r\n\n") + USAGE.replace(b"\n\n", b"\n\r\n") + chat_chunk(finish="stop")
    cut = events.index(b"\r\n\n") + 1
    upstream.expect(sse_apart([events[:cut], events[cut:] + DONE]))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events + DONE, True)
    assert daemon.line_of(reply)["output_tokens"] == 4


@pytest.mark.parametrize("gap", [b"", b"  "])
def test_T29_the_blank_after_data_is_optional(daemon: Daemon, upstream: Upstream, gap: bytes) -> None:
    events = chat_stream(USAGE).replace(b"data: ", b"data:" + gap).replace(b"  [DONE]", b" [DONE]")
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events, True)
    assert daemon.line_of(reply)["output_tokens"] == 4


def test_T30_an_event_over_several_data_lines_is_one(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_stream(USAGE.replace(b'"usage":', b'\ndata: "usage":\ndata:'))
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert reply.body == events
    assert daemon.line_of(reply)["output_tokens"] == 4


def test_T31_comments_before_the_first_event_pass_with_it(daemon: Daemon, upstream: Upstream) -> None:
    events = OPENROUTER_COMMENT * 17 + chat_stream(USAGE)
    upstream.expect(sse_apart([OPENROUTER_COMMENT] * 17 + [chat_stream(USAGE)]))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (events, True)


def test_of_very_many_comments_before_the_first_event_the_latest_pass(daemon: Daemon, upstream: Upstream) -> None:
    events, comments = chat_stream(USAGE), [b": %0996d\n\n" % number for number in range(100)]
    upstream.expect(sse_apart([*comments, events]))
    reply = daemon.chat(stream=True)
    passed = reply.body.removesuffix(events)
    assert b"".join(comments).endswith(passed)
    assert 1000 <= len(passed) <= 16 * 1024


@pytest.mark.parametrize("before", [b"", chat_chunk("small")])
@pytest.mark.parametrize("mebibytes", [2, 6, 40])
def test_T32_a_very_long_line_passes_in_bounded_memory(
    daemon: Daemon, upstream: Upstream, mebibytes: int, before: bytes
) -> None:
    rest = chat_chunk(finish="stop") + USAGE + DONE
    upstream.expect(sse(chat_chunk("x" * 2**21) + rest))
    daemon.chat(stream=True)  # whatever ran before: more of a line than two megabytes takes no more
    peak_before = _peak_bytes(daemon)
    events = before + chat_chunk("x" * (mebibytes * 2**20)) + rest
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert reply.body == events
    assert reply.complete
    assert daemon.line_of(reply)["output_tokens"] == 4
    assert _peak_bytes(daemon) - peak_before < 24 * 2**20


def _peak_bytes(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.pid}/status")
    if not status.exists():
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.parametrize("status", [200, 400, 422])
def test_T39_plain_json_in_place_of_a_stream_passes(daemon: Daemon, upstream: Upstream, status: int) -> None:
    value = {"choices": []} if status == 200 else error_body(code=status)
    upstream.expect(json_reply(value, status))
    reply = daemon.chat(stream=True)
    assert (reply.status, reply.json, reply.header("content-type")) == (status, value, "application/json")


def test_T40_a_stream_nobody_asked_for_passes_and_is_read(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_stream(USAGE)))
    reply = daemon.chat()
    assert (reply.body, reply.header("content-type")) == (chat_stream(USAGE), "text/event-stream")
    assert daemon.line_of(reply)["output_tokens"] == 4


def test_T41_event_lines_are_kept(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(anthropic_stream()))
    reply = daemon.post("/v1/messages", {**chat_body("anthropic/claude-3.5-sonnet"), "stream": True})
    assert reply.body == anthropic_stream()


def test_T42_twenty_thousand_deltas_pass_quickly(daemon: Daemon, upstream: Upstream) -> None:
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": "0123456789"}}]}
    one = event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    events = one * 20000 + chat_chunk(finish="tool_calls") + DONE
    upstream.expect(
        then(
            say(stream_head()),
            say(*(chunk(one * 10) for _ in range(2000))),
            say(chunk(events[len(one) * 20000 :]) + LAST_CHUNK),
        )
    )
    before = daemon.cpu_seconds()
    reply = daemon.chat(stream=True)
    assert reply.body == events
    assert daemon.cpu_seconds() - before < 6


def test_T42_each_event_is_passed_on_before_the_next_comes(daemon: Daemon, upstream: Upstream) -> None:
    gates = [upstream.gate() for _ in range(5)]
    steps = [step for n, gate in enumerate(gates) for step in (say(chunk(chat_chunk(f"event {n}"))), wait_at(gate))]
    upstream.expect(then(say(stream_head()), *steps, say(chunk(chat_chunk(finish="stop") + DONE) + LAST_CHUNK)))
    with daemon.open_chat(stream=True) as connection:
        head = connection.read_head()
        for number, gate in enumerate(gates):
            connection.read_until(b"event %d" % number)
            connection.read_until(b"\n\n\r\n")
            gate.open()
        connection.read_body(head)
        assert head.complete


def test_T43_two_choices_finish_each_on_its_own(daemon: Daemon, upstream: Upstream) -> None:
    both = chat_chunk("a") + chat_chunk("b", index=1) + chat_chunk(finish="stop", index=1)
    upstream.expect(sse(both + chat_chunk(finish="length")), sse(both))
    finished, unfinished = daemon.chat(stream=True, n=2), daemon.chat(stream=True, n=2)
    assert (finished.complete, finished.body) == (True, both + chat_chunk(finish="length"))
    assert not unfinished.complete


def test_T44_obfuscation_is_kept(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_chunk("He", obfuscation="a1b2c3") + chat_chunk(finish="stop", obfuscation="") + DONE
    upstream.expect(sse(events))
    assert daemon.chat("oai/gpt-4o", stream=True).body == events


def test_T45_the_body_decides_about_streaming_not_the_accept_header(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_stream(usage_chunk(OPENAI_USAGE))))
    reply = daemon.chat("oai/gpt-4o", [("Accept", "application/json")], stream=True)
    assert reply.body == chat_stream()
    assert upstream.call.header("accept") == "application/json"
    assert daemon.line_of(reply)["stream"] is True
