"""How long the replies of a name take, so that one can be told from the others."""

from __future__ import annotations

import math
from collections import deque

_REMEMBERED = 200
_LEAST = 20  # below it nothing is out of the ordinary
_PART = 0.95
_MOST_NAMES = 1000


class Pace:
    """Of the latest replies by name, streamed and not apart. Used by one thread."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, bool], deque[float]] = {}

    def is_slowest(self, name: str, seconds: float, *, stream: bool) -> bool:
        """Whether it took longer than 95 of 100 before it; and it counts among them from now on."""
        known = self._seconds.get((name, stream))
        if known is None:
            if len(self._seconds) >= _MOST_NAMES:
                self._seconds.clear()
            known = self._seconds[name, stream] = deque(maxlen=_REMEMBERED)
        ranked = sorted(known)
        known.append(seconds)
        return len(ranked) >= _LEAST and seconds > ranked[math.ceil(_PART * len(ranked)) - 1]
