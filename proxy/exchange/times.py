"""Times as they are told."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

THREE_DIGITS = tuple(f"{number:03d}" for number in range(1000))  # takes less to look up than to put together


class Queued(Struct, frozen=True):
    """A place in line, counted from 1, and the seconds that were spent in it, or would be."""

    place: int
    seconds: float

    def headers(self) -> list[tuple[str, str]]:
        """As replies have it."""
        return [("x-tollkeeper-queue-place", str(self.place)), ("x-tollkeeper-queue-seconds", f"{self.seconds:.3f}")]


def micro(seconds: float) -> float:
    """To the microsecond, which `round` takes ten times as long for."""
    return int(seconds * 1_000_000 + 0.5) / 1_000_000


@lru_cache(maxsize=64)
def instant(milliseconds: int) -> str:
    """A time of day as the log has it."""
    return f"{_second(milliseconds // 1000)}.{THREE_DIGITS[milliseconds % 1000]}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
