"""Tokens in streamed text, where the provider counts none: near the truth where an event is a token, never far below it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.counting import text_of, tokens_in
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings

TEXTS = [
    ("", 1),
    ("H", 1),
    ("Hello", 1),
    (" request", 1),
    (" token12", 1),
    (".append", 1),
    ('"location', 1),
    (" responsibility", 1),
    ("\n\n", 1),
    # longer than a token gets: pieces of base64, long names
    (" counterrevolutionary", 6),
    ("x" * 4000, 1000),
    # several words, or words and signs: put together by the provider
    (" the core", 3),
    (".  Identify", 3),
    ('{"location":"Paris"}', 5),
    ("The quick brown fox jumps over the lazy dog.", 11),
    # no words to tell apart: by the bytes
    ("巴黎", 2),
    ("巴黎是法国的首都", 6),
    ("😀", 1),
    ("😀😀", 2),
    ("\ud83d", 1),
]


@pytest.mark.parametrize(("text", "tokens"), TEXTS)
def test_a_word_is_a_token_and_the_rest_goes_by_its_bytes(text: str, tokens: int) -> None:
    assert tokens_in(text) == tokens


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


VALUES: list[tuple[Any, str]] = [
    ("text", "text"),
    ({"type": "text_delta", "text": "Hi"}, "Hi"),
    ([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}], 'f{"a"'),
    ([{"type": "reasoning.text", "text": "So", "signature": None, "format": "unknown", "index": 0}], "So"),
    (None, ""),
    (7, ""),
    (True, ""),
    ({}, ""),
    (nested(8), "deep"),
    (nested(9), ""),
    (nested(900), ""),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_only_what_was_said_is_text(value: Any, text: str) -> None:
    assert text_of(value) == text


def chat(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


CALL = {"index": 0, "id": "call_abcdefghijklmnop", "type": "function"}
STREAMS: list[tuple[str, Shape, list[dict[str, Any]], int]] = [
    ("words", "chat", [chat(role="assistant", content=""), chat(content="Hello"), chat(content=" world"), chat(content="!")], 3),
    ("a sentence at once", "chat", [chat(content="The quick brown fox jumps over the lazy dog.")], 11),
    ("thoughts told twice", "chat", [chat(content="", reasoning="So", reasoning_details=[{"type": "reasoning.text", "text": "So"}])], 1),
    ("a call of a tool", "chat", [chat(tool_calls=[{**CALL, "function": {"name": "weather", "arguments": ""}}]),
                                  chat(tool_calls=[{"index": 0, "function": {"arguments": '{"'}}]),
                                  chat(tool_calls=[{"index": 0, "function": {"arguments": "city"}}])], 3),
    ("what a search found", "chat", [chat(content="", annotations=[{"type": "url_citation", "url_citation": {"content": "word " * 99}}])], 0),
    ("several answers", "chat", [{"choices": [{"index": n, "delta": {"content": "Hi"}} for n in range(3)]}], 3),
    ("the usual ends", "chat", [chat(), {"choices": []}, {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}], 0),
    ("nothing but a label", "chat", [chat(audio={"id": "audio_1"})], 1),
    ("older completions", "completions", [{"choices": [{"text": " word"}]}, {"choices": [{"text": " and many more words"}]}, {"choices": [{"text": ""}]}], 6),
    ("responses", "responses", [{"type": "response.output_text.delta", "delta": "Hello"},
                                {"type": "response.function_call_arguments.delta", "delta": '{"a'},
                                {"type": "response.output_text.done", "text": "Hello"}], 2),
    ("messages", "messages", [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}},
                              {"type": "content_block_delta", "delta": {"type": "text_delta", "text": " the core"}},
                              {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": ""}},
                              {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": " So"}},
                              {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}], 5),
    ("a whole reply", "chat", [{"choices": [{"index": 0, "message": {"content": "Hello"}}]}], 0),
    ("deltas of no known form", "responses", [{"delta": 7}, {"delta": None}, {"delta": []}, {"delta": nested(900)}], 0),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "events", "tokens"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_the_tokens_of_a_stream(shape: Shape, events: list[dict[str, Any]], tokens: int) -> None:
    findings = Findings(shape)
    for event in events:
        findings.see(json.dumps(event).encode())
    assert findings.counted_output == tokens
