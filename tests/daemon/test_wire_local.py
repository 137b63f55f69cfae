"""wire.md 6.6 on the real daemon: local servers and the odd things they say."""

from __future__ import annotations

import pytest
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, chat_stream
from harness.steps import LAST_CHUNK, chunk, close, head, json_reply, say, sse, stream_head, then, wait_at
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

LLAMA = "local/llama3.2:3b"


@pytest.mark.parametrize("headers", [(), (("anthropic-version", "2023-06-01"),)])
def test_T101_our_own_model_list_is_a_list(daemon: Daemon, headers: tuple[tuple[str, str], ...]) -> None:
    reply = daemon.ask("GET", "/v1/models", headers)
    names = [entry["id"] for entry in reply.json["data"]]
    assert {"two-homes", "quiet", "openai/gpt-4o"} <= set(names)
    assert ("has_more" in reply.json) == bool(headers)


@pytest.mark.parametrize("name", ["openai/gpt-4o", "openai%2Fgpt-4o", "two-homes"])
def test_one_model_is_found_however_its_slash_is_spelled(daemon: Daemon, upstream: Upstream, name: str) -> None:
    reply = daemon.ask("GET", f"/v1/models/{name}")
    assert (reply.status, reply.json["id"]) == (200, name.replace("%2F", "/"))
    assert upstream.calls == []


def test_one_model_that_does_not_exist_is_not_found(daemon: Daemon) -> None:
    reply = daemon.ask("GET", "/v1/models/nothing-of-the-kind-7")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


def test_T102_two_replies_with_one_id_are_two_calls(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply(id="chatcmpl-42")), json_reply(chat_reply(id="chatcmpl-42")))
    first, second = daemon.chat(LLAMA), daemon.chat(LLAMA)
    assert first.request_id != second.request_id
    assert daemon.line_of(first)["upstream_request_id"] == daemon.line_of(second)["upstream_request_id"]


def test_T103_white_space_before_the_reply_passes(daemon: Daemon, upstream: Upstream) -> None:
    body = b'\n  {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
    upstream.expect(json_reply(body))
    reply = daemon.chat(LLAMA)
    assert reply.body == body
    assert daemon.line_of(reply)["input_tokens"] == 3


def test_T104_lines_of_json_pass_as_they_come(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    one, two = b'{"message":{"content":"He"},"done":false}\n', b'{"done":true,"eval_count":4}\n'
    start = head(200, [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")])
    upstream.expect(then(say(start + chunk(one)), wait_at(gate), say(chunk(two) + LAST_CHUNK)))
    with daemon.open_chat(LLAMA) as connection:
        reply = connection.read_head()
        assert connection.read_until(one)
        gate.open()
        connection.read_until(b"\r\n")
        connection.read_body(reply)
    assert (reply.body, reply.complete) == (two, True)


def test_T105_a_loading_model_is_waited_for(daemon: Daemon, upstream: Upstream) -> None:
    loading = json_reply({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, 503)
    upstream.expect(loading, loading, json_reply(chat_reply()))
    reply = daemon.chat(LLAMA)
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (200, "3")


def test_T106_comment_pings_pass_and_keep_the_stream_alive(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(b":\n\n" * 3 + chat_stream()))
    reply = daemon.chat(LLAMA, stream=True)
    assert (reply.body, reply.complete) == (b":\n\n" * 3 + chat_stream(), True)


@pytest.mark.parametrize("end", [LAST_CHUNK, b""])
def test_T107_a_silent_death_is_recorded_as_a_failure(daemon: Daemon, upstream: Upstream, end: bytes) -> None:
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He")) + end), close))
    reply = daemon.chat(LLAMA, stream=True)
    assert not reply.complete
    assert daemon.line_of(reply)["error_type"] == "provider_connection_failed"


def test_T107_a_stream_without_framing_ends_with_its_connection(daemon: Daemon, upstream: Upstream) -> None:
    start = head(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
    upstream.expect(then(say(start + chat_stream()), close), then(say(start + chat_chunk("He")), close))
    assert daemon.chat(LLAMA, stream=True).body == chat_stream()
    broken = daemon.chat(LLAMA, stream=True)
    assert b'"error"' in broken.body
    assert DONE not in broken.body
    assert not broken.complete


@pytest.mark.parametrize("model", ["llama3.2:3b", "qwen2.5-coder:7b-instruct-q4_K_M", "hf.co/x/y:Q4", "a"])
def test_T108_a_tag_is_no_variant(daemon: Daemon, upstream: Upstream, model: str) -> None:
    upstream.expect(json_reply(chat_reply()))
    daemon.chat(f"local/{model}")
    assert upstream.call.json["model"] == model
    assert upstream.call.target == "/local/v1/chat/completions"


@pytest.mark.parametrize(
    "body",
    [
        {"error": "no such model"},
        {"detail": "bad input"},
        {"message": "nope"},
        {"errors": [{"message": "x"}]},
        ["odd"],
        "odd",
    ],
)
def test_T109_error_bodies_of_every_shape_pass_unchanged(daemon: Daemon, upstream: Upstream, body: object) -> None:
    upstream.expect(json_reply(body, 400))
    reply = daemon.chat(LLAMA)
    assert (reply.status, reply.json) == (400, body)
    assert daemon.line_of(reply)["status"] == 400


def test_a_reply_without_framing_is_passed(daemon: Daemon, upstream: Upstream) -> None:
    start = head(200, [("Content-Type", "audio/wav"), ("Connection", "close")])
    upstream.expect(then(say(start + b"sound" * 1000), close))
    reply = daemon.post("/v1/audio/speech", {"model": "local/tts", "input": "x"})
    assert (reply.body, reply.complete) == (b"sound" * 1000, True)
