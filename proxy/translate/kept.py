"""What a client does not carry back, kept for an hour by who asked: thoughts by the tool that was called, items of Responses that
it only refers to by their ids."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Struct

from proxy.translate.values import Reasoning, Request, ToolUse

KEPT_SECONDS = 3600.0
MOST_BYTES = 32 * 2**20
_OVERHEAD = 200


class _Entry(Struct):
    thoughts: list[Reasoning]
    item: bytes
    until: float
    size: int


class KeptThoughts:
    """The newest of everybody, in memory, at most `most_bytes` of it. `now` is monotonic."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self.size = 0

    def keep(self, key: str, calls: list[str], thoughts: list[Reasoning], now: float) -> None:
        """Keep what was thought before these tools were called; it is found by any of them."""
        size = _OVERHEAD + sum(len(t.text) + len(t.signature) + len(t.data) for t in thoughts)
        for call in calls if thoughts else ():
            self._add((key, call), _Entry(thoughts, b"", now + KEPT_SECONDS, size), now)

    def keep_items(self, key: str, items: list[dict[str, Any]], now: float) -> None:
        """Keep the items of a response."""
        for item in items:
            text = msgspec.json.encode(item)
            self._add((key, item["id"]), _Entry([], text, now + KEPT_SECONDS, _OVERHEAD + len(text)), now)

    def item(self, key: str, identity: str, now: float) -> Any:
        """The item of that id, which is kept for another hour; None where it is not known."""
        kept = self._kept.get((key, identity))
        if kept is None or kept.until <= now or not kept.item:
            return None
        kept.until = now + KEPT_SECONDS
        self._kept.move_to_end((key, identity))
        return msgspec.json.decode(kept.item)

    def _add(self, at: tuple[str, str], entry: _Entry, now: float) -> None:
        if entry.size > self._most:
            return
        self._drop(at)
        self._kept[at] = entry
        self.size += entry.size
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
