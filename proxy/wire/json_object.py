"""A JSON object read at its top level only, with the place of every member in the bytes.

Changing a member is *splicing*: the bytes before, the new value, the bytes after. Nothing
is ever encoded again, so number spelling, escapes, key order and white space survive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.errors import DuplicateKey, InvalidJson, JsonTooDeep

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_SPACE = b" \t\n\r"
_KNOWN = frozenset(
    "model messages input prompt stream stream_options max_tokens max_completion_tokens max_output_tokens "
    "models fallbacks n tools temperature metadata user provider seed stop".split()
)
_members = msgspec.json.Decoder(dict[str, Raw])


class Member(Struct, frozen=True):
    """One top-level member: its value's text and where it stands (byte offsets, end exclusive)."""

    start: int
    end: int
    value: bytes | Raw


class JsonObject(Struct, frozen=True):
    """The bytes as they came, and what stands where. `close` is the offset of the final brace."""

    body: bytes
    members: dict[str, Member]
    close: int

    def value(self, name: str) -> Any:
        """Decode one member; None when it is absent. Raises `InvalidJson` where it cannot be."""
        member = self.members.get(name)
        if member is None:
            return None
        try:
            return msgspec.json.decode(member.value)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            try:
                return json.loads(bytes(member.value))
            except (ValueError, RecursionError):
                raise InvalidJson(f"The member {name!r} of the request body is not valid JSON.") from None


def read_object(body: bytes) -> JsonObject:
    """Read the top level of a JSON object.

    Raises `InvalidJson`, `DuplicateKey` or `JsonTooDeep`; never anything else.
    """
    start = len(_BOM) if body.startswith(_BOM) else 0
    try:
        found = _members.decode(memoryview(body)[start:] if start else body)
    except RecursionError:
        raise JsonTooDeep("The request body nests too deep to be read.") from None
    except (msgspec.ValidationError, UnicodeDecodeError):
        raise InvalidJson("The request body must be a JSON object in UTF-8.") from None
    except msgspec.DecodeError as error:
        if b"\\ud" in body or b"\\uD" in body:
            return _read_slowly(body, start)
        raise InvalidJson(f"The request body is not valid JSON: {_without_input(error)}.") from None
    return _place(body, start, found)


def splice(body: bytes, edits: Iterable[tuple[int, int, bytes]]) -> list[bytes | memoryview]:
    """Return the pieces of `body` with each (start, end, new) range replaced; the rest is not copied."""
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += (view[at:start], new)
        at = end
    pieces.append(view[at:])
    return pieces


def edit_for(document: JsonObject, name: str, text: bytes) -> tuple[int, int, bytes]:
    """The edit that gives member `name` the JSON `text`: in its place, or after the last member."""
    member = document.members.get(name)
    if member is not None:
        return member.start, member.end, text
    comma = b"," if document.members else b""
    at = max((m.end for m in document.members.values()), default=document.close)
    return at, at, comma + b'"' + name.encode() + b'":' + text


def _place(body: bytes, start: int, found: dict[str, Raw]) -> JsonObject:
    """Walk `{ key : value ,` with the known length of each value.

    A repeated key is collapsed by the decoder, so the walk meets a member too many, or a value
    whose bytes are not the ones the decoder kept: both mean a duplicate.
    """
    members: dict[str, Member] = {}
    at = _skip_space(body, start) + 1
    at = _skip_space(body, at)
    while body[at] != 0x7D:
        key, at = _key(body, at)
        at = _skip_space(body, at)
        raw = found[key]
        end = at + len(memoryview(raw))
        if key in members or not body.startswith(raw, at):
            raise _twice(key)
        members[key] = Member(at, end, raw)
        at = _skip_space(body, end)
        if body[at] == 0x2C:
            at = _skip_space(body, at + 1)
        elif body[at] != 0x7D:
            raise _twice(key)
    return JsonObject(body, members, at)


def _key(body: bytes, at: int) -> tuple[str, int]:
    """Read the key whose opening quote is at `at`; return it and the offset behind its colon."""
    end = body.index(b'"', at + 1)
    if body.find(b"\\", at, end) < 0:
        return body[at + 1 : end].decode(), body.index(b":", end) + 1
    match = _STRING.match(body, at)
    if match is None:  # cannot be: the decoder read it as a string
        raise InvalidJson("The request body is not valid JSON.")
    return json.loads(match.group()), body.index(b":", match.end()) + 1


def _skip_space(body: bytes, at: int) -> int:
    while body[at] in _SPACE:
        at += 1
    return at


def _read_slowly(body: bytes, start: int) -> JsonObject:
    """What msgspec refuses (lone surrogates, as cut emoji leave them), placed by the standard library.

    Latin-1 gives every byte one character, so its offsets are byte offsets.
    """
    text = body.decode("latin-1")
    try:
        pairs, close = _scan_object(text, start)
    except RecursionError:
        raise JsonTooDeep("The request body nests too deep to be read.") from None
    except (ValueError, IndexError, StopIteration):
        raise InvalidJson("The request body is not valid JSON.") from None
    members: dict[str, Member] = {}
    for key, begin, end in pairs:
        if key in members:
            raise _twice(key)
        members[key] = Member(begin, end, body[begin:end])
    return JsonObject(body, members, close)


class _Strict(json.JSONDecoder):
    """Reads every value as the grammar has it: no NaN, no conversion of numbers."""

    def __init__(self) -> None:
        super().__init__(parse_int=_keep, parse_float=_keep, parse_constant=_refuse)
        self.scan_once = py_make_scanner(self)


def _keep(text: str) -> str:
    return text


def _refuse(name: str) -> None:
    raise ValueError(name)


def _scan_object(text: str, start: int) -> tuple[list[tuple[str, int, int]], int]:
    """Return (key, value start, value end) of each member, and the offset of the final brace."""
    scan = _Strict().scan_once
    at = _skip(text, start)
    if text[at] != "{":
        raise ValueError("not an object")
    at = _skip(text, at + 1)
    pairs: list[tuple[str, int, int]] = []
    while text[at] != "}" or pairs:
        if text[at] != '"':
            raise ValueError("a key is due")
        _, behind = scanstring(text, at + 1, True)
        key = json.loads(text[at:behind].encode("latin-1"))
        at = _skip(text, behind)
        if text[at] != ":":
            raise ValueError("a colon is due")
        at = _skip(text, at + 1)
        _, end = scan(text, at)
        pairs.append((key, at, end))
        at = _skip(text, end)
        if text[at] == "}":
            break
        if text[at] != ",":
            raise ValueError("a comma is due")
        at = _skip(text, at + 1)
    if text[at + 1 :].strip(" \t\n\r"):
        raise ValueError("trailing characters")
    return pairs, at


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at


def _twice(key: str) -> DuplicateKey:
    """Name the member only where its name is ours too: an error repeats no bytes of the request."""
    if key in _KNOWN:
        return DuplicateKey(f"The member {key!r} stands twice in the request body.", param=key)
    return DuplicateKey("A member stands twice in the request body; parsers disagree on which one counts.")


def _without_input(error: Exception) -> str:
    """msgspec names a position and never quotes the input; keep its words, lower-cased."""
    words = str(error).removeprefix("JSON is malformed: ")
    return words[:1].lower() + words[1:]
