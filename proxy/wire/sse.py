"""Server-sent events cut at their blank lines, whatever the chunking (WHATWG HTML 9.2.5).

Only whole events leave, so that an error of ours never lands inside one of the upstream's. An
event larger than `LARGEST_HELD` passes as it comes instead of being held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from proxy.wire.structs import often_set

LARGEST_HELD = 4 * 2**20

# atomic, so that one CRLF is never taken for two line ends
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM = b"\xef\xbb\xbf"  # may stand before the first
_LINE_END = re.compile(rb"\r\n|\n|\r")


@often_set
class EventCutter(Struct, eq=False, gc=False):
    """Bytes in, whole events out. `mid_event` is True while part of a large event has passed; `tail` waits for its end."""

    tail: bytearray = field(default_factory=bytearray)
    mid_event: bool = False

    @property
    def held(self) -> int:
        """How many bytes have come and not left."""
        return len(self.tail)

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes up to the last blank line seen; keep the rest."""
        if not self.tail and chunk.endswith(b"\n\n"):
            self.mid_event = False
            return chunk
        searched = max(0, len(self.tail) - 3)
        self.tail += chunk
        end = _last_boundary(self.tail, searched)
        if end:
            ready = bytes(self.tail[:end])
            del self.tail[:end]
            self.mid_event = False
            return ready
        if len(self.tail) > LARGEST_HELD:
            self.mid_event = True
            ready = bytes(self.tail[:-3])
            del self.tail[:-3]
            return ready
        return b""

    def rest(self) -> bytes:
        """What the stream ended on without a blank line."""
        rest = bytes(self.tail)
        self.tail.clear()
        return rest


def _last_boundary(data: bytearray, start: int) -> int:
    """The offset behind the last blank line at or after `start`, or 0."""
    if data.find(b"\r", start) < 0:
        found = data.rfind(b"\n\n", start)
        return found + 2 if found >= 0 else 0
    end = 0
    for match in _BLANK.finditer(data, start):
        end = match.end()
    return end


def split_events(block: bytes) -> list[bytes]:
    """Cut whole events apart, each with its blank line; together they are `block` again."""
    if b"\r" not in block:
        pieces = block.split(b"\n\n")
        last = pieces.pop()
        events = [piece + b"\n\n" for piece in pieces]
    else:
        events, at = [], 0
        for match in _BLANK.finditer(block):
            events.append(block[at : match.end()])
            at = match.end()
        last = block[at:]
    return [*events, last] if last else events


def data_of(event: bytes) -> bytes | None:
    """The data of one event: its `data` lines joined by newlines, or None where it has none."""
    if event.startswith(b"data:"):
        body = event[5:].rstrip(b"\r\n")
        if b"\n" not in body and b"\r" not in body:
            return body[1:] if body.startswith(b" ") else body
    lines = [line for line in _lines(event.removeprefix(_BOM)) if line == b"data" or line.startswith(b"data:")]
    if not lines:
        return None
    return b"\n".join(_value(line) for line in lines)


def is_silent(block: bytes) -> bool:
    """Whether there is nothing but comments, blank lines and fields without data: signs of life."""
    silent = (b":", b"event", b"id", b"retry")
    return all(not line or line.startswith(silent) for line in _lines(block))


def _lines(event: bytes) -> Iterator[bytes]:
    yield from _LINE_END.split(event)


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value
