"""Chunks of a body (RFC 9112 7.1) as nearly all are written: a length in lower case and no extension, and bytes that are few."""

from __future__ import annotations

LARGEST_CHUNK = 1024  # with its framing
END = b"\r\n"
# What a chunk begins with, by the length of all of it; empty where none has that.
BEGINNINGS = [b""] * (LARGEST_CHUNK + 1)
for _size in range(1, LARGEST_CHUNK - 6):
    BEGINNINGS[len(b"%x" % _size) + _size + 4] = b"%x\r\n" % _size
