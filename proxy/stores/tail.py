"""The newest records for the ledger, as they were appended: it need not read back what was written a moment ago."""

from __future__ import annotations

from proxy.stores.records import Begun, Hold, Record
from proxy.stores.segments import Position

_MOST_RECORDS = 5000
_MOST_FRAME = 4096  # a larger one may stand shortened in its segment

Batch = list[tuple[Position, Record]]


class Tail:
    """Everything the ledger wants behind some position, in order. The journal's lock is around every call."""

    def __init__(self) -> None:
        self._after: Position | None = None  # what a start finds is read, and judged
        self._records: Batch = []

    def note(self, record: Record, position: Position, frame_bytes: int) -> None:
        """A record was written, up to `position`. What is too much stands in the segments only."""
        if isinstance(record, (Hold, Begun)):
            return
        if frame_bytes > _MOST_FRAME or len(self._records) >= _MOST_RECORDS:
            self.forget(position)
        else:
            self._records.append((position, record))

    def take(self, after: Position, end: Position) -> Batch | None:
        """All there is between `after` and `end`, which is the journal's; None where some of it is not here."""
        records, known = self._records, self._after
        self.forget(end)
        return records if after == known else None

    def forget(self, end: Position) -> None:
        """Begin anew at the journal's end."""
        self._after = end
        self._records = []
