"""Refused calls, kept so that `show` can say why: those of one key and reason in a second are one row."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from msgspec.structs import replace

from proxy.exchange.record import Record
from proxy.exchange.reporting.rows import refused_row
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Refused, Row

_GATHERED_SECONDS = 1.0

Kind = tuple[str | None, str]  # key, error code


class RefusedCalls:
    """A key that is told no a thousand times a second costs a counter, not a thousand records."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._first: dict[Kind, Row] = {}
        self._times = Counter[Kind]()

    def note(self, record: Record) -> None:
        """One more; the row is that of the first, and is written with their number within a second."""
        kind = record.key, record.error.code if record.error else ""
        if not self._first:
            asyncio.get_running_loop().call_later(_GATHERED_SECONDS, self.write)
        if kind not in self._first:
            self._first[kind] = refused_row(record)
        self._times[kind] += 1

    def write(self) -> None:
        """Write down what was gathered; a journal that cannot be written has no room for it."""
        rows = [replace(row, times=self._times[kind]) for kind, row in self._first.items()]
        self._first, self._times = {}, Counter()
        with contextlib.suppress(JournalUnwritable):
            for row in rows:
                self._journal.append(Refused(row))
