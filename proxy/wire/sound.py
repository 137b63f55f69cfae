"""How many bytes a second of sound takes, where its file says so: a WAV with plain samples."""

from __future__ import annotations

import struct

HEAD_BYTES = 512
_PLAIN = frozenset({1, 3, 6, 7})  # integers, floats, A-law, mu-law
_TOLD_BEHIND, _BEHIND = 0xFFFE, 24  # what says its kind later: where
_BITS, _MOST_CHANNELS, _HIGHEST_RATE = frozenset({8, 16, 24, 32, 64}), 32, 384_000
_FORMAT = struct.Struct("<HHIIHH")


def bytes_a_second(head: bytes) -> int | None:
    """By the first bytes of the file; None where they do not say, or not once."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or head.count(b"fmt ") != 1:
        return None
    at = head.index(b"fmt ") + 8
    if len(head) < at + _FORMAT.size:
        return None
    kind, channels, rate, _, _, bits = _FORMAT.unpack_from(head, at)
    if kind == _TOLD_BEHIND:
        kind = int.from_bytes(head[at + _BEHIND : at + _BEHIND + 2], "little")
    is_plain = kind in _PLAIN and bits in _BITS and 0 < channels <= _MOST_CHANNELS and 0 < rate <= _HIGHEST_RATE
    return channels * rate * bits // 8 if is_plain else None
