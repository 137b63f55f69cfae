"""JSON as text, before it is parsed: how much work it will be, and the halves of characters that stop a quick parser.

Everything here goes over a text in pieces, so that in a thread nobody waits for more than one of them.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode

from proxy.errors import RequestTooLarge

# Up to here the most crowded text there is takes a parser 35 ms.
SMALL = 512 * 1024
_PIECE = 64 * 1024
# Lists, objects and members; and the commas between what is neither. A million tokens of prompt have fewer.
_MOST_PARTS = 200_000
_MOST_COMMAS = 2_000_000

_HALVES = re.compile(rb"(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+")
_LOWER_HALF = re.compile(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_WHOLE_OR_HALF = re.compile(rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][0-9a-fA-F]{3}")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


def check_parts(text: bytes) -> None:
    """Raise `RequestTooLarge` for a text of more parts than a parser gets through in 50 ms."""
    if not is_parsed_quickly(text):
        raise RequestTooLarge(f"The request body has more than {_MOST_PARTS} lists, objects and members.")


def is_parsed_quickly(text: bytes) -> bool:
    """Whether it is small, or has few parts; what stands inside strings is counted only where all of it is too much."""
    if len(text) <= SMALL:
        return True
    parts, commas = _counts(text)
    if parts > _MOST_PARTS or commas > _MOST_COMMAS:
        parts, commas = _counts_outside_strings(text)
    return parts <= _MOST_PARTS and commas <= _MOST_COMMAS


def _counts(text: bytes) -> tuple[int, int]:
    parts = commas = 0
    for start in range(0, len(text), _PIECE):
        end = start + _PIECE
        parts += sum([_count(text, sign, start, end) for sign in (b"[", b"{", b":")])
        commas += _count(text, b",", start, end)
    return parts, commas


def _count(text: bytes, sign: bytes, start: int, end: int) -> int:
    """How often it stands there. To find none, as in most of a picture, is ten times as quick as to count none."""
    first = text.find(sign, start, end)
    return 0 if first < 0 else text.count(sign, first, end)


def _counts_outside_strings(text: bytes) -> tuple[int, int]:
    parts = commas = at = 0
    in_string = False
    while at < len(text) and parts <= _MOST_PARTS and commas <= _MOST_COMMAS:
        end = at + _PIECE
        plain = _ESCAPED.sub(b"", text[at:end])
        if plain.endswith(b"\\"):  # an escape cut in two belongs to the next piece
            end -= 1
        segments = plain.split(b'"')
        more_parts, more_commas = _counts(b"".join(segments[in_string::2]))
        parts, commas, at = parts + more_parts, commas + more_commas, end
        in_string ^= len(segments) % 2 == 0
    return parts, commas


def is_utf_8(text: bytes) -> bool:
    """Whether it is, as all of JSON is."""
    if text.isascii():
        return True
    view, at = memoryview(text), 0
    try:
        while at < len(text):  # a copy of all of it would be written to memory that is new each time
            end = at + _PIECE
            at += utf_8_decode(view[at:end], "strict", end >= len(text))[1]
    except UnicodeDecodeError:
        return False
    return True


def mended(text: bytes) -> bytes:
    """The text with U+FFFD, spelled as long, in the place of every half of a character: where a cut emoji leaves one.

    All offsets stay. Whether two halves make a whole is judged as JSON has it (RFC 8259 7).
    """
    copy, at = bytearray(text), 0
    while at < len(text):
        found = _HALVES.search(text, at, at + _PIECE)
        if found is None:
            at += _PIECE - 5  # one may stand across the end of the piece
            continue
        start = found.start()
        if not _begins_escape(text, start):
            at = start + 2
            continue
        at = _HALVES.match(text, start, start + _PIECE).end()  # type: ignore[union-attr]
        if text[at - 3] in b"89abAB" and _LOWER_HALF.match(text, at):  # the end of the piece cut a character in two
            at -= 6
        copy[start:at] = _WHOLE_OR_HALF.sub(_whole_or_lost, text[start:at])
    return bytes(copy)


def _whole_or_lost(match: re.Match[bytes]) -> bytes:
    return match[1] or b"\\ufffd"


def _begins_escape(text: bytes, at: int) -> bool:
    """Whether the backslash there is not itself escaped: an even number of them stands before it."""
    before = at
    while before and text[before - 1] == 0x5C:
        before -= 1
    return (at - before) % 2 == 0
