"""Which event of a stream is its first token: the forms that providers send, as they were recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.endpoints import Shape
from proxy.wire.first_token import has_first_token


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chat(**delta: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None})


def item(kind: str, moment: str = "added", **members: Any) -> bytes:
    return event({"type": f"response.output_item.{moment}", "item": {"type": kind, "status": "in_progress", **members}})


def block(kind: str, **members: Any) -> bytes:
    return event({"type": "content_block_start", "index": 0, "content_block": {"type": kind, **members}})


def piece(kind: str, **members: Any) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": kind, **members}})


def tool(name: str | None, arguments: str | None) -> list[dict[str, Any]]:
    return [{"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}]


NOT_YET: list[tuple[Shape, bytes]] = [
    ("chat", b": OPENROUTER PROCESSING\n\n"),
    ("chat", b"event: ping\n\n"),
    ("chat", b"data:\n\n"),
    ("chat", b"data: [DONE]\n\n"),
    ("chat", event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})),
    ("chat", event({"choices": [], "usage": {"prompt_tokens": 8}})),
    ("chat", chat(role="assistant", content="", refusal=None)),
    ("chat", chat(role="assistant", content=None, reasoning_content="", tool_calls=None)),
    ("chat", chat(role="assistant", content=[])),
    ("chat", chat(role="assistant", content="", annotations=[{"type": "url_citation", "url_citation": {"title": "a page"}}])),
    ("chat", chat(content="", reasoning="", reasoning_details=[{"type": "reasoning.text", "text": "", "format": "x"}])),
    ("chat", chat(audio={"id": "audio_1", "expires_at": 7})),
    ("chat", chat(tool_calls=[])),
    ("chat", event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
    ("chat", event({"choices": [{"index": 0, "delta": None, "content_filter_results": {}}]})),
    ("chat", event({"choices": [7, None]})),
    ("chat", event({"error": {"code": 502, "message": "no"}, "choices": [{"delta": {"content": ""}}]})),
    ("completions", event({"choices": [{"index": 0, "text": "", "logprobs": None}]})),
    ("responses", event({"type": "response.created", "response": {"instructions": "Be brief.", "output": []}})),
    ("responses", event({"type": "response.in_progress", "response": {"output": []}})),
    ("responses", item("message", role="assistant", content=[])),
    ("responses", item("reasoning", summary=[], encrypted_content="gAAAAA")),
    ("responses", item("reasoning", "done", summary=[])),
    ("responses", item("mcp_list_tools", server_label="x", tools=[])),
    ("responses", item("mcp_list_tools", "done", server_label="x", tools=[{"name": "roll"}])),
    ("responses", event({"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}})),
    ("responses", event({"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}})),
    ("responses", event({"type": "response.output_text.delta", "delta": ""})),
    ("responses", event({"type": "error", "code": "server_error", "message": "no"})),
    ("messages", event({"type": "message_start", "message": {"content": [], "usage": {"output_tokens": 2}}})),
    ("messages", event({"type": "ping"})),
    ("messages", block("text", text="")),
    ("messages", block("thinking", thinking="", signature="")),
    ("messages", block("fallback", **{"from": {"model": "a"}, "to": {"model": "b"}})),
    ("messages", piece("text_delta", text="")),
    ("messages", piece("citations_delta", citation={"type": "char_location", "cited_text": "Ruby"})),
    ("messages", event({"type": "content_block_stop", "index": 0})),
    ("messages", event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}})),
    ("messages", event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})),
]  # fmt: skip

FIRST: list[tuple[Shape, bytes]] = [
    ("chat", chat(content="Hi")),
    ("chat", chat(content="\n")),
    ("chat", chat(role="assistant", content="", reasoning="The")),
    ("chat", chat(content=None, reasoning_content="We")),
    ("chat", chat(content="", reasoning_details=[{"type": "reasoning.encrypted", "data": "gAAA", "format": "x"}])),
    ("chat", chat(role="assistant", content=[{"type": "thinking", "thinking": [{"type": "text", "text": "The"}]}])),
    ("chat", chat(role="assistant", content=None, tool_calls=tool("weather", ""))),
    ("chat", chat(tool_calls=tool("weather", None))),
    ("chat", chat(function_call={"name": "weather", "arguments": ""})),
    ("chat", chat(refusal="I")),
    ("chat", chat(audio={"id": "audio_1", "transcript": "Hi"})),
    ("chat", chat(images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])),
    ("chat", event({"choices": [{"index": 0, "delta": {"content": ""}}, {"index": 1, "delta": {"content": "Hi"}}]})),
    ("chat", event({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]})),
    ("chat", b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'),
    ("chat", b"data: not json\n\n"),
    ("chat", b"data: " + b'{"choices":[]}'.ljust(600_000) + b"\n\n"),
    ("chat", b'data: {"choices":[{"index":0,"delta":{"content":"Hel'),
    ("completions", event({"choices": [{"index": 0, "text": " word"}]})),
    ("responses", event({"type": "response.output_text.delta", "delta": "Hi"})),
    ("responses", event({"type": "response.reasoning_summary_text.delta", "delta": "The"})),
    ("responses", event({"type": "response.refusal.delta", "delta": "I"})),
    ("responses", item("function_call", name="weather", arguments="")),
    ("responses", item("custom_tool_call", name="weather", input="")),
    ("responses", item("web_search_call")),
    ("responses", item("message", "done", content=[{"type": "output_text", "text": "Hi"}])),
    ("responses", item("reasoning", "done", summary=[], encrypted_content="gAAAAA")),
    ("messages", piece("text_delta", text="Hi")),
    ("messages", piece("thinking_delta", thinking="The")),
    ("messages", block("tool_use", id="toolu_1", name="weather", input={})),
    ("messages", block("server_tool_use", id="srvtoolu_1", name="web_search", input={})),
    ("messages", block("redacted_thinking", data="EmwKAhgB")),
    ("messages", block("text", text="Hi")),
    ("other", event({"type": "transcript.text.delta", "delta": ""})),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "events"), NOT_YET)
def test_what_opens_a_reply_is_no_token(shape: Shape, events: bytes) -> None:
    assert not has_first_token(events, shape)


@pytest.mark.parametrize(("shape", "events"), FIRST)
def test_text_calls_of_tools_and_reasoning_are(shape: Shape, events: bytes) -> None:
    assert has_first_token(events, shape)


def test_one_among_several_events_is_found() -> None:
    opening = b": ping\r\n\r\n" + chat(role="assistant", content="").replace(b"\n", b"\r\n")
    assert not has_first_token(opening, "chat")
    assert has_first_token(opening + chat(content="Hi"), "chat")
