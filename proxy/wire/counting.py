"""How many tokens streamed text comes to where nobody counts them: an estimate for one event at a time."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import astuple

BYTES_A_TOKEN = 4
LONGEST_TOKEN = 16
_LABELS = frozenset({"format", "id", "type"})
_DEEPEST = 8


def tokens_in(text: str | bytes) -> int:
    """About how many tokens an event's text is, at least one; the same of its UTF-8.

    Providers send a token an event where they can, and a token is a word at most, with a space or a sign before it.
    So such a word of up to 16 bytes is one token; what is more than that was put together and goes by its bytes.
    """
    if len(text) <= LONGEST_TOKEN and text[1:].isalnum() and text.isascii():
        return 1
    size = len(text.encode("utf-8", "replace") if isinstance(text, str) and not text.isascii() else text)
    return -(-size // BYTES_A_TOKEN) or 1


def text_of(value: Any, depth: int = 0) -> str:
    """All the text in a delta's member, without what only labels it and what is nested deeper than sense."""
    if isinstance(value, str):
        return value
    if depth == _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join([text_of(inner, depth + 1) for inner in value])
    if isinstance(value, dict):
        return "".join([text_of(inner, depth + 1) for name, inner in value.items() if name not in _LABELS])
    return ""


class Delta(Struct):
    """Everything a delta may add to the output; its `role` and what a search found (`annotations`) add nothing (wire.md 1.7)."""

    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    reasoning_details: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    images: Any = None
    audio: Any = None

    def tokens(self) -> int:
        """About how many tokens it adds; 0 when it says nothing. Text told twice (`reasoning_details`) counts once."""
        if isinstance(self.content, str) and self.content:
            return tokens_in(self.content)
        said = astuple(self)
        return max([tokens_in(text_of(value)) for value in said if value]) if any(said) else 0


class Choice(Struct):
    """`text` is that of the older completions; `usage` stands here where Moonshot was not asked for it."""

    index: Any = 0
    finish_reason: Any = None
    delta: Delta | None | UnsetType = UNSET
    text: Any = None
    usage: Raw | UnsetType = UNSET

    def tokens(self) -> int:
        """About how many tokens it adds; 0 when it says nothing."""
        if self.delta is UNSET:
            return tokens_in(text_of(self.text)) if self.text else 0
        return self.delta.tokens() if self.delta else 0
