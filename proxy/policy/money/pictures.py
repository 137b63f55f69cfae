"""The output tokens of one picture: by its area, and less for a lower quality."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from proxy.policy.money.counts import count

# Output tokens of a picture of 1024 x 1024 at the highest quality, and of the smallest one.
TOKENS_PER_PICTURE = 7_100
FEWEST_PICTURE_TOKENS = 1_300
TOKENS_PER_PARTIAL_PICTURE = 100

_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_RESOLUTIONS = {"512": 1, "1k": 1, "2k": 4, "4k": 16}
_QUALITIES = {"low": 10, "medium": 3}


def picture_tokens(members: Mapping[str, Any]) -> int:
    """What one picture may come to, as its `size`, `resolution`, `quality` and `partial_images` have it."""
    size, resolution = str(members.get("size") or "auto").lower(), str(members.get("resolution") or "1k").lower()
    area = TOKENS_PER_PICTURE * 3 // 2 * _RESOLUTIONS.get(resolution, 16)
    if match := _SIZE.fullmatch(size):
        area = -(-int(match[1]) * int(match[2]) * TOKENS_PER_PICTURE // 2**20)
    elif size != "auto":
        area = TOKENS_PER_PICTURE * 24
    quality = _QUALITIES.get(str(members.get("quality")).lower(), 1)
    partial = count(members.get("partial_images")) or 1
    return max(-(-area // quality), FEWEST_PICTURE_TOKENS) + partial * TOKENS_PER_PARTIAL_PICTURE
