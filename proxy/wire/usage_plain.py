"""Nearly every chat, read the short way: what OpenAI and OpenRouter tell of a whole reply and of its usage, all of it numbers that
add up, and of text.

Whatever is odd about one is left to `findings.py` and `usage.py`, which read these as well, and the same.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from proxy.wire.usage import Usage

_MOST_COUNT = 10**12
_NULL = Raw(b"null")

_Count = Annotated[int, Meta(ge=0, le=_MOST_COUNT)]
_Nothing = Literal[0] | None  # in a chat that is text
_Never = Annotated[int, Meta(gt=0, lt=1)]  # whatever it is, what it stands in is not plain


class _Read(Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Nothing = None
    video_tokens: _Count | None = None
    image_tokens: _Nothing = None


class _Written(Struct, forbid_unknown_fields=True, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Nothing = None
    image_tokens: _Nothing = None
    text_tokens: _Nothing = None
    accepted_prediction_tokens: _Count | None = None
    rejected_prediction_tokens: _Count | None = None


class _Plain(Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: Annotated[int, Meta(gt=0, le=_MOST_COUNT)]
    completion_tokens: Annotated[int, Meta(gt=0, le=_MOST_COUNT)]
    total_tokens: int
    cost: Any = None  # an int, or a Decimal as it is spelled, where it is plain
    is_byok: Literal[False] | None = None
    prompt_tokens_details: _Read | None = None
    completion_tokens_details: _Written | None = None
    cost_details: Raw = _NULL


class _Choice(Struct, gc=False):
    message: Raw  # of older completions it is a text, of events a delta
    delta: _Never = 0
    text: _Never = 0
    usage: _Never = 0


class PlainReply(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A chat in one piece that has nothing to say but its answer and its usage; its members as they mostly follow one another."""

    id: str
    provider: str | None = None
    model: str
    object: Any = None  # a word or a number takes less than to keep it as it stands
    created: Any = None
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    usage: _Plain
    service_tier: str | None = None
    system_fingerprint: Any = None
    prompt_filter_results: Raw = _NULL


_UNREADABLE = msgspec.DecodeError, InvalidOperation, UnicodeDecodeError, RecursionError
_MOST_USD = Decimal(1_000_000)
_plain = msgspec.json.Decoder(_Plain, float_hook=Decimal).decode
_reply = msgspec.json.Decoder(PlainReply, float_hook=Decimal).decode


def read_plain(text: bytes) -> Usage | None:
    """The usage of this JSON text, where it is plain; None where it has to be read with care."""
    try:
        plain = _plain(text)
    except _UNREADABLE:
        return None
    return _usage_of(plain)


def read_plain_reply(data: bytes) -> tuple[PlainReply, Usage] | None:
    """A chat in one piece with its usage, where both are plain; None where it has to be read with care."""
    try:
        reply = _reply(data)
    except _UNREADABLE:
        return None
    if (usage := _usage_of(reply.usage)) is None or "-search-" in reply.model or may_have_searched(data):
        return None
    return reply, usage


def may_have_searched(data: bytes) -> bool:
    """Whether a chat, or an event of one, may tell of searches: those Groq made, or those Moonshot is to make."""
    return b'"executed_tools"' in data or b'"$web_search"' in data


def _usage_of(plain: _Plain) -> Usage | None:
    read, written, cost = plain.prompt_tokens_details, plain.completion_tokens_details, plain.cost
    if plain.total_tokens != plain.prompt_tokens + plain.completion_tokens:
        return None
    if type(cost) is Decimal:
        if cost.is_signed() or cost > _MOST_USD:
            return None
    elif cost is not None:
        if type(cost) is not int or not 0 <= cost <= _MOST_USD:
            return None
        cost = Decimal(cost)
    return Usage(  # in the order of its fields, which is quicker than by their names
        plain.prompt_tokens,
        plain.completion_tokens,
        (read and read.cached_tokens) or 0,
        (written and written.reasoning_tokens) or 0,
        cost,
        (read and read.cache_write_tokens) or 0,
    )
