"""A finished reply as the detectors see it, and what they are told to look for."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

# the closed vocabulary of what may be wrong with a reply
Flag = Literal["slow", "short", "empty", "cut_off", "refusal", "refusal_weak", "loop", "language", "json", "tools"]
FLAGS: tuple[Flag, ...] = (
    "slow", "short", "empty", "cut_off", "refusal", "refusal_weak", "loop", "language", "json", "tools",
)  # fmt: skip
JUDGED: Literal["out_of_character"] = "out_of_character"  # what no detector finds, and another model does
Finish = Literal["stop", "length", "tools", "refusal", "unknown"]


class Said(Struct, frozen=True):
    """What a reply says. `text` is all of it, or its beginning; `arguments` are those of every tool call, JSON texts;
    `total_seconds` None where nobody measured; `is_slowest`: it took longer than all but a few of its name."""

    text: str = ""
    finish: Finish = "unknown"
    refuses: bool = False
    arguments: tuple[str, ...] = ()
    total_seconds: float | None = None
    is_slowest: bool = False


class Judge(Struct, frozen=True):
    """Another model that reads a `sample` of the replies (hundredths of a percent of them), by the rubric. `scope` is that of
    its own budget, and what its calls stand under in logs and the ledger."""

    model: str
    rubric: str
    sample: int
    scope: str


class Watch(Struct, frozen=True):
    """What to look for. `slow` in seconds, or above the 95th percentile of the name's own replies; `short` in characters;
    None: not at all; `language` as ISO 639-1 has it. `hold_tokens` of a stream wait until it is known whether another model is to
    answer."""

    slow: float | Literal["p95"] | None = None
    short: int | None = None
    empty: bool = True
    cut_off: bool = True
    refusal: bool = True
    loop: bool = True
    language: str | None = None
    json: bool = True
    tools: bool = True
    fallback_on: frozenset[str] = frozenset()
    hold_tokens: int = 0
    judge: Judge | None = None


class Wanted(Struct, frozen=True):
    """What the request asks the reply to be: JSON at all, of this schema (None: of any)."""

    is_json: bool = False
    schema: dict[str, Any] | None = None
