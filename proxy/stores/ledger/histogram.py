"""How long things took, as counts in logarithmic buckets, which add up over time and over names.

A bucket is a tenth wider than the one before it, so that what is read from it is right to 5 %. A histogram is one whole
number with 32 bits for each bucket: to add two is to add two numbers, which is what questions about millions of calls do
most. As text it is the first bucket there is, and the number from there on in hexadecimal digits.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left, bisect_right
from collections import Counter
from functools import lru_cache
from itertools import accumulate

_GROWTH = 1.1
_MOST = 255
_BITS = 32
_SHORT = 16
# the least number of milliseconds of every bucket from 1 on; 0 ms is bucket 0
_FROM = tuple(_GROWTH**number for number in range(_MOST))


@lru_cache(512)
def histogram_of(milliseconds: int) -> int:
    """The histogram of one measure."""
    return 1 << _BITS * bisect_right(_FROM, milliseconds)


@lru_cache(512)
def text_of(histogram: int) -> str:
    """What is kept of it. Those of single calls are few, and come again and again."""
    if not histogram:
        return ""
    first = ((histogram & -histogram).bit_length() - 1) // _BITS
    return f"{first}:{histogram >> _BITS * first:x}"


def read(text: str) -> int:
    """The histogram a text stands for."""
    return _parsed(text) if len(text) > _SHORT else _known(text)


def _parsed(text: str) -> int:
    first, _, digits = text.partition(":")
    return int(digits, 16) << _BITS * int(first) if digits else 0


_known = lru_cache(4096)(_parsed)  # those of single calls are few, and come again and again


def merged(text: str, other: str) -> str:
    """Two texts as one: what SQLite calls where a row is added to another."""
    return text_of(read(text) + read(other)) if text and other else text or other


def added(texts: str | None) -> int:
    """The sum of any number of texts with a space between each two, as SQLite's group_concat puts them together. Those of
    single calls are few, and counted first."""
    return sum([read(text) * times for text, times in Counter((texts or "").split()).items()])


def quantiles(histogram: int, shares: tuple[float, ...]) -> list[int | None]:
    """The milliseconds that each share of all took at most, to 5 %; None where there was nothing."""
    if histogram <= 0:
        return [None] * len(shares)
    lanes = -(-histogram.bit_length() // _BITS)
    up_to = list(accumulate(struct.unpack(f"<{lanes}I", histogram.to_bytes(lanes * _BITS // 8, "little"))))
    buckets = [bisect_left(up_to, max(1, math.ceil(share * up_to[-1]))) for share in shares]
    return [0 if bucket == 0 else round(_GROWTH ** (bucket - 0.5)) for bucket in buckets]
