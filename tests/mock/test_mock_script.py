"""Streams as frames: shapes, order, and where they break."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.mock.answer import Turn, compose
from proxy.mock.asked import read_asked
from proxy.mock.behaviours import parse_behaviour
from proxy.mock.catalogue import price_of, served_name
from proxy.mock.envelopes import Failure, encoded, first_event
from proxy.mock.frames import COMMENT
from proxy.mock.script import BODIES, FRAMES, Step, body_pause, refusal, steps

HI = [{"role": "user", "content": "one two"}]


def turn_of(model: str, profile: Any = "openrouter", endpoint: str = "chat/completions", **fields: Any) -> Turn:
    given = {"responses": {"input": HI}, "completions": {"prompt": "one two"}}.get(endpoint, {"messages": HI})
    whole = {"model": model, **given, "stream": True, **fields}
    asked = read_asked(profile, endpoint, whole)
    behaviour = parse_behaviour(asked.model)
    answer = compose(asked, behaviour, price_of(model))
    return Turn(asked, behaviour, answer, served_name(model), "S" * 20, 1_784_050_000)


def played(turn: Turn) -> list[Step]:
    return list(steps(turn, FRAMES[turn.asked.endpoint](turn)))


def events(turn: Turn) -> list[dict[str, Any]]:
    """The JSON of every data line but [DONE]."""
    lines = b"".join(step.data for step in played(turn)).decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def wire(turn: Turn) -> bytes:
    return b"".join(step.data for step in played(turn))


def test_openrouter_sends_comments_first_and_repeats_the_role() -> None:
    turn = turn_of("mock/echo")
    assert wire(turn).startswith(COMMENT.data * 2 + b'data: {"id":"gen-1784050000-SSSSSSSSSSSSSSSSSSSS","object":')
    assert wire(turn).endswith(b"data: [DONE]\n\n")
    seen = events(turn)
    assert list(seen[0]) == ["id", "object", "created", "model", "provider", "choices"]
    assert {choice["delta"]["role"] for event in seen for choice in event["choices"]} == {"assistant"}
    assert "".join(event["choices"][0]["delta"]["content"] for event in seen) == "one two"


@pytest.mark.parametrize(
    ("shape", "choices", "finishes"), [(1, 1, ["stop"]), (2, 0, ["stop"]), (3, 1, ["stop", "stop"])]
)
def test_the_usage_chunk_has_three_shapes(shape: int, choices: int, finishes: list[str]) -> None:
    seen = events(turn_of(f"mock/echo?usage_shape={shape}"))
    assert len(seen[-1]["choices"]) == choices
    assert seen[-1]["usage"]["completion_tokens"] == 2
    assert [c["finish_reason"] for e in seen for c in e["choices"] if c["finish_reason"]] == finishes
    assert [event for event in seen if "usage" in event] == [seen[-1]]


@pytest.mark.parametrize("profile", ["openai", "anthropic"])
def test_elsewhere_usage_comes_only_when_asked_for(profile: str) -> None:
    silent = events(turn_of("echo", profile))
    asked = events(turn_of("echo", profile, stream_options={"include_usage": True}))
    assert all("usage" not in event for event in silent)
    assert [event["usage"] for event in asked[:-1]] == [None] * (len(asked) - 1)
    assert (asked[-1]["choices"], asked[-1]["usage"]["total_tokens"]) == ([], 4)
    assert "cost" not in asked[-1]["usage"]


def test_openai_pads_its_chunks_unless_told_not_to() -> None:
    assert all("obfuscation" in event for event in events(turn_of("echo", "openai")))
    bare = events(turn_of("echo", "openai", stream_options={"include_obfuscation": False}))
    assert all("obfuscation" not in event for event in bare)


def test_several_choices_interleave_and_each_finishes() -> None:
    seen = [event["choices"][0] for event in events(turn_of("mock/echo", n=2))[:-1]]
    assert [choice["index"] for choice in seen] == [0, 1] * 4
    assert [choice["index"] for choice in seen if choice["finish_reason"]] == [0, 1]


@pytest.mark.parametrize("endpoint", sorted(FRAMES))
@pytest.mark.parametrize("model", ["mock/echo", "mock/reasoning", "mock/image", "mock/tool", "mock/json"])
def test_emitted_tokens_add_up_to_the_usage(endpoint: str, model: str) -> None:
    turn = turn_of(model, endpoint=endpoint, tools=[{"name": "look", "parameters": {"required": ["a"]}}])
    assert sum(step.tokens for step in played(turn)) == turn.answer.output_tokens > 0


def test_a_tool_call_is_split_over_deltas() -> None:
    seen = events(turn_of("mock/tool", tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}]))
    calls = [call for event in seen[:-1] for call in event["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["id"] == "call_" + "S" * 20
    assert all("id" not in call for call in calls[1:])
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {}


def test_messages_name_their_events_and_count_cumulatively() -> None:
    text = wire(turn_of("echo", "anthropic", "messages", max_tokens=9)).decode()
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        assert name == "event: " + json.loads(data.removeprefix("data: "))["type"]
    kinds = [event["type"] for event in events(turn_of("echo", "anthropic", "messages"))]
    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "[DONE]" not in text
    started, told = (json.loads(text.split("data: ")[at].split("\n")[0]) for at in (1, -2))
    assert told["usage"]["input_tokens"] == started["message"]["usage"]["input_tokens"] > 0


def test_openrouters_messages_carry_the_cost() -> None:
    seen = events(turn_of("echo", endpoint="messages"))
    assert seen[0]["message"]["provider"] == "Mock"
    assert "cost" in seen[-2]["usage"]
    assert "cost" not in events(turn_of("echo", "anthropic", "messages"))[-2]["usage"]


def test_responses_number_their_events_and_end_without_done() -> None:
    turn = turn_of("echo", "openai", "responses")
    seen = events(turn)
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert (seen[-1]["type"], seen[-1]["response"]["usage"]["output_tokens"]) == ("response.completed", 2)
    assert b"[DONE]" not in wire(turn)


def test_a_response_that_hits_its_maximum_is_incomplete() -> None:
    last = events(turn_of("echo", "openai", "responses", max_output_tokens=1))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("endpoint", sorted(FRAMES))
@pytest.mark.parametrize("name", ["no-done", "no-finish"])
def test_a_stream_may_end_without_its_end(endpoint: str, name: str) -> None:
    text = wire(turn_of(f"mock/{name}", endpoint=endpoint)).decode()
    for end in ("[DONE]", "message_stop", "response.completed"):
        assert end not in text
    finished = '"finish_reason":"stop"' in text or '"stop_reason":"end_turn"' in text
    assert finished == (name == "no-done" and endpoint != "responses")


@pytest.mark.parametrize(
    ("model", "effect"),
    [("mock/cut?after=2", "cut"), ("mock/cut?after=2&rst=1", "reset"), ("mock/hang?after=2", "hang")],
)
@pytest.mark.parametrize("endpoint", sorted(FRAMES))
def test_a_stream_breaks_after_so_many_events(model: str, effect: str, endpoint: str) -> None:
    *before, last = played(turn_of(model, endpoint=endpoint))
    assert last == Step(effect=effect)
    assert sum(step.data.count(b"data: ") for step in before) == 2


def test_a_stream_that_breaks_at_once_sends_not_even_a_comment() -> None:
    assert played(turn_of("mock/hang?after=headers")) == [Step(effect="hang")]


def test_a_break_beyond_the_end_never_comes() -> None:
    assert wire(turn_of("mock/cut?after=99")).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("style", "code", "finish", "done"),
    [("doc", 502, "error", False), ("recorded", 502, None, True), ("string", "server_error", "error", False)],
)
def test_an_error_inside_a_stream_has_three_forms(style: str, code: object, finish: str | None, done: bool) -> None:
    turn = turn_of(f"mock/mid-stream-error?after=2&style={style}")
    last = events(turn)[-1]
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (code, finish)
    assert ("usage" in last) == done
    assert wire(turn).endswith(b"data: [DONE]\n\n") == done
    assert any(step.effect == "forgive" for step in played(turn)) != done


@pytest.mark.parametrize(
    ("profile", "endpoint", "start"),
    [
        ("openai", "chat/completions", b'data: {"error":{"message":'),
        ("openai", "responses", b'event: error\ndata: {"type":"error","code":"provider_unavailable"'),
        ("openrouter", "responses", b'event: error\ndata: {"type":"error","code":'),
        ("anthropic", "messages", b'event: error\ndata: {"type":"error","error":{"type":"api_error"'),
        ("openrouter", "messages", b'event: error\ndata: {"type":"error","error":{"type":"api_error"'),
    ],
)
def test_an_error_inside_a_stream_speaks_the_language_of_the_api(profile: Any, endpoint: str, start: bytes) -> None:
    assert played(turn_of("mid-stream-error?after=1", profile, endpoint))[-1].data.startswith(start)


def test_comments_may_come_in_numbers_and_between_events() -> None:
    turn = turn_of("mock/comments?n=17&between=2&interval=0.1")
    seen = played(turn)
    assert [step.data for step in seen[:17]] == [COMMENT.data] * 17
    assert [step.pause for step in seen[:17]] == [0.1] * 17
    assert [step.data for step in seen[18:20]] == [COMMENT.data] * 2


def test_a_slow_stream_waits_before_each_word() -> None:
    turn = turn_of("mock/slow?ttft=2&interval=0.5&tokens=3")
    assert [step.pause for step in played(turn) if step.pause] == [2.0, 0.5, 0.5]
    assert body_pause(turn) == 3.0


def test_a_big_answer_is_one_line() -> None:
    assert max(len(step.data) for step in played(turn_of("mock/big?bytes=300000"))) > 300_000


def test_a_truncated_stream_ends_inside_an_event() -> None:
    last = played(turn_of("mock/truncated"))[-1]
    assert last.data.startswith(b"data: {")
    assert not last.data.endswith(b"\n")


@pytest.mark.parametrize(("model", "choices"), [("mock/empty-choices", []), ("mock/empty-choices?null=1", None)])
def test_choices_may_be_empty_or_null(model: str, choices: object) -> None:
    assert all(event["choices"] == choices for event in events(turn_of(model)))
    for endpoint in ("chat/completions", "completions"):
        assert BODIES[endpoint](turn_of(model, endpoint=endpoint))["choices"] == choices


def test_the_other_apis_may_have_no_output_either() -> None:
    assert BODIES["responses"](turn_of("mock/empty-choices", endpoint="responses"))["output"] == []
    assert BODIES["messages"](turn_of("mock/empty-choices", endpoint="messages"))["content"] == []


def test_a_chat_reply_has_its_keys_in_the_recorded_order() -> None:
    body = BODIES["chat/completions"](turn_of("mock/echo"))
    assert list(body) == ["id", "object", "created", "model", "provider", "system_fingerprint", "choices", "usage"]
    usage = body["usage"]
    assert list(usage)[:5] == ["prompt_tokens", "completion_tokens", "total_tokens", "cost", "is_byok"]
    assert list(body["choices"][0]) == ["index", "logprobs", "finish_reason", "native_finish_reason", "message"]


def test_a_picture_is_a_data_url() -> None:
    message = BODIES["chat/completions"](turn_of("mock/image"))["choices"][0]["message"]
    assert message["images"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_thoughts_are_shown_where_the_api_has_a_place_for_them() -> None:
    chat = BODIES["chat/completions"](turn_of("mock/reasoning?thoughts=1"))["choices"][0]["message"]
    assert (chat["reasoning"], chat["reasoning_details"][0]["type"]) == (" thought1", "reasoning.text")
    message = BODIES["messages"](turn_of("mock/reasoning?thoughts=1", endpoint="messages"))
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    response = BODIES["responses"](turn_of("mock/reasoning?thoughts=1", endpoint="responses"))
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    openai = BODIES["chat/completions"](turn_of("reasoning?thoughts=1", "openai"))
    assert openai["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1


LOOK = {"type": "custom", "name": "look"}
EYES = {"type": "namespace", "name": "eyes", "tools": [LOOK]}


@pytest.mark.parametrize("brought", [False, True])
@pytest.mark.parametrize("tool", [LOOK, EYES])
def test_a_custom_tool_is_called_wherever_it_stands(tool: dict[str, Any], *, brought: bool) -> None:
    said: list[dict[str, Any]] = [{"role": "user", "content": 'mock: call look {"input": "up !"}'}]
    asked: dict[str, Any] = {"input": said, "tools": [tool]}
    if brought:
        asked = {"input": [{"type": "additional_tools", "role": "developer", "tools": [tool]}, *said]}
    turn = turn_of("echo", endpoint="responses", **asked)
    call = BODIES["responses"](turn)["output"][0]
    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "look", "up !")
    assert call.get("namespace") == ("eyes" if tool is EYES else None)
    kinds = [event["type"] for event in events(turn)]
    assert kinds.count("response.custom_tool_call_input.delta") == 2


def test_openai_makes_a_conversation_shorter_where_its_last_item_says_so() -> None:
    turn = turn_of("echo", "openai", "responses", input=[*HI, {"type": "compaction_trigger"}])
    (item,) = BODIES["responses"](turn)["output"]
    assert (item["type"], item["encrypted_content"]) == ("compaction", "one two")
    kinds = [event["type"] for event in events(turn)]
    assert kinds[2:-1] == ["response.output_item.added", "response.output_item.done"]


def test_tool_calls_that_were_cut_show_what_there_is() -> None:
    tools = [{"name": "look", "parameters": {"required": ["a", "b"]}}]
    message = BODIES["messages"](turn_of("mock/tool", endpoint="messages", tools=tools, max_tokens=1))
    assert (message["content"][0]["input"], message["stop_reason"]) == ({}, "max_tokens")
    whole = BODIES["messages"](turn_of("mock/tool", endpoint="messages", tools=tools))
    assert whole["content"][0]["input"] == {"a": "mock", "b": "mock"}
    call = BODIES["responses"](turn_of("mock/tool", endpoint="responses", tools=tools))["output"][0]
    assert json.loads(call["arguments"]) == {"a": "mock", "b": "mock"}


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("mock/afford?tokens=80", {"max_tokens": 81}, "You requested up to 81 tokens, but can only afford 80."),
        ("mock/afford", {}, "You requested up to 65536 tokens, but can only afford 0."),
    ],
)
def test_credits_reach_only_so_far(model: str, fields: dict[str, int], message: str) -> None:
    failure = refusal(turn_of(model, **fields))
    assert failure is not None
    assert failure.status == 402
    assert failure.message == "This request requires more credits, or fewer max_tokens. " + message


def test_what_is_affordable_is_not_refused() -> None:
    assert refusal(turn_of("mock/afford?tokens=80", max_tokens=80)) is None
    assert refusal(turn_of("mock/echo")) is None


@pytest.mark.parametrize(
    ("profile", "endpoint", "failure", "body"),
    [
        (
            "openrouter",
            "chat/completions",
            Failure(404, "no"),
            {"error": {"message": "no", "code": 404}, "user_id": "user_mock"},
        ),
        (
            "openrouter",
            "responses",
            Failure(404, "no"),
            {"error": {"code": "not_found", "message": "no"}, "metadata": None},
        ),
        (
            "openrouter",
            "messages",
            Failure(404, "no"),
            {
                "type": "error",
                "error": {"type": "not_found_error", "message": "no", "error_type": "not_found"},
                "request_id": "r",
            },
        ),
        (
            "openai",
            "chat/completions",
            Failure(429, "no"),
            {"error": {"message": "no", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        ),
        (
            "openai",
            "chat/completions",
            Failure(429, "no", "insufficient_quota"),
            {"error": {"message": "no", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}},
        ),
        (
            "anthropic",
            "messages",
            Failure(529, "no"),
            {"type": "error", "error": {"type": "overloaded_error", "message": "no"}, "request_id": "r"},
        ),
        (
            "anthropic",
            "chat/completions",
            Failure(400, "no"),
            {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}},
        ),
    ],
)
def test_each_provider_has_its_own_envelope(profile: Any, endpoint: str, failure: Failure, body: object) -> None:
    assert json.loads(encoded(profile, endpoint, failure, "r")) == body


@pytest.mark.parametrize(("code", "shown"), [("7", 7), ("server_error", "server_error")])
def test_openrouters_code_is_a_number_or_a_word(code: str, shown: object) -> None:
    assert json.loads(encoded("openrouter", "chat/completions", Failure(500, "", code), ""))["error"]["code"] == shown


@pytest.mark.parametrize("endpoint", sorted(FRAMES))
def test_an_error_as_the_first_event_has_no_choices(endpoint: str) -> None:
    data = first_event("openrouter", endpoint, Failure(429), "r").data.split(b"data: ", 1)[1]
    assert "choices" not in json.loads(data)
    assert b"Rate limit exceeded" in data
