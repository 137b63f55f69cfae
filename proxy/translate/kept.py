"""Thoughts that a client cannot carry, kept for an hour to be put back: by who asked, and the tool that was called."""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from proxy.translate.values import Reasoning, Request, ToolUse

KEPT_SECONDS = 3600.0
MOST_BYTES = 32 * 2**20
_OVERHEAD = 200


class _Kept(Struct):
    thoughts: list[Reasoning]
    until: float
    size: int


class KeptThoughts:
    """The newest thoughts of everybody, in memory, at most `most_bytes` of them. `now` is monotonic."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self.size = 0

    def keep(self, key: str, calls: list[str], thoughts: list[Reasoning], now: float) -> None:
        """Keep what was thought before these tools were called; it is found by any of them."""
        if not calls or not thoughts:
            return
        size = _OVERHEAD + sum(len(t.text) + len(t.signature) + len(t.data) for t in thoughts)
        if size > self._most:
            return
        for call in calls:
            self._drop((key, call))
            self._kept[(key, call)] = _Kept(thoughts, now + KEPT_SECONDS, size)
            self.size += size
        while self._kept and (self.size > self._most or next(iter(self._kept.values())).until <= now):
            self._drop(next(iter(self._kept)))

    def _drop(self, at: tuple[str, str]) -> None:
        kept = self._kept.pop(at, None)
        if kept is not None:
            self.size -= kept.size

    def put_back(self, key: str, request: Request, now: float) -> None:
        """Put thoughts before the calls they led to, where the client sends none."""
        for turn in request.turns if self._kept else ():
            if turn.role != "assistant" or any(isinstance(part, Reasoning) for part in turn.parts):
                continue
            for part in turn.parts:
                kept = self._kept.get((key, part.id)) if isinstance(part, ToolUse) else None
                if kept is not None and kept.until > now:
                    turn.parts[:0] = kept.thoughts
                    break
