"""How far an agent has come by itself, read from the messages of its request: what was said by a human, and which tool
calls repeat since.

What a harness puts in by itself, results of tools and reminders, is no human's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from proxy.wire.call import Call

SHAPES = ("chat", "messages", "responses")
_LONGEST_CYCLE = 3  # calls that take turns: edit, test, edit, test
_REMINDER = "<system-reminder>"  # Claude Code 2.1.332 says so in the user's place
_HUMAN = None
_ToolCall = tuple[str, str]  # name, arguments
_Event = _ToolCall | None  # None: a human's turn
_encode = msgspec.json.Encoder(order="deterministic").encode


class Turns(NamedTuple):
    """`human`: how many turns a human had. `repeated`: how often the latest tool call, or the latest two or three in
    turn, came again and again with the same arguments since the last of them; 1 is once."""

    human: int = 0
    repeated: int = 0


def turns_of(call: Call) -> Turns:
    """Read the whole history; what makes no sense is passed over, as its provider will say."""
    if call.document is None or call.endpoint.shape not in SHAPES:
        return Turns()
    member = "input" if call.endpoint.shape == "responses" else "messages"
    history = call.document.value(member)
    if isinstance(history, str):
        return Turns(human=1)
    human, calls = 0, list[_ToolCall]()
    for item in history if isinstance(history, list) else ():
        for event in _events(item) if isinstance(item, dict) else ():
            if event is _HUMAN:
                human += 1
                calls.clear()
            else:
                calls.append(event)
    return Turns(human, repeated(calls))


def repeated(calls: list[_ToolCall]) -> int:
    """How often what stands at the end was done in a row."""
    if not calls:
        return 0
    return max(_cycles(calls, length) for length in range(1, _LONGEST_CYCLE + 1))


def _cycles(calls: list[_ToolCall], length: int) -> int:
    same, at = 0, len(calls) - 1
    while at >= length and calls[at] == calls[at - length]:
        same, at = same + 1, at - 1
    return same // length + 1


def _events(item: dict[str, Any]) -> Iterator[_Event]:
    """What one message, or one item of the Responses API, says."""
    kind = item.get("type")
    if kind in ("function_call", "custom_tool_call"):
        yield _tool_call(item.get("name"), item.get("arguments", item.get("input")))
    elif kind == "local_shell_call":
        yield _tool_call(kind, item.get("action"))
    elif item.get("role") == "user":
        if _is_human(item.get("content")):
            yield _HUMAN
    elif item.get("role") == "assistant":
        yield from _of_assistant(item)


def _of_assistant(message: dict[str, Any]) -> Iterator[_ToolCall]:
    """Chat completions have tool calls beside the content, Anthropic's messages in it."""
    content, asked = message.get("content"), message.get("tool_calls")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "tool_use":
            yield _tool_call(block.get("name"), block.get("input"))
    for tool_call in asked if isinstance(asked, list) else ():
        function = tool_call.get("function") if isinstance(tool_call, dict) else None
        if isinstance(function, dict):
            yield _tool_call(function.get("name"), function.get("arguments"))


def _tool_call(name: Any, arguments: Any) -> _ToolCall:
    return str(name), arguments if isinstance(arguments, str) else _encode(arguments).decode()


def _is_human(content: Any) -> bool:
    if isinstance(content, str):
        return not content.lstrip().startswith(_REMINDER)
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    if any(block.get("type") == "tool_result" for block in blocks):
        return False
    return any(not str(block.get("text", "")).lstrip().startswith(_REMINDER) for block in blocks)
