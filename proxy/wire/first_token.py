"""The first token of a stream: which event is the first to carry text, a tool call or reasoning.

Every event is asked until one does, and none behind it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.wire.counting import text_of
from proxy.wire.endpoints import Shape
from proxy.wire.json_text import SMALL
from proxy.wire.sse import data_of, split_events

# of chat's delta; what is cited (`annotations`, Messages' `citations_delta`) is none of the model's words
_SAID = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "images",
)
_CALLS = ("_call", "program", "mcp_approval_request")  # how items of the Responses API that ask for something end


class _Event(Struct):
    """What tells it: of a chat chunk, of a Responses or Messages event."""

    type: Any = None
    choices: Any = None
    delta: Any = None
    content_block: Any = None
    item: Any = None


_decode = msgspec.json.Decoder(_Event).decode


def has_first_token(events: bytes, shape: Shape) -> bool:
    """Whether any of these whole events carries output. On endpoints of no known shape every event with data does."""
    return any((data := data_of(event)) and _says_something(data, shape) for event in split_events(events))


def _says_something(data: bytes, shape: Shape) -> bool:
    """A role, a ping, what only opens a text or a thought: nothing yet. What is large or cannot be read says something."""
    if data.startswith(b"[DONE]"):
        return False
    if shape == "other" or len(data) > SMALL:
        return True
    try:
        event = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return True
    if isinstance(event.choices, list):
        return any(_choice_says_something(choice) for choice in event.choices if isinstance(choice, dict))
    if isinstance(event.content_block, dict):
        return _block_says_something(event.content_block)
    if isinstance(event.item, dict):
        return _item_says_something(event.item, is_done=event.type == "response.output_item.done")
    if isinstance(event.delta, dict) and event.delta.get("type") == "citations_delta":
        return False
    return event.type != "message_delta" and bool(text_of(event.delta))


def _choice_says_something(choice: dict[str, Any]) -> bool:
    """Of chat, in a piece or whole, or (`text`) of the older completions."""
    said = choice.get("delta") or choice.get("message")
    if isinstance(said, dict):
        return any(text_of(said.get(name)) for name in _SAID)
    return bool(text_of(choice.get("text")))


def _item_says_something(item: dict[str, Any], *, is_done: bool) -> bool:
    """An item of Responses: a tool's name says something at once; texts and thoughts, sealed ones too, once they are done,
    where no piece of them came before."""
    return str(item.get("type")).endswith(_CALLS) or (
        is_done and any(text_of(item.get(name)) for name in ("content", "summary", "encrypted_content"))
    )


def _block_says_something(block: dict[str, Any]) -> bool:
    """A block of Messages at its start: a tool's name, or thoughts that were sealed; texts are mostly empty there."""
    return str(block.get("type")).endswith("tool_use") or any(
        text_of(block.get(name)) for name in ("text", "thinking", "data")
    )
