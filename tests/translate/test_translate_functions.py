"""Chat before it had tools: `functions`, and the one `function_call` of a reply, for other protocols."""

from __future__ import annotations

import json

import pytest
from protocols import bridge, events_of, passed, read_stream, read_whole, stream_of, translated
from upstreams import STORIES, whole_body

from proxy.translate.values import Protocol

FUNCTIONS = {
    "model": "x",
    "messages": [{"role": "user", "content": "Hi"}],
    "functions": [{"name": "look", "parameters": {}}],
}


@pytest.mark.parametrize("source", ["messages", "responses"])
def test_who_offers_functions_is_told_of_a_function_call(source: Protocol) -> None:
    """Chat's older way: one call, without an id, and no tools."""
    stream = passed(bridge(source, "chat", FUNCTIONS), stream_of(source, STORIES[source]()))
    deltas = [event["choices"][0]["delta"] for event in events_of(stream) if event.get("choices")]
    called = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert [part["name"] for part in called if "name" in part] == ["look"]
    assert json.loads("".join(part["arguments"] for part in called)) == {"at": "x"}
    assert "tool_calls" not in stream.decode()
    assert read_stream("chat", stream)["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("source", ["messages", "responses"])
def test_a_whole_reply_to_functions_has_a_function_call(source: Protocol) -> None:
    [choice] = read_whole("chat", bridge(source, "chat", FUNCTIONS).whole(whole_body(source)))["choices"]
    assert choice["message"]["function_call"] == {"name": "look", "arguments": {"at": "x"}}
    assert "tool_calls" not in choice["message"] and choice["finish_reason"] == "function_call"


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_functions_are_asked_for_one_call(target: Protocol) -> None:
    body, losses = translated("chat", target, FUNCTIONS)
    assert body["tools"][0]["name"] == "look" and losses == []
    assert body.get("parallel_tool_calls") is False or body["tool_choice"]["disable_parallel_tool_use"] is True


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_a_function_call_is_a_call(target: Protocol) -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}}
    body = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "function_call"}]}
    whole = read_whole(target, bridge("chat", target).whole(json.dumps(body).encode()))
    assert "look" in json.dumps(whole.get("content") or whole["output"])
