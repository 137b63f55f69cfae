"""Upstreams' replies for the tests of translation: what each says whole, and in events."""

from __future__ import annotations

import json
from typing import Any

from proxy.translate.values import Protocol

USAGE: dict[str, dict[str, Any]] = {
    "chat": {
        "prompt_tokens": 100,
        "completion_tokens": 40,
        "total_tokens": 140,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 7},
    },
    "messages": {
        "input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 7},
    },
    "responses": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 140,
    },
}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    """One of chat's chunks."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "llama"}
    return {**head, "choices": choices, **members}


def called(index: int | None, fragment: str, **members: Any) -> dict[str, Any]:
    """A delta with a piece of a call; `id` and `name` come with its first."""
    function = {"arguments": fragment} | ({"name": members.pop("name")} if "name" in members else {})
    return {
        "tool_calls": [
            {**({} if index is None else {"index": index}), "type": "function", "function": function, **members}
        ]
    }


def chat_story() -> list[dict[str, Any]]:
    """Thoughts, words, two calls, as a local server tells them."""
    return [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Let me "}),
        chunk({"reasoning_content": "think."}),
        chunk({"content": "I "}),
        chunk({"content": "look: é😀"}),
        chunk(called(0, "", id="call_1", name="look")),
        chunk(called(0, '{"at": ')),
        chunk(called(0, '"x"}')),
        chunk(called(1, '{"at": "y"}', id="call_2", name="look")),
        chunk({}, "tool_calls"),
        chunk(None, usage=USAGE["chat"]),
    ]


def chat_whole() -> dict[str, Any]:
    """The same, whole."""
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": '{"at": "y"}'}},
    ]
    message = {"role": "assistant", "content": "I look: é😀", "reasoning_content": "Let me think.", "tool_calls": calls}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "llama",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": USAGE["chat"],
    }


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """One of Anthropic's blocks."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def message(*blocks: list[dict[str, Any]], stop: str = "end_turn", sequence: str | None = None) -> list[dict[str, Any]]:
    """A stream of Anthropic's."""
    head = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
    }
    return [
        {"type": "message_start", "message": {**head, "usage": {**USAGE["messages"], "output_tokens": 2}}},
        {"type": "ping"},
        *(event for events in blocks for event in events),
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": sequence},
            "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 7}},
        },
        {"type": "message_stop"},
    ]


def tool_block(index: int, identity: str, *fragments: str) -> list[dict[str, Any]]:
    """A call."""
    deltas = [{"type": "input_json_delta", "partial_json": fragment} for fragment in ("", *fragments)]
    return block(index, {"type": "tool_use", "id": identity, "name": "look", "input": {}}, *deltas)


def messages_story() -> list[dict[str, Any]]:
    """The story as Anthropic tells it."""
    thoughts = [{"type": "thinking_delta", "thinking": text} for text in ("Let me ", "think.")]
    words = [{"type": "text_delta", "text": text} for text in ("I ", "look: é😀")]
    return message(
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            *thoughts,
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        block(1, {"type": "text", "text": ""}, *words),
        tool_block(2, "toolu_1", '{"at": ', '"x"}'),
        tool_block(3, "toolu_2", '{"at": "y"}'),
        stop="tool_use",
    )


def messages_whole() -> dict[str, Any]:
    """The same, whole."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"},
            {"type": "text", "text": "I look: é😀"},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "x"}},
            {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {"at": "y"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE["messages"],
    }


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of Responses, counted."""
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def responses_whole(**members: Any) -> dict[str, Any]:
    """The story as OpenAI's Responses tell it, whole."""
    content = [{"type": "output_text", "text": "I look: é😀", "annotations": [], "logprobs": []}]
    summary = [{"type": "summary_text", "text": "Let me think."}]
    call = {"type": "function_call", "status": "completed", "name": "look"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt",
        "error": None,
        "incomplete_details": None,
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "ZW5j"},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content},
            {**call, "id": "fc_1", "call_id": "call_1", "arguments": '{"at": "x"}'},
            {**call, "id": "fc_2", "call_id": "call_2", "arguments": '{"at": "y"}'},
        ],
        "usage": USAGE["responses"],
        **members,
    }


def responses_story() -> list[dict[str, Any]]:
    """The same, in events."""
    whole = responses_whole()
    thought, said, first, second = whole["output"]
    part = {"type": "output_text", "text": "", "annotations": []}
    text = [
        {"type": "response.output_item.added", "output_index": 1, "item": {**said, "content": []}},
        {
            "type": "response.content_part.added",
            "output_index": 1,
            "content_index": 0,
            "item_id": "msg_1",
            "part": part,
        },
        *(
            {
                "type": "response.output_text.delta",
                "output_index": 1,
                "content_index": 0,
                "item_id": "msg_1",
                "delta": words,
            }
            for words in ("I ", "look: é😀")
        ),
        {"type": "response.output_item.done", "output_index": 1, "item": said},
    ]
    place = {"output_index": 0, "summary_index": 0, "item_id": "rs_1"}
    thoughts = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**thought, "summary": []}},
        {"type": "response.reasoning_summary_part.added", **place, "part": {"type": "summary_text", "text": ""}},
        *(
            {"type": "response.reasoning_summary_text.delta", **place, "delta": words}
            for words in ("Let me ", "think.")
        ),
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
    ]
    calls = []
    for index, item in ((2, first), (3, second)):
        calls += [{"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}}]
        calls += [
            {
                "type": "response.function_call_arguments.delta",
                "output_index": index,
                "item_id": item["id"],
                "delta": text,
            }
            for text in (item["arguments"][:5], item["arguments"][5:])
        ]
        calls += [{"type": "response.output_item.done", "output_index": index, "item": item}]
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    return numbered(
        [
            {"type": "response.created", "response": begun},
            *thoughts,
            *text,
            *calls,
            {"type": "response.completed", "response": whole},
        ]
    )


STORIES = {"chat": chat_story, "messages": messages_story, "responses": responses_story}
WHOLE = {"chat": chat_whole, "messages": messages_whole, "responses": responses_whole}


def whole_body(source: Protocol) -> bytes:
    """A whole reply's bytes."""
    return json.dumps(WHOLE[source]()).encode()
