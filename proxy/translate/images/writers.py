"""What clients of OpenAI's images API read: one JSON reply, or events, written as the pictures come."""

from __future__ import annotations

import re
from typing import Any, Protocol

from proxy.translate.images.image_request import ImageRequest
from proxy.translate.writing import encode

_MEDIA_TYPE = re.compile(r"image/([a-z]+)")


class Shelf(Protocol):
    """Where pictures are laid that are to be fetched later."""

    def open(self, number: int) -> None:
        """A picture begins, the how-manieth from 0."""

    def write(self, base64: bytes) -> None:
        """More of it."""

    def close(self) -> str:
        """It is whole; its address."""


class Writer(Protocol):
    """Bytes for the client: each picture's base64 in as many pieces as it comes in, then what is told of all."""

    def open(self) -> bytes:
        """A picture begins."""

    def text(self, base64: bytes) -> bytes:
        """More of it."""

    def close(self) -> bytes:
        """It is whole."""

    def finish(self, created: int, media_type: str, usage: dict[str, Any] | None) -> bytes:
        """Nothing more comes."""


class ReplyWriter:
    """A reply as one JSON object; with a `shelf` its pictures are addresses."""

    def __init__(self, image_request: ImageRequest, created: int, shelf: Shelf | None) -> None:
        self._image_request = image_request
        self._created = created
        self._shelf = shelf
        self._pictures = 0

    def open(self) -> bytes:
        """The object begins with the first picture."""
        start = b"," if self._pictures else b'{"created":%d,"data":[' % self._created
        self._pictures += 1
        if self._shelf is not None:
            self._shelf.open(self._pictures - 1)
            return start
        return start + b'{"b64_json":"'

    def text(self, base64: bytes) -> bytes:
        """As it came."""
        if self._shelf is None:
            return base64
        self._shelf.write(base64)
        return b""

    def close(self) -> bytes:
        """An address, or the end of the text."""
        return b'"}' if self._shelf is None else encode({"url": self._shelf.close()})

    def finish(self, created: int, media_type: str, usage: dict[str, Any] | None) -> bytes:
        """What gpt-image models say beside the pictures."""
        beside = {**shown(self._image_request, media_type), **({} if usage is None else {"usage": usage})}
        return b"]," + encode(beside)[1:]


class EventWriter:
    """The same as the events of a stream, a `completed` one for each picture; the last tells the usage."""

    def __init__(self, image_request: ImageRequest, created: int) -> None:
        self._image_request = image_request
        self._created = created
        self._open = False

    def open(self) -> bytes:
        """An event begins; the one before has waited for what comes behind it."""
        before = self._end("", None) if self._open else b""
        self._open = True
        return before + begin(kind_of(self._image_request, "completed"))

    def text(self, base64: bytes) -> bytes:
        """As it came."""
        return base64

    def close(self) -> bytes:
        """Not yet: the usage may follow."""
        return b""

    def finish(self, created: int, media_type: str, usage: dict[str, Any] | None) -> bytes:
        """The end of the last event."""
        return self._end(media_type, usage)

    def _end(self, media_type: str, usage: dict[str, Any] | None) -> bytes:
        told = {"created_at": self._created, **shown(self._image_request, media_type)}
        return end(told if usage is None else {**told, "usage": usage})


def kind_of(image_request: ImageRequest, event: str) -> str:
    """The type of an event, as OpenAI calls it for what was asked."""
    return f"{'image_edit' if image_request.task == 'edits' else 'image_generation'}.{event}"


def begin(kind: str) -> bytes:
    """An event up to the text of its picture."""
    return b'event: %b\ndata: {"type":"%b","b64_json":"' % (kind.encode(), kind.encode())


def end(told: dict[str, Any]) -> bytes:
    """The rest of it."""
    return b'",' + encode(told)[1:] + b"\n\n"


def shown(image_request: ImageRequest, media_type: str) -> dict[str, Any]:
    """How the picture is, as far as it was asked for or told."""
    members = image_request.members
    told = {name: members.get(name, "auto") for name in ("background", "quality", "size")}
    found = _MEDIA_TYPE.match(media_type)
    told["output_format"] = found[1] if found else members.get("output_format", "png")
    return told


def usage_of(told: Any) -> dict[str, Any] | None:
    """Usage in OpenAI's words; `cost` (USD) stays where it was told, since nothing else of a stream says it."""
    if not isinstance(told, dict):
        return None
    read, made = (_count(told.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    details = told.get("prompt_tokens_details")
    pictures = _count(details.get("image_tokens")) if isinstance(details, dict) else 0
    usage: dict[str, Any] = {
        "input_tokens": read,
        "input_tokens_details": {"text_tokens": max(0, read - pictures), "image_tokens": pictures},
        "output_tokens": made,
        "total_tokens": _count(told.get("total_tokens")) or read + made,
    }
    return {**usage, "cost": told["cost"]} if told.get("cost") is not None else usage


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
