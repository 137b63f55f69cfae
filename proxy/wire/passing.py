"""Reads a reply that passes as it came: whatever its type says, what can be read of it is read."""

from __future__ import annotations

import codecs
from typing import Literal

from msgspec import Raw

from proxy.wire.decoding import CannotDecode, Decoder
from proxy.wire.events import read_event, read_value
from proxy.wire.long_texts import PICTURE_KEYS, LongTexts, TooLarge
from proxy.wire.reader import StreamReader

LARGEST_DOCUMENT = 2 * 2**20
_TAIL = 64 * 1024
_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LONGEST_FIELD = 6
_SPACE = b" \t\r\n"

Kind = Literal["unknown", "events", "document", "lines", "opaque"]


def kind_of(begun: bytes) -> Kind:
    """What a body is that has begun so, by its first bytes that are no space; unknown while these do not tell yet."""
    start = begun.removeprefix(codecs.BOM_UTF8).lstrip(_SPACE)
    if start[:1] in (b"{", b"["):
        return "document"
    if start.startswith(_EVENT_FIELDS):
        return "events"
    return "opaque" if len(start) >= _LONGEST_FIELD or len(begun) > _TAIL else "unknown"


class Passing:
    """Tells the findings of `reader` what a reply says: events, a document, or a document a line; of others nothing.

    Of a document too large to be kept, what stands beside its long texts is read; where that is much too, the usage is looked
    for near its end.
    """

    __slots__ = ("_decoder", "_kept", "_reader", "_texts", "_too_large", "kind", "pictures")

    def __init__(self, reader: StreamReader, encoding: str) -> None:
        self._reader = reader
        self._kept = bytearray()
        self._too_large = False
        self._texts: LongTexts | None = None
        self.pictures = 0  # that passed in a large document
        self.kind: Kind = "unknown"
        self._decoder: Decoder | None = None
        try:
            self._decoder = Decoder(encoding)
        except CannotDecode:
            self._give_up()

    @property
    def is_stream(self) -> bool:
        """Whether it came piece by piece, as far as it was understood."""
        return self.kind in ("events", "lines")

    def feed(self, chunk: bytes) -> None:
        """Read what passes."""
        if self._decoder is None:
            return
        try:
            for piece in self._decoder.feed(chunk):
                self._take(piece)
        except CannotDecode:
            self._give_up()

    def finish(self) -> None:
        """Nothing more comes. Harmless when said again."""
        if self.kind == "unknown" and self._kept:
            self._settle_kind(at_end=True)
        if self.kind == "events":
            self._reader.finish()
        elif self.kind == "lines" and self._kept.strip():
            self._reader.findings.see(bytes(self._kept))
        elif self.kind == "document":
            self._see_document()
        self._kept.clear()
        self._decoder = None

    def _take(self, piece: bytes) -> None:
        if self.kind == "events":
            self._reader.feed(piece)
            return
        if self.kind == "opaque":
            return
        self._kept += piece
        if self.kind == "unknown":
            self._settle_kind(at_end=False)
        if self.kind == "document" and not self._too_large:
            self._look_for_lines()
        if self.kind == "lines":
            self._see_lines()
        elif self.kind == "document" and (self._too_large or len(self._kept) > LARGEST_DOCUMENT):
            self._skim(bytes(self._kept) if not self._too_large else piece)
            self._too_large = True
            del self._kept[:-_TAIL]

    def _skim(self, part: bytes) -> None:
        """Of a large document, what it says beside its long texts, and how many of them are pictures."""
        if not self._too_large:
            self._texts = LongTexts(PICTURE_KEYS)
        try:
            for text in self._texts.feed(part) if self._texts is not None else ():
                self.pictures += text.first and text.key == "b64_json"
        except TooLarge:
            self._texts = None

    def _settle_kind(self, *, at_end: bool) -> None:
        """Judge by the first bytes that are no space."""
        self.kind = kind_of(bytes(self._kept[: _TAIL + 1]))
        if self.kind == "events":
            self._reader.feed(bytes(self._kept))
            self._kept.clear()
        elif self.kind == "opaque" or (self.kind == "unknown" and at_end):
            self._give_up()

    def _look_for_lines(self) -> None:
        """A first line that is a whole object, and something behind it."""
        line, end, rest = self._kept.partition(b"\n")
        if end and rest.strip() and line.rstrip().endswith(b"}") and read_event(bytes(line)) is not None:
            self.kind = "lines"

    def _see_lines(self) -> None:
        *lines, left = self._kept.split(b"\n")
        for line in lines:
            if line.strip():
                self._reader.findings.see(bytes(line))
        self._kept = left
        if len(left) > LARGEST_DOCUMENT:
            self._give_up()

    def _see_document(self) -> None:
        findings = self._reader.findings
        if not self._too_large:
            if read_event(bytes(self._kept)) is not None:
                findings.see(bytes(self._kept))
            return
        if self._texts is not None and not self._texts.inside:
            findings.see(self._texts.take_rest())
            return
        # inside a text a quote is written with a backslash before it, so this is the member
        _, found, behind = bytes(self._kept).rpartition(b'"usage":')
        usage = read_value(Raw(_first_object(behind))) if found else None
        if isinstance(usage, dict):
            findings.see(b'{"usage":' + _first_object(behind) + b"}")

    def _give_up(self) -> None:
        self.kind = "opaque"
        self._kept.clear()
        self._decoder = None


def _first_object(text: bytes) -> bytes:
    """The object that `text` begins with, as far as its braces tell; usage objects hold no texts with braces."""
    depth = 0
    for position, byte in enumerate(text):
        depth += (byte == 0x7B) - (byte == 0x7D)
        if depth == 0 and position and byte == 0x7D:
            return text[: position + 1]
    return text
