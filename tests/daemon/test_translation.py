"""Calls in a protocol that the provider does not speak, on the real daemon and read by the official SDKs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from harness.daemon import Daemon
from harness.events import OPENAI_USAGE, anthropic_stream, chat_chunk, chat_reply, chat_stream, event, usage_chunk
from harness.setting import CLIENT_KEY, config_for
from harness.steps import chunk, close, json_reply, plain_reply, say, sse, sse_apart, stream_head, then
from harness.upstream import Upstream

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
MESSAGES = {"model": "chatty/llama", "max_tokens": 50, "messages": HI}
RESPONSES = {"model": "chatty/llama", "input": "Hi"}
NOT_FOUND = plain_reply(b"404 page not found", 404)


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Providers that speak one protocol each, and some of whom nothing is known."""
    config = config_for(upstream_server)
    free = {"kind": "openai", "free": True}
    for name, speaks in (("only-messages", "messages"), ("only-responses", "responses"), ("chatty", "chat")):
        config["providers"][name] = {**free, "base_url": f"{upstream_server.url}/{name}/v1", "speaks": [speaks]}
    studios = [f"studio-{path}-{streamed}" for path in ("messages", "responses") for streamed in ("true", "false")]
    for name in ("unknown", "learner", *studios):
        config["providers"][name] = {**free, "base_url": f"{upstream_server.url}/{name}/v1"}
    config["models"]["two-tongues"] = {"target": "local/llama3.1", "fallbacks": ["anthropic/claude-sonnet-4.5"]}
    for name in ("False", "True"):
        target = {"target": f"only-responses/gpt-{name}", "fallbacks": ["local/llama3.1"]}
        config["models"][f"stands-in-{name}"] = target
    config["keys"]["strict"] = {"key": "sk-strict", "translation": {"lossy": "reject"}}
    with Daemon(config, tmp_path_factory.mktemp("translation"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


@contextmanager
def claude(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=daemon.url.removesuffix("/v1"), api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@contextmanager
def codex(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=daemon.url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


def called(text: str, finish: str | None = None) -> bytes:
    """A piece of a call's arguments."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": text}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": finish}
    return event({"id": "x", "object": "chat.completion.chunk", "model": "llama", "choices": [choice]})


def test_claude_code_talks_to_a_server_that_only_knows_chat(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        sse(
            chat_chunk("Let me ")
            + called('{"at": ')
            + called('"x"}', "tool_calls")
            + usage_chunk(OPENAI_USAGE)
            + b"data: [DONE]\n\n"
        )
    )
    with claude(daemon) as client, client.messages.stream(**MESSAGES, tools=[TOOL], system="Be brief.") as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[1].input == {"at": "x"} and message.stop_reason == "tool_use"
    assert message.usage.input_tokens == 8 and message.usage.cache_read_input_tokens == 3
    call = upstream.call
    assert call.target == "/chatty/v1/chat/completions"
    assert [message["role"] for message in call.json["messages"]] == ["system", "user"]
    assert call.json["stream_options"] == {"include_usage": True} and call.json["max_tokens"] == 50


def test_codex_talks_to_a_server_that_only_knows_chat(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_stream(usage_chunk(OPENAI_USAGE))))
    with codex(daemon) as client, client.responses.stream(**RESPONSES, tools=[{"type": "web_search"}]) as stream:
        response = stream.get_final_response()
    assert response.output_text == "Hello wörld 😀" and response.usage.input_tokens == 11
    line = daemon.wait_for_log(
        lambda line: line.get("adjusted") == ["protocol=responses>chat", "dropped=tools.web_search"]
    )
    assert (line["endpoint"], line["input_tokens"], line["output_tokens"]) == ("responses", 11, 4)
    assert (
        daemon.metric(
            "tollkeeper_translation_losses_total", **{"from": "responses", "to": "chat", "field": "tools.web_search"}
        )
        >= 1
    )


def test_what_was_changed_is_named(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.post("/v1/responses", {**RESPONSES, "truncation": "auto"})
    assert reply.status == 200 and json.loads(reply.body)["object"] == "response"
    assert reply.header("x-tollkeeper-adjusted") == "protocol=responses>chat, dropped=truncation"
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize("speaks", ["messages", "responses"])
def test_a_chat_client_talks_to_any_other(daemon: Daemon, upstream: Upstream, speaks: str) -> None:
    response = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
        "usage": {"input_tokens": 11, "output_tokens": 4},
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 11, "output_tokens": 4},
    }
    upstream.expect(json_reply(message if speaks == "messages" else response))
    with codex(daemon) as client:
        reply = client.chat.completions.create(model=f"only-{speaks}/m", messages=HI)
    assert reply.choices[0].message.content == "Hello"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 4)
    assert upstream.call.target.endswith(f"/{speaks}")
    if speaks == "messages":
        assert upstream.call.json["max_tokens"] == 32_768


def test_native_calls_are_as_they_were(daemon: Daemon, upstream: Upstream) -> None:
    body = json.dumps({"model": "only-messages/m", "messages": HI, "max_tokens": 5, "odd": [1e2]}).encode()
    events = anthropic_stream()
    upstream.expect(sse(events))
    reply = daemon.post("/v1/messages", body.replace(b'"odd"', b'"stream": true, "odd"'))
    assert reply.body == events and reply.header("x-tollkeeper-adjusted") is None
    assert b'"odd": [100.0]' in upstream.call.body


def test_what_is_not_known_is_tried_and_learnt(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(NOT_FOUND, json_reply(chat_reply()), json_reply(chat_reply()))
    first, second = (daemon.post("/v1/messages", {**MESSAGES, "model": "learner/llama"}) for _ in range(2))
    assert first.status == second.status == 200
    assert json.loads(first.body)["content"][0]["text"]
    paths = [call.target for call in upstream.wait_for_calls(3)]
    assert paths == ["/learner/v1/messages", "/learner/v1/chat/completions", "/learner/v1/chat/completions"]
    assert first.header("x-tollkeeper-attempts") == "2" and second.header("x-tollkeeper-attempts") == "1"


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("path", "body"), [("messages", MESSAGES), ("responses", RESPONSES)])
def test_a_200_that_knows_no_such_endpoint_is_taken_for_what_it_says(
    daemon: Daemon, upstream: Upstream, path: str, body: dict[str, Any], streamed: bool
) -> None:
    """LM Studio's answer."""
    no_endpoint = json_reply({"error": f"Unexpected endpoint or method. (POST /v1/{path})"})
    upstream.expect(no_endpoint, sse(chat_stream()) if streamed else json_reply(chat_reply()))
    name = f"studio-{path}-{streamed}".lower()
    reply = daemon.post(f"/v1/{path}", {**body, "model": f"{name}/llama", "stream": streamed})
    assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, f"protocol={path}>chat")
    paths = [call.target for call in upstream.wait_for_calls(2)]
    assert paths == [f"/{name}/v1/{path}", f"/{name}/v1/chat/completions"]


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("messages", MESSAGES, json_reply({"error": {"message": "model 'llama' not found"}}, 404)),
        ("responses", {**RESPONSES, "previous_response_id": "resp_1"}, NOT_FOUND),
        ("chat/completions", {"model": "x", "messages": HI}, NOT_FOUND),
    ],
)
def test_an_error_about_something_else_passes_as_it_came(
    daemon: Daemon, upstream: Upstream, path: str, body: dict[str, Any], answer: Any
) -> None:
    upstream.expect(answer)
    reply = daemon.post(f"/v1/{path}", {**body, "model": "unknown/llama"})
    assert reply.status == 404 and upstream.call.target == f"/unknown/v1/{path}"


def test_a_call_falls_back_across_protocols(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "no such model"}}, 404), sse(anthropic_stream()))
    with codex(daemon) as client, client.responses.stream(model="two-tongues", input="Hi") as stream:
        assert stream.get_final_response().output_text
    paths = [call.target for call in upstream.wait_for_calls(2)]
    assert paths == ["/local/v1/responses", "/anthropic/v1/messages"]
    assert upstream.calls[-1].json["max_tokens"] > 1000


def test_an_error_reaches_the_client_in_its_own_envelope(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        json_reply({"error": {"message": "prompt exceeds the context window", "type": "x", "code": 400}}, 400)
    )
    with claude(daemon) as client, pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**MESSAGES)
    assert caught.value.body["error"] == {
        "type": "invalid_request_error",
        "message": "prompt is too long: prompt exceeds the context window",
    }


FAILURES = [
    ({"code": "rate_limit_exceeded", "message": "Too many."}, openai.RateLimitError, "rate_limit_exceeded"),
    ({"code": "server_error", "message": "It broke."}, openai.InternalServerError, "server_error"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("error", "raised", "code"), FAILURES)
def test_a_response_that_failed_is_told_as_it_says(
    daemon: Daemon,
    upstream: Upstream,
    error: dict[str, str],
    raised: type[openai.APIStatusError],
    code: str,
    streamed: bool,
) -> None:
    upstream.expect(
        json_reply({"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": []})
    )
    with codex(daemon) as client, pytest.raises(raised) as told:
        client.chat.completions.create(model="only-responses/gpt-x", messages=HI, stream=streamed)
    assert (told.value.code, told.value.body["message"]) == (code, error["message"])
    assert "x-should-retry" not in told.value.response.headers


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_that_failed_goes_to_the_fallback_of_a_chat(
    daemon: Daemon, upstream: Upstream, streamed: bool
) -> None:
    error = {"code": "server_error", "message": "It broke."}
    failed = json_reply({"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": []})
    if streamed:
        failed = sse(event({"type": "error", **error, "param": None, "sequence_number": 0}))
    upstream.expect(failed, failed, failed, sse(chat_stream()) if streamed else json_reply(chat_reply()))
    reply = daemon.post("/v1/chat/completions", {"model": f"stands-in-{streamed}", "messages": HI, "stream": streamed})
    assert reply.status == 200 and b"chat.completion" in reply.body and b"error" not in reply.body
    paths = [call.target for call in upstream.wait_for_calls(4)]
    assert paths == [*["/only-responses/v1/responses"] * 3, "/local/v1/chat/completions"]


def test_an_answer_that_begins_anew_in_the_middle_is_an_error_in_the_log_too(
    daemon: Daemon, upstream: Upstream
) -> None:
    cut = anthropic_stream(text="First").split(b"event: message_delta")[0]
    upstream.expect(sse(cut + anthropic_stream().replace(b"msg_1", b"msg_2")))
    body = {"model": "only-messages/claude-anew", "messages": HI, "stream": True}
    headers = [("Authorization", f"Bearer {CLIENT_KEY}"), ("Idempotency-Key", "anew")]
    reply = daemon.post("/v1/chat/completions", body, headers)
    assert b"First" in reply.body and b"upstream_reset" in reply.body and b"[DONE]" not in reply.body
    line = daemon.wait_for_log(lambda line: line.get("target") == "only-messages/claude-anew")
    assert line["error"] == "upstream_reset" and line["tried"][0]["outcome"] == "200_error_502"
    upstream.expect(sse(anthropic_stream()))
    assert b"[DONE]" in daemon.post("/v1/chat/completions", body, headers).body


def test_an_error_without_a_code_has_none(daemon: Daemon, upstream: Upstream) -> None:
    error = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    upstream.expect(json_reply({"error": error}, 400))
    with codex(daemon) as client, pytest.raises(openai.BadRequestError) as told:
        client.chat.completions.create(model="only-responses/gpt-x", messages=HI)
    assert told.value.body == error


def test_a_stream_that_breaks_off_ends_in_an_error_of_the_clients_protocol(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        then(say(stream_head(), chunk(chat_chunk("Hello"))), close),
        then(say(stream_head(), chunk(chat_chunk("Hello"))), close),
    )
    with (
        claude(daemon) as client,
        client.messages.stream(**MESSAGES) as stream,
        pytest.raises(anthropic.APIError) as caught,
    ):
        stream.get_final_message()
    assert "in the middle" in str(caught.value)
    reply = daemon.post("/v1/responses", {**RESPONSES, "stream": True})
    last = json.loads(reply.body.rstrip().rpartition(b"data: ")[2])
    assert last["type"] == "response.failed" and not reply.complete
    assert last["response"]["error"]["code"] == "upstream_reset"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_reply_that_is_packed_though_nobody_asked_is_named_so(
    daemon: Daemon, upstream: Upstream, streamed: bool
) -> None:
    packed = gzip.compress(chat_stream() if streamed else json.dumps(chat_reply()).encode())
    upstream.expect(plain_reply(packed, headers=[("Content-Encoding", "gzip"), ("Content-Type", "text/event-stream")]))
    reply = daemon.post("/v1/responses", {**RESPONSES, "stream": streamed})
    assert (reply.status, reply.error["code"]) == (502, "upstream_bad_response")
    assert "packed (gzip)" in reply.error["message"]


def test_pieces_that_come_one_by_one_are_all_told(daemon: Daemon, upstream: Upstream) -> None:
    words = [f"word{number} " for number in range(40)]
    usage = {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}
    pieces = [*map(chat_chunk, words), chat_chunk(finish="stop"), usage_chunk(usage), b"data: [DONE]\n\n"]
    upstream.expect(sse_apart(pieces), sse_apart(pieces))
    with claude(daemon) as client, client.messages.stream(**MESSAGES) as told:
        message = told.get_final_message()
    assert message.content[0].text == "".join(words) and message.usage.output_tokens == 40
    with codex(daemon) as client, client.responses.stream(**RESPONSES) as stream:
        response = stream.get_final_response()
    assert response.output_text == "".join(words) and response.usage.output_tokens == 40


def test_state_that_nobody_keeps_is_refused(daemon: Daemon, upstream: Upstream) -> None:
    reply = daemon.post("/v1/responses", {**RESPONSES, "previous_response_id": "resp_1"})
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "translation_lossy", "previous_response_id")
    assert "whole conversation" in error["message"]


@pytest.mark.parametrize("streamed", [True, False])
def test_items_that_were_answered_here_may_be_referred_to(daemon: Daemon, upstream: Upstream, streamed: bool) -> None:
    """As the AI SDK does from the second turn on, unless it is told `store: false`."""
    thought = event({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]})
    upstream.expect(sse(thought + chat_stream()) if streamed else json_reply(chat_reply()))
    with codex(daemon) as client:
        if streamed:
            with client.responses.stream(**RESPONSES) as stream:
                response = stream.get_final_response()
        else:
            response = client.responses.create(**RESPONSES)
        references = [{"type": "item_reference", "id": item.id} for item in response.output]
        upstream.reset()
        upstream.expect(json_reply(chat_reply()))
        again = [{"role": "user", "content": "Hi"}, *references, {"role": "user", "content": "And?"}]
        client.responses.create(**{**RESPONSES, "input": again})
    messages = upstream.call.json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == response.output_text
    assert messages[1].get("reasoning_content") == ("Hm." if streamed else None)
    refused = daemon.post(
        "/v1/responses", {**RESPONSES, "input": again}, headers=[("Authorization", "Bearer sk-strict")]
    )
    assert (refused.status, refused.error["param"]) == (400, "item_reference")
    assert "store: false" in refused.error["message"]


def test_items_of_a_client_that_keeps_them_itself_are_not_kept(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    item = json.loads(daemon.post("/v1/responses", {**RESPONSES, "store": False}).body)["output"][0]
    reply = daemon.post("/v1/responses", {**RESPONSES, "input": [{"type": "item_reference", "id": item["id"]}]})
    assert (reply.status, reply.error["code"]) == (400, "translation_lossy")


def test_a_key_may_want_all_or_nothing(daemon: Daemon, upstream: Upstream) -> None:
    headers = [("Authorization", "Bearer sk-strict")]
    upstream.expect(json_reply(chat_reply()))
    assert daemon.post("/v1/responses", RESPONSES, headers).status == 200
    reply = daemon.post("/v1/responses", {**RESPONSES, "truncation": "auto"}, headers)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "translation_lossy", "truncation")


def test_what_a_provider_does_not_serve_names_who_would(daemon: Daemon) -> None:
    reply = daemon.post("/v1/embeddings", {"model": "chatty/m", "input": "x"})
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (404, "endpoint_not_served")
    assert "openrouter" in error["message"]


def test_tokens_are_estimated_where_nobody_counts_them(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(NOT_FOUND)
    reply = daemon.post("/v1/messages/count_tokens", {"model": "chatty/llama", "messages": HI})
    assert reply.status == 200 and json.loads(reply.body)["input_tokens"] > 0
    assert reply.header("x-tollkeeper-adjusted") == "input_tokens=estimated"
    upstream.expect(json_reply({"input_tokens": 7}))
    assert json.loads(daemon.post("/v1/messages/count_tokens", {"model": "chatty/llama", "messages": HI}).body) == {
        "input_tokens": 7
    }


def test_thoughts_are_put_back_for_a_client_that_drops_them(daemon: Daemon, upstream: Upstream) -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
    ]
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    upstream.expect(json_reply(message), json_reply(message))
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    with codex(daemon) as client:
        asked = {"model": "only-messages/m", "tools": tools, "reasoning_effort": "low", "max_tokens": 9000}
        call = client.chat.completions.create(messages=HI, **asked).choices[0].message.tool_calls[0]
        turn = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
        client.chat.completions.create(
            messages=[*HI, turn, {"role": "tool", "tool_call_id": call.id, "content": "1"}], **asked
        )
    assert upstream.wait_for_calls(2)[1].json["messages"][1]["content"][0] == blocks[0]
