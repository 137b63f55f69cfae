"""Legacy text completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.mock.answer import Turn
from proxy.mock.frames import DONE, Frame, plain
from proxy.mock.skins.chat import comments_first
from proxy.mock.skins.usage import chat_usage


def completion_body(turn: Turn) -> dict[str, Any]:
    """A reply that is not streamed."""
    choices = [_choice(index, turn.answer.text, turn.answer.finish) for index in range(turn.asked.choices)]
    kept: list[dict[str, Any]] | None = choices
    if turn.behaviour.name == "empty-choices":
        kept = None if turn.behaviour.null else []
    return {**_head(turn), "choices": kept, "usage": chat_usage(turn)}


def completion_frames(turn: Turn) -> Iterator[Frame]:
    """A streamed reply."""
    yield from comments_first(turn)
    indexes = range(turn.asked.choices)
    for word in turn.answer.words:
        for index in indexes:
            yield plain({**_head(turn), "choices": [_choice(index, word, None)]}, "event", 1)
    for index in indexes:
        yield plain({**_head(turn), "choices": [_choice(index, "", turn.answer.finish)]}, "finish")
    options = turn.asked.fields.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    if asked or turn.asked.profile == "openrouter":
        yield plain({**_head(turn), "choices": [], "usage": chat_usage(turn)}, "usage")
    yield DONE


def _head(turn: Turn) -> dict[str, Any]:
    routed = turn.asked.profile == "openrouter"
    head: dict[str, Any] = {
        "id": turn.reply_id,
        "object": "text_completion",
        "created": turn.created,
        "model": turn.served,
    }
    return {**head, "provider": "Mock"} if routed else head


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
