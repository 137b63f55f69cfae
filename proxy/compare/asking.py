"""What is to be compared."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.errors import InvalidValue
from proxy.web.reading import in_words
from proxy.wire.json_object import read_object

MOST_MODELS = 8
_OWN = ("models", "prompt", "repeat", "judge", "blind")


class _Asked(Struct):
    models: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=MOST_MODELS)
    ]
    prompt: str | None = None
    messages: list[Any] | None = None
    repeat: Annotated[int, Meta(ge=1, le=10)] = 1
    judge: str | None = None
    blind: bool = False
    stream: bool = False


class Comparison(Struct, frozen=True):
    """`body` is a chat completion without its model; every other member of the request goes into each call."""

    models: tuple[str, ...]
    body: dict[str, Any]
    prompt: str
    repeat: int
    judge: str | None
    is_blind: bool
    streams: bool


def read_comparison(body: bytes) -> Comparison:
    """Read a request. Raises `CallerError`s."""
    read_object(body)
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(f"The comparison cannot be read: {in_words(error, _Asked)}.") from None
    if (asked.prompt is None) == (asked.messages is None):
        raise InvalidValue("A comparison has a 'prompt', or 'messages' as a chat completion has them.", param="prompt")
    members: dict[str, Any] = msgspec.json.decode(body)
    rest = {name: value for name, value in members.items() if name not in (*_OWN, "stream")}
    if asked.prompt is not None:
        rest["messages"] = [{"role": "user", "content": asked.prompt}]
    text = asked.prompt if asked.prompt is not None else msgspec.json.encode(asked.messages).decode()
    return Comparison(tuple(asked.models), rest, text, asked.repeat, asked.judge, asked.blind, asked.stream)
