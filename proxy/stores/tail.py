"""The newest records for the ledger, as they were appended: it need not read back what was written a moment ago."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.stores.records import Record
from proxy.stores.segments import Position

_MOST_RECORDS = 20_000  # to read them back from segments takes twice as long, so that who is behind would stay there

Batch = list[Record]


class Tail:
    """Everything the ledger wants behind some position, in order. `lose` may be called from any thread; the journal's
    lock is around `take` and `forget`."""

    def __init__(self) -> None:
        self._after: Position | None = None  # what a start finds is read, and judged
        self._records: Batch = []

    def note(self, records: Iterable[Record]) -> None:
        """These were written, all but beginnings. What is too much stands in the segments only."""
        if self._after is None:
            return
        if len(self._records) >= _MOST_RECORDS:
            self.lose()
        else:
            self._records += records

    def take(self, after: Position, end: Position) -> Batch | None:
        """All there is between `after` and `end`, which is the journal's; None where some of it is not here."""
        records, known = self._records, self._after
        self.forget(end)
        return records if after == known else None

    def forget(self, end: Position) -> None:
        """Begin anew at the journal's end."""
        self._after = end
        self._records = []

    def lose(self) -> None:
        """Something is not here: until it is asked next, nothing need be."""
        self._after = None
        self._records = []
