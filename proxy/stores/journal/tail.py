"""The newest records for the ledger, as they were appended: it need not read back what was written a moment ago."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.stores.journal.records import Record
from proxy.stores.journal.segments import Position

_MOST_RECORDS = 20_000  # to read them back from segments takes twice as long, so that who is behind would stay there


class Tail:
    """Everything the ledger wants behind some position, in order.

    `take` is for the ledger's thread, under the journal's lock. `note` is for one thread at a time: under that lock as well, or
    else for the ledger's. `lose` may be called from any at any time: what is noted meanwhile, `take` does not give out.
    """

    def __init__(self) -> None:
        self._after: Position | None = None  # what a start finds is read, and judged
        self._records: list[Record] = []

    def note(self, records: Iterable[Record]) -> None:
        """These were written, all but beginnings. What is too much stands in the segments only."""
        if self._after is None:
            return
        if len(self._records) >= _MOST_RECORDS:
            self.lose()
        else:
            self._records += records

    def take(self, after: Position, end: Position) -> list[Record] | None:
        """All there is between `after` and `end`, which is the journal's; None where some of it is not here. Given out once."""
        records, known = self._records, self._after
        self._after, self._records = end, []
        return records if after == known else None

    def lose(self) -> None:
        """Something is not here: until it is asked next, nothing need be."""
        self._after = None
        self._records = []
