"""How long things took, as counts in logarithmic buckets, which add up over time and over names.

A bucket is a tenth wider than the one before it, so that what is read from it is right to 5 %. As text it is pairs
`bucket:count` with spaces between them; several such texts after one another are their sum.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter

_GROWTH = 1.1
_MOST = 255
# the least number of milliseconds of every bucket from 1 on; 0 ms is bucket 0
_FROM = tuple(_GROWTH**number for number in range(_MOST))

Histogram = dict[int, int]  # bucket: how many


def bucket_of(milliseconds: int) -> int:
    """Where it is counted."""
    return bisect_right(_FROM, milliseconds)


def text_of(histogram: Histogram) -> str:
    """What is kept of it; a bucket with nothing in it is left out."""
    return " ".join([f"{bucket}:{count}" for bucket, count in sorted(histogram.items()) if count])


def read(texts: str) -> Histogram:
    """The sum of one or more texts. The same pair stands in many of them, so that each is read once."""
    found: Histogram = {}
    for pair, times in Counter(texts.split()).items():
        bucket, _, count = pair.partition(":")
        found[int(bucket)] = found.get(int(bucket), 0) + int(count) * times
    return found


def merged(text: str, other: str) -> str:
    """Two texts as one: what SQLite calls where a row is added to another."""
    return text_of(read(f"{text} {other}")) if text and other else text or other


def quantile(histogram: Histogram, share: float) -> int | None:
    """The milliseconds that `share` of all took at most, to 5 %; None where there was nothing."""
    total = sum(histogram.values())
    if total <= 0:
        return None
    left = max(1, math.ceil(share * total))
    for bucket, count in sorted(histogram.items()):
        left -= count
        if left <= 0:
            return 0 if bucket == 0 else round(_GROWTH ** (bucket - 0.5))
    return None
