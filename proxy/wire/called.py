"""The names of the tools that a reply calls, in any of the three protocols. Of what they are called with, nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

MOST_NAMES = 1000  # of one reply
# items of `output`, and blocks of Anthropic's `content`
CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call", "tool_use", "server_tool_use", "mcp_tool_use"})


class _Named(Struct):
    name: Any = None


class _Call(Struct):
    function: _Named | None = None
    custom: _Named | None = None


class _Message(Struct):
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    message: _Message | None = None


class _Item(Struct):
    type: Any = None
    name: Any = None


class _Reply(Struct):
    choices: list[_Choice] | None = None
    content: list[_Item] | str | None = None
    output: list[_Item] | None = None


_reply = msgspec.json.Decoder(_Reply)


def called_in(body: bytes) -> set[str] | None:
    """By a whole JSON reply; None where it is none."""
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    messages = [choice.message for choice in reply.choices or () if choice.message is not None]
    named = [call.function or call.custom for message in messages for call in message.tool_calls or ()]
    items = [*(reply.content if isinstance(reply.content, list) else ()), *(reply.output or ())]
    found: list[Any] = [one.name for one in named if one is not None]
    found += [item.name for item in items if isinstance(item.type, str) and item.type in CALLS]
    return {name for name in found[:MOST_NAMES] if isinstance(name, str)}


def names_in(calls: Any) -> Iterator[str]:
    """Those in `tool_calls` of a chat's event."""
    for call in calls[:MOST_NAMES] if isinstance(calls, list) else ():
        called = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
        name = called.get("name") if isinstance(called, dict) else None
        if isinstance(name, str):
            yield name
