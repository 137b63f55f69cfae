"""Pieces of an SSE stream, each saying which part of a reply it is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

Part = Literal["comment", "event", "finish", "usage", "done", "finish-done"]


class Frame(Struct, frozen=True):
    """Bytes sent in one write, and the output tokens they carry."""

    data: bytes
    part: Part = "event"
    tokens: int = 0


COMMENT = Frame(b": OPENROUTER PROCESSING\n\n", "comment")
DONE = Frame(b"data: [DONE]\n\n", "done")


def plain(value: dict[str, Any], part: Part = "event", tokens: int = 0) -> Frame:
    """An event of one `data:` line."""
    return Frame(b"data: " + msgspec.json.encode(value) + b"\n\n", part, tokens)


def named(value: dict[str, Any], part: Part = "event", tokens: int = 0) -> Frame:
    """An event with an `event:` line equal to its `type`."""
    line = b"event: " + str(value["type"]).encode() + b"\n"
    return Frame(line + plain(value).data, part, tokens)
