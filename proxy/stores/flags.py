"""What was wrong with replies: for `Writer.do`, and for `usage --by flag`. A reply's words are nowhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from proxy.stores.ledger import label_rollups
from proxy.stores.ledger.tally import COUNTERS, QUARTER_MS, Counts, add
from proxy.stores.questions.usage import Totals, UsageQuestion

_ADD = "INSERT OR IGNORE INTO flags (request_id, flag, at_ms) VALUES (?, ?, ?)"
_SUMS = ", ".join(f"a.{name}" for name in COUNTERS[2:])
# the ids of a call's attempts begin with its own and a dot, which "/" follows
_FLAGGED = f"""SELECT f.flag, a.key, a.provider, a.model, a.source, a.tenant, a.session, a.counts_call, {_SUMS} FROM flags AS f
               JOIN attempts AS a ON a.id > f.request_id || '.' AND a.id < f.request_id || '/'
               WHERE f.at_ms >= ? AND f.at_ms < ?"""  # noqa: S608
_EVER = 2**62


class Flagged(Struct, frozen=True):
    """One call whose reply had a flag, and when it began (UTC epoch milliseconds)."""

    request_id: str
    flags: tuple[str, ...]
    at_ms: int


def keep_flags(driver: sqlite3.Connection, flagged: Iterable[Flagged]) -> None:
    """Add some; what they flag is added up by the hour."""
    rows = [(one.request_id, flag, one.at_ms) for one in flagged for flag in one.flags]
    new = [(request_id, flag) for request_id, flag, _ in (row for row in rows if driver.execute(_ADD, row).rowcount)]
    label_rollups.add_flags(driver, new)


def flag_totals(driver: sqlite3.Connection, question: UsageQuestion) -> Totals:
    """What calls with each flag used and cost; one with two flags counts under both."""
    first, end = question.first_quarter, question.end_quarter
    between = (0 if first is None else first * QUARTER_MS, _EVER if end is None else end * QUARTER_MS)
    totals: Totals = {}
    for flag, key, provider, model, source, tenant, session, counts_call, *counted in driver.execute(_FLAGGED, between):
        if question.asks_for((0, key, provider, model, source, tenant, session)):
            counts: Counts = [int(counts_call), 1, *counted]
            add(totals, ((flag,), source), counts)
    return totals
