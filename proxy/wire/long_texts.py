"""Divides JSON that passes into its long texts, pictures most of all, and the rest, which is small.

No text is kept: each is handed on piece by piece, as it came. Events of a stream are divided alike, since no line of
theirs ends inside a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

LONG = 1024
LARGEST_REST = 2**20


class Piece(Struct, frozen=True):
    """Some of a long text, that of the member `key`; `first` and `last` say where the text begins and ends."""

    key: str
    text: bytes
    first: bool = False
    last: bool = False


class TooLarge(ValueError):
    """Without its long texts it is larger than anything that is read here."""


class LongTexts:
    """Feed it bytes; what comes out are pieces of texts that are longer than `LONG`, or a member's named in `keys`, however
    long. `rest` is everything else so far, with "" in the place of each such text. Raises `TooLarge`."""

    __slots__ = ("_colon", "_escaped", "_key", "_keys", "_last", "_long", "_text", "inside", "rest")

    def __init__(self, keys: frozenset[bytes] = frozenset()) -> None:
        self.rest = bytearray()
        self.inside = False
        self._keys = keys
        self._text = bytearray()  # of the text we are in, while it is short
        self._last = b""  # the text before
        self._key = b""
        self._colon = self._escaped = self._long = False

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """The pieces in `chunk`, in their order; take them all before the next."""
        at = 0
        while at < len(chunk):
            if self.inside:
                end = self._end_of_text(chunk, at)
                yield from self._piece(chunk[at : len(chunk) if end < 0 else end], ends=end >= 0)
                at = len(chunk) if end < 0 else end + 1
            else:
                quote = chunk.find(b'"', at)
                between = chunk[at:] if quote < 0 else chunk[at : quote + 1]
                self._colon = self._colon or b":" in between
                self.rest += between
                at += len(between)
                if quote >= 0:
                    self._begin()
        if len(self.rest) > LARGEST_REST:
            raise TooLarge("it holds more than long texts")

    def take_rest(self) -> bytes:
        """What stands beside the long texts, up to here; it is forgotten."""
        rest = bytes(self.rest)
        self.rest.clear()
        return rest

    def _begin(self) -> None:
        self.inside, self._key = True, self._last if self._colon else b""
        self._long, self._colon, self._escaped = False, False, False

    def _piece(self, text: bytes, *, ends: bool) -> Iterator[Piece]:
        if not self._long:
            self._text += text
            if self._key in self._keys and self._key or len(self._text) > LONG:
                self._long = True
                yield Piece(self._key.decode("utf-8", "replace"), bytes(self._text), first=True, last=ends)
                self._text.clear()
        else:
            yield Piece(self._key.decode("utf-8", "replace"), text, last=ends)
        if ends:
            self.rest += self._text
            self.rest += b'"'
            self._last = bytes(self._text)
            self._text.clear()
            self.inside = False

    def _end_of_text(self, chunk: bytes, start: int) -> int:
        """The offset of the quote that ends the text, or -1; a backslash at the end of one chunk counts in the next."""
        first = start + self._escaped
        found = chunk.find(b'"', first)
        while found >= 0 and _backslashes(chunk, first, found) % 2:
            found = chunk.find(b'"', found + 1)
        if found < 0:
            self._escaped = len(chunk) > first and _backslashes(chunk, first, len(chunk)) % 2 == 1
        else:
            self._escaped = False
        return found


def _backslashes(chunk: bytes, start: int, end: int) -> int:
    """How many stand right before `end`."""
    at = end
    while at > start and chunk[at - 1] == 0x5C:
        at -= 1
    return end - at


PICTURE_KEYS = frozenset({b"b64_json"})
_ADDRESS = re.compile(rb'"url"\s*:')


def count_pictures(reply: bytes) -> int:
    """How many pictures stand in a whole JSON reply of an images API, as texts or by their addresses."""
    texts = LongTexts(PICTURE_KEYS)
    try:
        made = sum(piece.first and bool(piece.text) for piece in texts.feed(reply))
    except TooLarge:
        return 0
    return made or len(_ADDRESS.findall(texts.rest))
