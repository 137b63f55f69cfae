"""The holds without an end, to be written again when their segment goes."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.stores.frames import framed
from proxy.stores.records import Begun, Hold, Record, Settled, Voided
from proxy.stores.replay import OpenHold

_ENDS = (Settled, Voided)  # asked of every record: a union takes its time


class OpenHolds:
    """By id: the newest segment the hold stands in, the hold itself, and the record of what its upstream began."""

    def __init__(self, holds: Iterable[OpenHold]) -> None:
        """Start with the holds a replay found."""
        self._segments: dict[str, int] = {}
        self._records: dict[str, tuple[Hold, Begun | None]] = {}
        for opened in holds:
            self.follow(opened.hold, opened.segment)
            if opened.generation_id is not None:
                begun = Begun(opened.hold.id, opened.generation_id, opened.background)
                self.follow(begun, opened.segment)

    def follow(self, record: Record, segment: int) -> None:
        """Take note of a record that was written to `segment`."""
        if isinstance(record, _ENDS):
            self._segments.pop(record.row.id, None)
            self._records.pop(record.row.id, None)
        elif isinstance(record, Hold):
            self._segments[record.id] = segment
            known = self._records.get(record.id)  # one that has grown is written again
            self._records[record.id] = (record, None if known is None else known[1])
        elif isinstance(record, Begun) and record.id in self._records:
            self._records[record.id] = (self._records[record.id][0], record)

    def inside(self, numbers: Iterable[int]) -> list[tuple[str, bytes]]:
        """The open holds whose newest copy stands in one of these segments, each with its frames to write again."""
        wanted = set(numbers)
        return [(identity, self._frames(identity)) for identity, n in self._segments.items() if n in wanted]

    def moved(self, identity: str, segment: int) -> None:
        """The hold was written again, to `segment`."""
        self._segments[identity] = segment

    def _frames(self, identity: str) -> bytes:
        hold, begun = self._records[identity]
        return framed(hold) + (b"" if begun is None else framed(begun))
