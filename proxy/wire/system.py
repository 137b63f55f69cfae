"""The system text of a request, in each protocol: put before the client's own, in its place, or where there is none.

Pure splicing: every other byte of the body stays as it came.
"""

from __future__ import annotations

import json
import re
from typing import Literal

import msgspec
from msgspec import Raw

from proxy.errors import InvalidJson, InvalidValue
from proxy.wire.json_object import JsonObject, read_object
from proxy.wire.json_text import mended

Mode = Literal["prepend", "replace", "default"]
Edit = tuple[int, int, bytes]

# of an endpoint by its name: the member that holds the system text, None for a message of its own, and its messages
PLACES: dict[str, tuple[str | None, str]] = {
    "chat/completions": (None, "messages"),
    "messages": ("system", "messages"),
    "messages/count_tokens": ("system", "messages"),
    "responses": ("instructions", "input"),
    "responses/compact": ("instructions", "input"),
    "responses/input_tokens": ("instructions", "input"),
}
_ROLES = ("system", "developer")
_BETWEEN = b"\\n\\n"  # two texts, in JSON
_elements = msgspec.json.Decoder(list[Raw])
_SEPARATION = re.compile(rb"[ \t\r\n,]*")


def json_text(text: str) -> bytes:
    """A text as JSON; halves of characters go as escapes."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def system_edits(document: JsonObject, endpoint: str, text: str, mode: Mode) -> list[Edit]:
    """The edits that put `text` into the request's body; none where the client's own stands. An endpoint of `PLACES`.

    Raises `InvalidValue` where what it would stand with is neither text nor parts.
    """
    member, messages = PLACES[endpoint]
    spans = elements(document, messages)
    asked = spans[:1] if mode == "prepend" else spans
    theirs = [span for span in asked if _is_system(document.body[span[0] : span[1]])]
    own = None if member is None else document.members.get(member)
    has_own = own is not None and bytes(own.value) not in (b"null", b'""', b"[]")
    if mode == "default" and (theirs or has_own):
        return []
    edits = _without(document, messages, spans, theirs) if mode == "replace" else []
    if member is None:
        return edits + _as_message(
            document, spans, theirs if mode == "prepend" else [], text, whole=len(spans) == len(theirs)
        )
    if own is None:
        return [*edits, _added(document, member, json_text(text))]
    value = json_text(text) if mode == "replace" or not has_own else _before(bytes(own.value), text, member)
    return [*edits, (own.start, own.end, value)]


def elements(document: JsonObject, name: str) -> list[tuple[int, int]]:
    """Where the elements of a member stand that is a list; none of any other."""
    member = document.members.get(name)
    if member is None or document.body[member.start : member.start + 1] != b"[":
        return []
    text = bytes(member.value)
    found, spans, at = _decoded(name, text), [], 1
    for raw in found:
        behind = _SEPARATION.match(text, at)
        at = behind.end() if behind else at
        end = at + len(memoryview(raw))
        spans.append((member.start + at, member.start + end))
        at = end
    return spans


def _decoded(name: str, text: bytes) -> list[Raw]:
    try:
        return _elements.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _elements.decode(mended(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJson(f"The member {name!r} of the request body is not valid JSON.") from None


def _is_system(element: bytes) -> bool:
    if not element.startswith(b"{"):
        return False
    return read_object(element).value("role") in _ROLES


def _as_message(
    document: JsonObject, spans: list[tuple[int, int]], theirs: list[tuple[int, int]], text: str, *, whole: bool
) -> list[Edit]:
    """As the first message, or before the text of theirs where theirs is the first: some models read only one."""
    if theirs and theirs[0] == spans[0]:
        start, end = theirs[0]
        message = read_object(document.body[start:end])
        content = message.members.get("content")
        if content is not None:
            value = _before(bytes(content.value), text, "content")
            return [(start + content.start, start + content.end, value)]
    ours = b'{"role":"system","content":' + json_text(text) + b"}"
    member = document.members.get("messages")
    if member is None or document.body[member.start : member.start + 1] != b"[":
        raise InvalidValue("'messages' must be a list.", param="messages")
    at = member.start + 1
    return [(at, at, ours if whole and not theirs else ours + b",")]


def _without(
    document: JsonObject, messages: str, spans: list[tuple[int, int]], theirs: list[tuple[int, int]]
) -> list[Edit]:
    """The edits that take elements out, each with the comma that parts it from what stays."""
    edits: list[Edit] = []
    if len(theirs) == len(spans):
        return [(spans[0][0], spans[-1][1], b"")] if spans else []
    kept_before = False
    for index, (start, end) in enumerate(spans):
        if (start, end) not in theirs:
            kept_before = True
        elif kept_before:  # with the gap before it
            edits.append((spans[index - 1][1], end, b""))
        else:  # with the gap behind it
            edits.append((start, spans[index + 1][0], b""))
    return edits


def _before(value: bytes, text: str, name: str) -> bytes:
    """`text` before a text, or before a list of parts."""
    ours = json_text(text)
    if value.startswith(b'"'):
        return ours[:-1] + _BETWEEN + value[1:]
    if value.startswith(b"["):
        part = b'{"type":"text","text":' + ours + b"}"
        return b"[" + part + (b"" if value[1:].strip() == b"]" else b",") + value[1:]
    if value == b"null":
        return ours
    raise InvalidValue(f"{name!r} must be a text or a list of parts.", param=name)


def _added(document: JsonObject, name: str, value: bytes) -> Edit:
    at = document.end
    return at, at, (b"," if document.members else b"") + b'"' + name.encode() + b'":' + value
