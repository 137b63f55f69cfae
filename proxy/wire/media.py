"""Long strings, taken out of a JSON text before it is parsed: of a request with a picture they are nearly all.

Nobody reads more of one than its length. One without an escape ends at the next quote, so that what is left has the
same structure.
"""

from __future__ import annotations

import secrets
import sys
from bisect import bisect_right

from msgspec import Struct

LONG = 8192
_NONCE = secrets.token_hex(8)  # no client knows the names
_PIECE = 64 * 1024
_LONGEST_CHARACTER = 4
_OUTSIDE = b",:]} \t\r\n"  # what stands behind a string

Lacking = dict[str, int]  # by how many bytes a name is shorter than what it stands for


class Brief(Struct, frozen=True):
    """A text with a name in the place of every long string. `cuts`: where each name ends in it, and by how many bytes
    that end lies further on in the text as it came."""

    text: bytes
    cuts: list[tuple[int, int]]
    lacking: Lacking

    def place(self, at: int) -> int:
        """Where in the text as it came an offset outside the names lies."""
        before = bisect_right(self.cuts, (at, sys.maxsize))
        return at + self.cuts[before - 1][1] if before else at


def without_long_strings(text: bytes) -> Brief | None:
    """The text in brief; None where it has nothing long without a quote.

    What stands between two quotes may lie outside strings as well: a name in its place is no JSON, which tells. Not looked
    into is whether every byte of a long string may stand in one: but for what lies there, nobody takes it for longer or
    shorter than it is.
    """
    pieces: list[bytes] = []
    cuts: list[tuple[int, int]] = []
    lacking: Lacking = {}
    size = done = 0
    for opening, closing in _stretches(text):
        if not _is_plain(text, opening, closing):
            continue
        name = f"data:{_NONCE}-{len(cuts)}"
        pieces += (text[done:opening], name.encode())
        size += opening - done + len(name)
        lacking[name] = closing - opening - len(name)
        cuts.append((size, closing - size))
        done = closing
    if not cuts:
        return None
    pieces.append(text[done:])
    return Brief(b"".join(pieces), cuts, lacking)


def _stretches(text: bytes) -> list[tuple[int, int]]:
    """Where no quote stands for more than `LONG` bytes: all that are twice as long, and by chance shorter ones."""
    found = []
    at, done = LONG, 0
    while at < len(text):
        opening = text.rfind(b'"', done, at) + 1
        closing = text.find(b'"', at)
        if closing < 0:
            break
        if opening and closing - opening > LONG:
            found.append((opening, closing))
            done = closing
        at = max(at, closing) + LONG
    return found


def _is_plain(text: bytes, opening: int, closing: int) -> bool:
    """Whether what stands there is, if it is a string, the same for everybody: without an escape or a line end, and no
    character at its end that is cut off, with which careless readers take the quote."""
    if (
        text[opening - 2] == 0x5C
        or text[opening] in _OUTSIDE
        or not text[closing - _LONGEST_CHARACTER : closing].isascii()
    ):
        return False
    for start in range(opening, closing, _PIECE):  # what has just been searched is searched again quicker
        end = min(start + _PIECE, closing)
        if text.find(b"\\", start, end) >= 0 or text.find(b"\n", start, end) >= 0:
            return False
    return True
