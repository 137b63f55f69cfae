"""Chunks of a body (RFC 9112 7.1) as nearly all are written: a length in lower case and no extension, and bytes that are few."""

from __future__ import annotations

_LONGEST_LINE = 10  # that says how long a chunk is
LARGEST_CHUNK = 1024  # with its framing
END = b"\r\n"
# What a chunk begins with, by the length of all of it; empty where none has that.
BEGINNINGS = [b""] * (LARGEST_CHUNK + 1)
for _size in range(1, LARGEST_CHUNK - 6):
    BEGINNINGS[len(b"%x" % _size) + _size + 4] = b"%x\r\n" % _size


def parted(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks that follow one another in `data`, framing and all, each with what it begins with; none where anything else is there,
    or one is not as nearly all are."""
    chunks, at = list[tuple[bytes, bytes]](), 0
    while at < len(data):
        line_end = data.find(END, at, at + _LONGEST_LINE)
        digits = data[at:line_end]
        try:
            size = int(digits, 16)
        except ValueError:
            return []
        chunk = data[at : line_end + size + 4]
        if size <= 0 or digits != b"%x" % size or len(chunk) != len(digits) + size + 4 or not chunk.endswith(END):
            return []
        chunks.append((chunk, digits + END))
        at += len(chunk)
    return chunks
