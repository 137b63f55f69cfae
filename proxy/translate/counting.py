"""About how many tokens a request is, where nobody there counts them."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.values import Media, Reasoning, Refusal, Request, Text, ToolResult, ToolUse

_BYTES_A_TOKEN = 4
_TOKENS_A_PICTURE = 1600  # of the largest that Anthropic does not shrink
_TOKENS_A_TURN = 4


def estimate(request: Request) -> int:
    """About how many tokens it is: a fourth of its bytes, pictures by their usual size. At least one."""
    size = sum(_size(part) for turn in request.turns for part in turn.parts)
    size += sum(_bytes([tool.name, tool.description, tool.parameters]) for tool in request.tools)
    pictures = sum(_pictures(part) for turn in request.turns for part in turn.parts)
    return max(1, size // _BYTES_A_TOKEN + pictures * _TOKENS_A_PICTURE + len(request.turns) * _TOKENS_A_TURN)


def _bytes(value: Any) -> int:
    return len(msgspec.json.encode(value))


def _size(part: Any) -> int:
    if isinstance(part, Text | Refusal | Reasoning):
        return len(part.text.encode("utf-8", "replace"))
    if isinstance(part, ToolUse):
        return len(part.name) + len(part.arguments.encode("utf-8", "replace"))
    if isinstance(part, ToolResult):
        return sum(_size(inner) for inner in part.parts)
    return len(part.data) if isinstance(part, Media) and part.kind == "file" else 0


def _pictures(part: Any) -> int:
    if isinstance(part, ToolResult):
        return sum(_pictures(inner) for inner in part.parts)
    return int(isinstance(part, Media) and part.kind == "image")
