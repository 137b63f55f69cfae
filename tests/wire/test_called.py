"""The names of the tools that replies call, whole and streamed, in three protocols; nothing that they say breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.called import MOST_NAMES, called_in
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings


def chat_call(name: Any, kind: str = "function") -> dict[str, Any]:
    return {"index": 0, "id": "call_1", "type": kind, kind: {"name": name, "arguments": '{"name":"an argument"}'}}


def item(name: Any, kind: str) -> dict[str, Any]:
    return {"id": "1", "type": kind, "name": name, "input": {"name": "an argument"}, "arguments": '{"name":"x"}'}


def chat(*calls: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


WHOLE: list[tuple[str, dict[str, Any], set[str]]] = [
    ("a chat's, whatever its finish reason", chat(chat_call("look")), {"look"}),
    ("several of a chat's, one of them twice", chat(*map(chat_call, ("a", "b", "a"))), {"a", "b"}),
    ("a custom one", chat(chat_call("run", "custom")), {"run"}),
    ("no call", {"choices": [{"message": {"content": "tool_calls"}}]}, set()),
    ("null", {"choices": [{"message": {"tool_calls": None}}], "content": None, "output": None}, set()),
    ("a message's", {"content": [{"type": "text", "text": "a"}, item("look", "tool_use")]}, {"look"}),
    ("the provider's own", {"content": [item("web_search", "server_tool_use")]}, {"web_search"}),
    ("what a block that is no call is named", {"content": [item("look", "text")]}, set()),
    ("a response's", {"output": [item("look", "function_call"), item("run", "custom_tool_call")]}, {"look", "run"}),
    ("names that are none", chat(chat_call(7), chat_call(None), chat_call(["a"])), set()),
    ("kinds that are none", {"output": [item("look", "function_call") | {"type": ["function_call"]}]}, set()),
]


@pytest.mark.parametrize(("body", "names"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_a_whole_reply_names_what_it_calls(body: dict[str, Any], names: set[str]) -> None:
    assert called_in(json.dumps(body).encode()) == names


@pytest.mark.parametrize(
    "body", [b"", b"data: {}", b"[]", b'{"choices":7}', b'{"content":' + b"[" * 5000, b'{"output":[1]}']
)
def test_what_is_no_reply_says_nothing_of_calls(body: bytes) -> None:
    assert called_in(body) is None


def delta(*calls: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]}


def start(block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


STREAMS: list[tuple[str, Shape, list[Any], set[str]]] = [
    (
        "a chat's, its arguments in pieces",
        "chat",
        [delta(chat_call("look")), delta({"index": 0, "function": {"arguments": '{"name":"x"}'}}), delta(chat_call("run"))],
        {"look", "run"},
    ),
    ("what a chat says", "chat", [{"choices": [{"index": 0, "delta": {"content": "look"}}]}], set()),
    ("a message's", "messages", [start({"type": "text", "text": ""}), start(item("look", "tool_use"))], {"look"}),
    (
        "a response's, told twice",
        "responses",
        [
            {"type": "response.output_item.done", "item": item("look", "function_call")},
            {"type": "response.completed", "response": {"output": [item("look", "function_call")]}},
        ],
        {"look"},
    ),
    (
        "one that was cut off",
        "responses",
        [{"type": "response.output_item.done", "item": item("look", "function_call") | {"status": "incomplete"}}],
        {"look"},
    ),
    ("a whole response", "responses", [{"output": [item("look", "function_call")]}], {"look"}),
    (
        "what is none",
        "chat",
        [delta(7, None, [], {"function": 7}, chat_call({})), {"choices": [{"delta": {"tool_calls": {"a": 1}}}]}],
        set(),
    ),
    (
        "what is none in a message",
        "messages",
        [start(item("look", "tool_use") | {"type": ["tool_use"]}), start("tool_use"), start(item(7, "tool_use"))],
        set(),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "events", "names"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_a_stream_names_what_it_calls(shape: Shape, events: list[Any], names: set[str]) -> None:
    findings = Findings(shape)
    for event in events:
        findings.see(json.dumps(event).encode())
    assert findings.called == names


def test_no_more_names_are_kept_than_anybody_means() -> None:
    findings, many = Findings("chat"), [chat_call(f"tool{number}") for number in range(3 * MOST_NAMES)]
    for at in range(0, len(many), 100):
        findings.see(json.dumps(delta(*many[at : at + 100])).encode())
    assert len(findings.called) == MOST_NAMES
    found = called_in(json.dumps(chat(*many)).encode())
    assert found is not None and len(found) == MOST_NAMES
