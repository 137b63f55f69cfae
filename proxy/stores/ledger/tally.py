"""Adding rows up: the sums the ledger keeps, and the ones `usage` adds for what is not in it yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import add as plus
from operator import attrgetter
from typing import TypeVar

from proxy.stores.journal.records import Corrected, Record, Refused, Row, Settled, Voided
from proxy.stores.ledger.alike import columns_of

COUNTERS = (
    "calls",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pusd",
    "saved_pusd",
)
QUARTER_MS = 900_000
QUARTERS_PER_DAY = 96
_FEW = 4  # are added one by one: it takes less
_ADDED = tuple([(at, name, attrgetter(name)) for at, name in enumerate(COUNTERS)][2:-1])

Counts = list[int]  # in the order of COUNTERS
# quarter-hour since the epoch, key, provider, model, source, tenant; and the session, where sums are kept by it, else ""
Spender = tuple[int, str, str, str, str, str, str]
KeyT = TypeVar("KeyT", bound=Hashable)


def add_row(counts: Counts, row: Row) -> None:
    """Add what one attempt adds. One that cost nothing for sure counts as a call at most; a call counts with its last attempt.
    One served without any counts as an attempt, by its source."""
    counts[1] += 1
    if row.source == "cached":
        counts[8] += row.saved_pusd
        return
    counts[0] += row.counts_call
    if row.source == "none":
        return
    counts[2] += row.input_tokens
    counts[3] += row.output_tokens
    if row.cached_input_tokens or row.cache_write_tokens or row.reasoning_tokens:
        counts[4] += row.cached_input_tokens
        counts[5] += row.cache_write_tokens
        counts[6] += row.reasoning_tokens
    counts[7] += row.cost_pusd
    counts[8] += row.saved_pusd


def add_alike(counts: Counts, rows: Sequence[Row]) -> None:
    """The same for rows with the same source, that all count a call or all do not, and saved as much."""
    first, many = rows[0], len(rows)
    if many < _FEW or first.source == "cached" or first.source == "none":
        for row in rows:
            add_row(counts, row)
        return
    counts[0] += many * first.counts_call
    counts[1] += many
    columns = columns_of(rows)
    for at, name, getter in _ADDED:
        counts[at] += sum(map(getter, rows) if columns is None else columns[name])
    counts[8] += many * first.saved_pusd


def counts_of(row: Row) -> Counts:
    """The same, alone."""
    counts = [0] * len(COUNTERS)
    add_row(counts, row)
    return counts


def spender_of(row: Row) -> Spender:
    """Where the attempt belongs in the sums."""
    return row.at_ms // QUARTER_MS, row.key, row.provider, row.model, row.source, row.tenant, ""


def session_of(row: Row) -> Spender:
    """Where it belongs in the sums by session."""
    return (*spender_of(row)[:-1], row.session)


def tally(records: Iterable[Record], spender_of: Callable[[Row], Spender] = spender_of) -> dict[Spender, Counts]:
    """The sums of all attempts that were sent upstream, and of calls served without one."""
    totals: dict[Spender, Counts] = {}
    for record in records:
        if isinstance(record, (Settled, Voided)):
            if record.row.provider:
                add(totals, spender_of(record.row), counts_of(record.row))
        elif isinstance(record, Refused):
            if record.row.source == "cached":
                add(totals, spender_of(record.row), counts_of(record.row))
        elif isinstance(record, Corrected):
            add(totals, spender_of(record.was), [-count for count in counts_of(record.was)])
            add(totals, spender_of(record.row), counts_of(record.row))
    return totals


def add(totals: dict[KeyT, Counts], key: KeyT, counts: Counts) -> None:
    """Add `counts` to what `key` has."""
    known = totals.get(key)
    totals[key] = list(counts) if known is None else list(map(plus, known, counts))
