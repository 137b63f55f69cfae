"""wire.md 6.1 on the real daemon: the usage flag goes in and its event comes out, and usage is found wherever it is."""

from __future__ import annotations

import json

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import (
    DONE,
    OPENAI_USAGE,
    OPENROUTER_USAGE,
    OPENROUTER_USAGE_SHAPES,
    anthropic_stream,
    chat_chunk,
    chat_reply,
    chat_stream,
    event,
    ollama_completions_stream,
    responses_stream,
    usage_chunk,
    vllm_stream,
)
from harness.steps import json_reply, plain_reply, sse
from harness.upstream import Upstream

FLAG = b',"stream_options":{"include_usage":true}'
TOKENS = {"input_tokens": 11, "output_tokens": 4, "cached_tokens": 3}


def tokens_of(daemon: Daemon, reply: object) -> dict[str, object]:
    line = daemon.line_of(reply)  # type: ignore[arg-type]
    return {name: line[name] for name in TOKENS}


@pytest.mark.parametrize("model", ["oai/gpt-4o", "local/llama3.1"])
def test_T01_the_usage_flag_is_added_for_upstreams_that_need_it(daemon: Daemon, upstream: Upstream, model: str) -> None:
    body = json.dumps(chat_body(model, stream=True)).encode()
    upstream.expect(sse(chat_stream(usage_chunk(OPENAI_USAGE))))
    reply = daemon.post("/v1/chat/completions", body)
    sent = upstream.call.body
    assert upstream.call.json["stream_options"] == {"include_usage": True}
    assert sent.replace(FLAG, b"") == body.replace(model.encode(), model.partition("/")[2].encode())
    assert tokens_of(daemon, reply) == TOKENS


def test_T01_openrouter_needs_no_flag_and_gets_none(daemon: Daemon, upstream: Upstream) -> None:
    body = json.dumps(chat_body(stream=True)).encode()
    upstream.expect(sse(chat_stream(usage_chunk(OPENROUTER_USAGE))))
    daemon.post("/v1/chat/completions", body)
    assert upstream.call.body == body


@pytest.mark.parametrize("options", [None, {"include_usage": False}, "absent"])
def test_T02_the_usage_event_we_asked_for_is_taken_out(daemon: Daemon, upstream: Upstream, options: object) -> None:
    members = {} if options == "absent" else {"stream_options": options}
    upstream.expect(sse(chat_stream(usage_chunk(OPENAI_USAGE))))
    reply = daemon.chat("oai/gpt-4o", stream=True, **members)
    assert (reply.body, reply.complete) == (chat_stream(), True)
    assert reply.body.endswith(DONE)
    assert tokens_of(daemon, reply) == TOKENS


def test_T02_a_usage_event_with_choices_stays(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_stream(OPENROUTER_USAGE_SHAPES["repeated_finish"])
    upstream.expect(sse(events))
    assert daemon.chat("oai/gpt-4o", stream=True).body == events


def test_T03_a_client_that_asked_gets_the_usage_event(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_stream(usage_chunk(OPENAI_USAGE))
    body = json.dumps(chat_body("oai/gpt-4o", stream=True, stream_options={"include_usage": True})).encode()
    upstream.expect(sse(events))
    reply = daemon.post("/v1/chat/completions", body)
    assert reply.body == events
    assert upstream.call.body == body.replace(b"oai/gpt-4o", b"gpt-4o")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        ({"include_usage": False, "x": [1]}, {"include_usage": True, "x": [1]}),
        ({}, {"include_usage": True}),
        (None, {"include_usage": True}),
    ],
)
def test_T04_other_stream_options_are_kept(daemon: Daemon, upstream: Upstream, given: object, sent: object) -> None:
    upstream.expect(sse(chat_stream(usage_chunk(OPENAI_USAGE))))
    daemon.chat("oai/gpt-4o", stream=True, stream_options=given)
    assert upstream.call.json["stream_options"] == sent


@pytest.mark.parametrize("members", [{}, {"stream": False}, {"stream": None}])
def test_T05_calls_that_do_not_stream_get_no_flag(
    daemon: Daemon, upstream: Upstream, members: dict[str, object]
) -> None:
    upstream.expect(json_reply(chat_reply(usage=OPENAI_USAGE)))
    reply = daemon.chat("oai/gpt-4o", **members)
    assert "stream_options" not in upstream.call.json
    assert tokens_of(daemon, reply) == TOKENS


def test_T06_a_null_erases_no_usage(daemon: Daemon, upstream: Upstream) -> None:
    events = chat_chunk("He", usage=None) + usage_chunk(OPENROUTER_USAGE) + chat_chunk(finish="stop", usage=None) + DONE
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert reply.body == events
    assert tokens_of(daemon, reply) == TOKENS


@pytest.mark.parametrize("shape", OPENROUTER_USAGE_SHAPES)
def test_T07_usage_is_found_in_each_of_openrouters_shapes(daemon: Daemon, upstream: Upstream, shape: str) -> None:
    events = chat_stream(OPENROUTER_USAGE_SHAPES[shape])
    upstream.expect(sse(events))
    reply = daemon.chat(stream=True)
    assert reply.body == events
    assert tokens_of(daemon, reply) == TOKENS


def test_T08_ollamas_last_usage_wins_over_its_zeros(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(ollama_completions_stream()))
    body = {"model": "local/llama3.1", "prompt": "prompt-canary-7f3a", "stream": True}
    reply = daemon.post("/v1/completions", body)
    line = daemon.line_of(reply)
    assert (line["input_tokens"], line["output_tokens"]) == (11, 4)


def test_T09_vllms_running_totals_are_not_summed(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(vllm_stream()))
    reply = daemon.chat("local/llama3.1", stream=True)
    assert reply.body == vllm_stream()
    line = daemon.line_of(reply)
    assert (line["input_tokens"], line["output_tokens"]) == (11, 4)


def test_T10_an_error_event_with_usage_is_a_failure_with_tokens(daemon: Daemon, upstream: Upstream) -> None:
    last = event({"error": {"message": "Overloaded.", "code": 529}, "usage": OPENROUTER_USAGE, "choices": []})
    upstream.expect(sse(chat_chunk("He") + last))
    reply = daemon.chat(stream=True)
    assert reply.body == chat_chunk("He") + last
    line = daemon.line_of(reply)
    assert line["error_type"] is not None
    assert tokens_of(daemon, reply) == TOKENS


@pytest.mark.parametrize(("more", "expected"), [({}, 11), ({"input_tokens": 20}, 20)])
def test_T19_anthropics_two_usages_are_merged(
    daemon: Daemon, upstream: Upstream, more: dict[str, int], expected: int
) -> None:
    events = anthropic_stream(**more)
    upstream.expect(sse(events))
    body = {**chat_body("anthropic/claude-3.5-sonnet"), "stream": True, "max_tokens": 9}
    reply = daemon.post("/v1/messages", body, [("anthropic-version", "2023-06-01")])
    assert reply.body == events
    line = daemon.line_of(reply)
    # additive: what was read from the cache is input as well
    assert (line["input_tokens"], line["output_tokens"], line["cached_tokens"]) == (expected + 3, 4, 3)


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete", "response.failed"])
def test_T20_a_responses_stream_ends_with_its_terminal_event(daemon: Daemon, upstream: Upstream, last: str) -> None:
    upstream.expect(sse(responses_stream(last)))
    reply = daemon.post("/v1/responses", {"model": "oai/gpt-4o", "input": "prompt-canary-7f3a", "stream": True})
    assert (reply.body, reply.complete) == (responses_stream(last), True)
    assert "stream_options" not in upstream.call.json
    assert tokens_of(daemon, reply) == TOKENS


def test_T23_a_binary_reply_passes_as_it_comes(daemon: Daemon, upstream: Upstream) -> None:
    sound = bytes(range(256)) * 4000
    upstream.expect(plain_reply(sound, headers=[("Content-Type", "audio/mpeg"), ("X-Generation-Id", "gen-speech")]))
    reply = daemon.post("/v1/audio/speech", {"model": "openai/gpt-4o-mini-tts", "input": "hi", "voice": "alloy"})
    assert (reply.body, reply.complete) == (sound, True)
    assert reply.header("content-type") == "audio/mpeg"
    assert reply.header("content-length") == str(len(sound))
    assert daemon.line_of(reply)["upstream_request_id"] == "gen-speech"


def test_T24_embeddings_usage_has_no_output(daemon: Daemon, upstream: Upstream) -> None:
    answer = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    upstream.expect(json_reply(answer))
    reply = daemon.post("/v1/embeddings", {"model": "oai/text-embedding-3-small", "input": "prompt-canary-7f3a"})
    assert reply.json == answer
    line = daemon.line_of(reply)
    assert line["input_tokens"] == 8
    assert not line["output_tokens"]


def test_T25_seconds_of_sound_are_not_taken_for_tokens(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"text": "hi", "usage": {"type": "duration", "seconds": 9}}))
    reply = daemon.post("/v1/audio/transcriptions", {"model": "oai/whisper-1"})
    line = daemon.line_of(reply)
    assert not line["input_tokens"]
    assert not line["output_tokens"]


def test_T25_a_transcript_that_is_not_json_passes(daemon: Daemon, upstream: Upstream) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\nHallo Wörld\n".encode()
    upstream.expect(plain_reply(text, headers=[("Content-Type", "text/plain; charset=utf-8")]))
    reply = daemon.post("/v1/audio/transcriptions", {"model": "oai/whisper-1"})
    assert (reply.body, reply.header("content-type")) == (text, "text/plain; charset=utf-8")
