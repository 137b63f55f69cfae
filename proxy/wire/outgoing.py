"""What of a call goes out: the client's bytes, with what is to differ spliced in."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from msgspec import Struct

from proxy.wire.call import SMALL, Call
from proxy.wire.json_object import JsonObject, edit_for, read_object, splice

Pieces = list[bytes | memoryview]


class Change(Struct, frozen=True):
    """What is to differ from the client's bytes: the model, members by name, and the usage flag.

    `members` replace or add; values are JSON texts.
    """

    model: str | None = None
    members: tuple[tuple[str, bytes], ...] = ()
    include_usage: bool = False


def outgoing(call: Call, change: Change) -> Pieces:
    """The pieces of the body to send: the client's bytes with `change` spliced in."""
    if call.form is not None:
        field = call.form.get("model")
        if field is None or change.model is None or field.text == change.model:
            return [call.body]
        return splice(call.body, [(field.start, field.end, change.model.encode())])
    if call.document is None:
        return [call.body]
    if not change.members and not change.include_usage and call.model is not None and len(call.body) < SMALL:
        if change.model is None or change.model == call.model:
            return [call.body]
        start, end = call.document.place_of("model")
        return [call.body[:start], _json_text(change.model), call.body[end:]]
    return _spliced(call.document, _edits(call, change))


def only_beginning(call: Call, change: Change) -> tuple[bytes | None, int]:
    """Where a change is one of the model, which stands before the messages: what the body begins with then, and in the place
    of how many bytes. None where it is not."""
    document = call.document
    if document is None or document.template is None or change.members or change.include_usage or call.model is None:
        return None, 0
    if change.model is None or change.model == call.model:
        return b"", 0
    start, end = document.place_of("model")
    is_before = end < len(document.template.before)
    return (call.body[:start] + _json_text(change.model), end) if is_before else (None, 0)


def _edits(call: Call, change: Change) -> dict[str, bytes]:
    document = call.document
    assert document is not None
    edits: dict[str, bytes] = {}
    if change.model is not None and change.model != call.model:
        edits["model"] = _json_text(change.model)
    edits.update(change.members)
    if change.include_usage and (options := _with_usage(document)) is not None:
        edits["stream_options"] = options
    return edits


@lru_cache(maxsize=1024)
def _json_text(name: str) -> bytes:
    return json.dumps(name).encode()


def _spliced(document: JsonObject, edits: dict[str, bytes]) -> Pieces:
    """Replace members in place; new ones go behind the last, as one edit so that they keep their order."""
    ranges = [edit_for(document, name, text) for name, text in edits.items() if name in document.members]
    added = [b'"' + name.encode() + b'":' + text for name, text in edits.items() if name not in document.members]
    if added:
        at = document.end
        ranges.append((at, at, (b"," if document.members else b"") + b",".join(added)))
    return splice(document.body, ranges) if ranges else [document.body]


def with_members(body: bytes, members: dict[str, bytes]) -> bytes:
    """A JSON object of our own with these members set."""
    return b"".join(_spliced(read_object(body), members))


def _with_usage(document: JsonObject) -> bytes | None:
    """The `stream_options` that ask for usage, other members kept; None when the client asks already."""
    told = document.values.get("stream_options")
    if told is None:
        return b'{"include_usage":true}'
    options: Any = document.value("stream_options")
    if not isinstance(options, dict):
        return b'{"include_usage":true}' if options is None else None
    if options.get("include_usage") is True:
        return None
    inner = read_object(bytes(told))
    return b"".join(splice(inner.body, [edit_for(inner, "include_usage", b"true")]))


def asks_for_usage(call: Call) -> bool:
    """Whether the client itself asked for the usage event of a stream."""
    options = call.document.value("stream_options") if call.document is not None else None
    return isinstance(options, dict) and options.get("include_usage") is True
