"""Memory that calls have left, which the C library keeps for those to come: handed back once none came for a while."""

from __future__ import annotations

from collections.abc import Callable

QUIET_SECONDS = 10.0


class Leftovers:
    """`look` is asked again and again; times are monotonic seconds."""

    def __init__(self, hand_back: Callable[[], None] | None = None) -> None:
        self._hand_back = hand_back or hand_back_to_the_system
        self._ended_at: float | None = None

    def look(self, now: float, *, ended: bool) -> None:
        """`ended`: calls have ended since the last look."""
        if ended:
            self._ended_at = now
        elif self._ended_at is not None and now - self._ended_at >= QUIET_SECONDS:
            self._ended_at = None
            self._hand_back()


def hand_back_to_the_system() -> None:
    """Where the C library is glibc, whose free memory stays its own as long as anything above it is in use."""
    import ctypes  # 0.4 MB, and wanted after the first calls only

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
