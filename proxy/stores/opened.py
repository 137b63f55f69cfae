"""The holds without an end, with the bytes that have to be written again when their segment goes."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.stores.frames import framed
from proxy.stores.records import Begun, Hold, Record, Settled, Voided
from proxy.stores.replay import OpenHold


class OpenHolds:
    """By id: the newest segment the hold stands in, and its frames (the hold, then what its upstream began)."""

    def __init__(self, holds: Iterable[OpenHold]) -> None:
        """Start with the holds a replay found."""
        self._segments: dict[str, int] = {}
        self._frames: dict[str, bytes] = {}
        for opened in holds:
            self.follow(opened.hold, framed(opened.hold), opened.segment)
            if opened.generation_id is not None:
                begun = Begun(opened.hold.id, opened.generation_id)
                self.follow(begun, framed(begun), opened.segment)

    def follow(self, record: Record, frame: bytes, segment: int) -> None:
        """Take note of a record that was written to `segment`."""
        match record:
            case Hold():
                self._segments[record.id] = segment
                self._frames[record.id] = frame
            case Begun() if record.id in self._frames:
                self._frames[record.id] += frame
            case Settled() | Voided():
                self._segments.pop(record.row.id, None)
                self._frames.pop(record.row.id, None)

    def inside(self, numbers: Iterable[int]) -> list[tuple[str, bytes]]:
        """The open holds whose newest copy stands in one of these segments."""
        wanted = set(numbers)
        return [(identity, self._frames[identity]) for identity, n in self._segments.items() if n in wanted]

    def moved(self, identity: str, segment: int) -> None:
        """The hold was written again, to `segment`."""
        self._segments[identity] = segment
