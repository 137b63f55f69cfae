"""The fields of a multipart/form-data body, found in its bytes (RFC 7578, RFC 2046 5.1).

Nothing is decoded or encoded: boundary, part order, part headers and file bytes pass as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from proxy.errors import DuplicateKey, InvalidValue, RequestTooLarge

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')
_LONGEST_FIELD = 1024
_LONGEST_HEAD = 16 * 1024
_MOST_PARTS = 1000  # as many as the frameworks behind such APIs take


class FormField(Struct, frozen=True):
    """A small field: its text, and the byte range of its value."""

    text: str
    start: int
    end: int


class Part(Struct, frozen=True):
    """A field of any size: its name, the type of a file ("" where it is none), and the byte range of its value."""

    name: str
    media_type: str
    start: int
    end: int


def read_form(body: bytes, content_type: str, names: frozenset[str]) -> dict[str, FormField]:
    """Find the named fields. Raises `InvalidValue` without a boundary, `DuplicateKey` on a repeated field,
    `RequestTooLarge` where there are too many."""
    fields: dict[str, FormField] = {}
    for part in _ranges(body, content_type):
        _read_part(body, part, names, fields)
    return fields


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """Find every field. Raises `InvalidValue` without a boundary, `RequestTooLarge` where there are too many."""
    return [part for at in _ranges(body, content_type) if (part := _part(body, *at)) is not None]


def _ranges(body: bytes, content_type: str) -> Iterator[tuple[int, int]]:
    """Where each part stands, its head included."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise InvalidValue("The Content-Type of a multipart body must name its boundary.")
    delimiter = b"--" + (match[1] or match[2]).encode("utf-8", "surrogateescape")
    part = -1
    for at in _delimiters(body, delimiter):
        if part >= 0:
            yield part, at - 2
        part = at + len(delimiter)
        if body[part : part + 2] == b"--":
            return
    if part >= 0:
        raise InvalidValue("The multipart body ends without its closing boundary.")


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[int]:
    """Where each stands that has a line to itself; lines that only begin so count as well, being as much work."""
    line, size = b"\r\n" + delimiter, len(delimiter)
    found = -2 if body.startswith(delimiter + b"\r\n") else body.find(line)
    for _ in range(_MOST_PARTS + 1):
        if found == -1:
            return
        at = found + 2
        if body[at + size : at + size + 2] in (b"\r\n", b"--"):
            yield at
        found = body.find(line, at + size)
    raise RequestTooLarge(f"The form has more than {_MOST_PARTS} fields.")


def _head_end(body: bytes, start: int, end: int) -> int:
    """Where the head of a part ends, -1 where it has none."""
    head_end = body.find(b"\r\n\r\n", start, end)
    if head_end - start > _LONGEST_HEAD:
        raise RequestTooLarge(f"The head of a form field has more than {_LONGEST_HEAD} bytes.")
    return head_end


def _part(body: bytes, start: int, end: int) -> Part | None:
    head_end = _head_end(body, start, end)
    if head_end < 0:
        return None
    name, media_type, is_file = "", "", False
    for line in body[start:head_end].split(b"\r\n"):
        low = line.lower()
        if low.startswith(b"content-disposition:"):
            name, is_file = _name_in(line), b"filename" in low
        elif low.startswith(b"content-type:"):
            media_type = low.partition(b":")[2].partition(b";")[0].strip().decode("latin-1")
    media_type = media_type or "application/octet-stream"
    return Part(name, media_type if is_file else "", head_end + 4, end)


def _read_part(body: bytes, part: tuple[int, int], names: frozenset[str], fields: dict[str, FormField]) -> None:
    start, end = part
    head_end = _head_end(body, start, end)
    if head_end < 0:
        return
    for line in body[start:head_end].split(b"\r\n"):
        if not line.lower().startswith(b"content-disposition:"):
            continue
        name = _name_in(line)
        if name not in names:
            continue
        if name in fields:
            raise DuplicateKey(f"The form field {name!r} stands twice.", param=name)
        if end - head_end - 4 > _LONGEST_FIELD:
            raise InvalidValue(f"The form field {name!r} is too long.", param=name)
        try:
            text = body[head_end + 4 : end].decode()
        except UnicodeDecodeError:
            raise InvalidValue(f"The form field {name!r} is not UTF-8.", param=name) from None
        fields[name] = FormField(text, head_end + 4, end)


def _name_in(line: bytes) -> str:
    """The `name` of a Content-Disposition; one that stands inside a quoted file name is none."""
    for match in _PARAMETER.finditer(line):
        if match[1].lower() == b"name":
            return (match[2] or match[3] or b"").decode("utf-8", "replace")
    return ""
