"""The members worth reading of an event or a JSON reply, taken out of its bytes. What they mean: `findings.py`."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from proxy.wire.counting import Choice, Delta
from proxy.wire.json_text import SMALL, is_parsed_quickly, mended


class Event(Struct):
    """A chat chunk, a Responses or Messages event, or a JSON reply.

    `x_groq`, `timings` (llama.cpp), `meta` (Cohere) and `usage_info` (Mistral's OCR) are where some tell usage beside
    `usage`, or instead of it.
    """

    id: Any = None
    type: Any = None
    model: Any = None
    provider: Any = None
    choices: list[Choice] | None = None
    content: Raw | UnsetType = UNSET
    service_tier: Any = None
    delta: Any = None
    error: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET
    response: Raw | UnsetType = UNSET
    message: Raw | UnsetType = UNSET
    item: Raw | UnsetType = UNSET
    output: Raw | UnsetType = UNSET
    tool_usage: Raw | UnsetType = UNSET
    tools: Raw | UnsetType = UNSET
    status: Any = None
    background: Any = None
    x_groq: Raw | UnsetType = UNSET
    timings: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    usage_info: Raw | UnsetType = UNSET


class Inner(Struct):
    """`response` of a Responses event, `message` of `message_start`."""

    id: Any = None
    model: Any = None
    service_tier: Any = None
    error: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET
    output: Raw | UnsetType = UNSET
    tool_usage: Raw | UnsetType = UNSET
    tools: Raw | UnsetType = UNSET
    status: Any = None
    background: Any = None


_event = msgspec.json.Decoder(Event)
_inner = msgspec.json.Decoder(Inner)


def _number(text: str) -> Decimal:
    """A number as it was spelled; NaN where its exponent is beyond all reading."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


# Members of an event that say more than its text.
_TELLING = "error usage response message item output tool_usage tools x_groq timings meta usage_info".split()
_telling = attrgetter(*_TELLING)
_besides_text = attrgetter("type", "delta", "status", "background", "content", *_TELLING)
_NOTHING_BUT_TEXT = (*[None] * 4, *[UNSET] * (1 + len(_TELLING)))
_exact = msgspec.json.Decoder(dict[str, Any], float_hook=_number)


def read_event(data: bytes) -> Event | None:
    """Read an event: without the halves of characters that a cut emoji leaves, and by way of the standard library
    where it is out of shape. What has too many parts to be read in no time, or is large and out of shape, is None."""
    if len(data) > SMALL and not is_parsed_quickly(data):
        return None
    try:
        return _event.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _read_odd_event(data)


def text_alone(data: bytes) -> str | None:
    """The text that a chat's event adds to its first answer, where it has nothing else to say; else None."""
    event = read_event(data)
    if event is None or not event.choices or len(event.choices) != 1 or event.choices[0].index:
        return None
    choice = event.choices[0]
    if type(choice.delta) is not Delta or choice.finish_reason or choice.text is not None or choice.usage is not UNSET:
        return None
    if _besides_text(event) != _NOTHING_BUT_TEXT and not _says_nothing_else(event):
        return None
    return choice.delta.content if isinstance(choice.delta.content, str) else None


def _says_nothing_else(event: Event) -> bool:
    silent = event.type, event.delta, event.status, event.background
    if event.content is not UNSET or any(value is not None for value in silent):
        return False
    return all(read_value(raw) is None for raw in _telling(event))


def _read_odd_event(data: bytes) -> Event | None:
    with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _event.decode(mended(data))
    if len(data) > SMALL:
        return None
    try:
        loose = json.loads(data, parse_constant=str)
        loose = {name: loose[name] for name in Event.__struct_fields__ if name in loose}
        if not isinstance(loose.get("choices"), list):
            loose.pop("choices", None)
        return _event.decode(json.dumps(loose, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, TypeError, RecursionError):
        return None


def read_inner(raw: Raw) -> Inner | None:
    """Read what is nested in an event; None where it is something else."""
    try:
        return _inner.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def read_value(raw: Raw | UnsetType) -> Any:
    """Decode with exact numbers; what is no object comes back as plain JSON, what is broken or not there as None."""
    if raw is UNSET or bytes(raw) == b"null":  # OpenAI says so of the usage in every chunk
        return None
    try:
        return _exact.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _read_odd_value(raw)


def _read_odd_value(raw: Raw) -> Any:
    text = bytes(raw)
    try:
        return json.loads(text, parse_float=_number) if len(text) <= SMALL else None
    except (ValueError, RecursionError):
        return None
