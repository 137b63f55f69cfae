"""The Messages API: Anthropic's own, and OpenRouter's skin of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.mock.answer import Turn
from proxy.mock.envelopes import Failure, envelope
from proxy.mock.frames import Frame, named
from proxy.mock.skins.chat import comments_first
from proxy.mock.skins.usage import message_cost, message_usage

_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def message_body(turn: Turn) -> dict[str, Any]:
    """A reply that is not streamed."""
    usage = {**message_usage(turn, turn.answer.output_tokens), **message_cost(turn)}
    return {**_head(turn, _content(turn), _STOP[turn.answer.finish]), "usage": usage}


def message_frames(turn: Turn) -> Iterator[Frame]:
    """A streamed reply; the usage of `message_delta` is cumulative, and tells the input again."""
    yield from comments_first(turn)
    message = {**_head(turn, [], None), "usage": message_usage(turn, 1)}
    yield named({"type": "message_start", "message": message})
    for index, (block, deltas) in enumerate(_blocks(turn)):
        yield named({"type": "content_block_start", "index": index, "content_block": block})
        if index == 0:
            yield named({"type": "ping"})
        for delta, tokens in deltas:
            event = {"type": "content_block_delta", "index": index, "delta": delta}
            yield named(event, "event", tokens)
        yield named({"type": "content_block_stop", "index": index})
    told = message_usage(turn, turn.answer.output_tokens)
    usage = {**{name: count for name, count in told.items() if name.endswith("tokens")}, **message_cost(turn)}
    delta = {"stop_reason": _STOP[turn.answer.finish], "stop_sequence": None}
    yield named({"type": "message_delta", "delta": delta, "usage": usage}, "finish")
    yield named({"type": "message_stop"}, "done")


def message_error(turn: Turn, failure: Failure) -> list[Frame]:
    """An error inside a stream."""
    error = envelope(turn.asked.profile, "messages", failure, "")["error"]
    return [named({"type": "error", "error": error})]


def _head(turn: Turn, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    routed = turn.asked.profile == "openrouter"
    return {
        "id": turn.reply_id,
        "type": "message",
        "role": "assistant",
        **({"provider": "Mock"} if routed else {}),
        "model": turn.served,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
    }


def _content(turn: Turn) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if turn.answer.thoughts:
        content.append({"type": "thinking", "thinking": "".join(turn.answer.thoughts), "signature": "bW9jaw=="})
    if turn.answer.tool:
        text = "".join(turn.answer.arguments)
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = {}  # cut by max_tokens: Anthropic shows an empty input then
        content.append({**_tool_block(turn), "input": value})
    elif turn.behaviour.name != "empty-choices" and turn.asked.maximum != 0:
        content.append({"type": "text", "text": turn.answer.text})
    return content


def _blocks(turn: Turn) -> Iterator[tuple[dict[str, Any], list[tuple[dict[str, Any], int]]]]:
    """Each block as it starts, with its deltas and their tokens."""
    answer = turn.answer
    if answer.thoughts:
        deltas: list[tuple[dict[str, Any], int]] = [
            ({"type": "thinking_delta", "thinking": thought}, 1) for thought in answer.thoughts
        ]
        deltas.append(({"type": "signature_delta", "signature": "bW9jaw=="}, 0))
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if answer.tool:
        pieces = [({"type": "input_json_delta", "partial_json": piece}, 1) for piece in answer.arguments]
        yield _tool_block(turn), [({"type": "input_json_delta", "partial_json": ""}, 0), *pieces]
    elif turn.behaviour.name != "empty-choices":
        yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": word}, 1) for word in answer.words]


def _tool_block(turn: Turn) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{turn.suffix}", "name": turn.answer.tool, "input": {}}
