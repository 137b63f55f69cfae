"""Adding rows up: the sums the ledger keeps, and the ones `usage` adds for what is not in it yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import add as plus
from typing import TypeVar

from proxy.stores.records import Corrected, Record, Refused, Row, Settled, Voided

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

Counts = list[int]  # in the order of COUNTERS
# quarter-hour since the epoch, key, provider, model, source, tenant; and the session, where sums are kept by it, else ""
Spender = tuple[int, str, str, str, str, str, str]
KeyT = TypeVar("KeyT", bound=Hashable)


def counts_of_all(rows: Sequence[Row]) -> Counts:
    """What attempts of one source add. One that cost nothing for sure counts as a call at most; a call counts with its last
    attempt. One served without any counts as an attempt, by its source."""
    first, attempts = rows[0], len(rows)
    source = first.source
    if source == "cached":
        return [0, attempts, 0, 0, 0, 0, 0, 0, sum([row.saved_pusd for row in rows])]
    if source == "none":
        return [sum([row.counts_call for row in rows]), attempts, 0, 0, 0, 0, 0, 0, 0]
    return [
        sum([row.counts_call for row in rows]),
        attempts,
        sum([row.input_tokens for row in rows]),
        sum([row.output_tokens for row in rows]),
        sum([row.cached_input_tokens for row in rows]),
        sum([row.cache_write_tokens for row in rows]),
        sum([row.reasoning_tokens for row in rows]),
        sum([row.cost_pusd for row in rows]),
        sum([row.saved_pusd for row in rows]),
    ]


def add_row(counts: Counts, row: Row) -> None:
    """Add what one attempt adds; for single ones in a third of the time."""
    if row.source == "cached" or row.source == "none":
        counts[: len(COUNTERS)] = map(plus, counts, counts_of_all((row,)))
        return
    counts[0] += row.counts_call
    counts[1] += 1
    counts[2] += row.input_tokens
    counts[3] += row.output_tokens
    if row.cached_input_tokens or row.cache_write_tokens or row.reasoning_tokens:
        counts[4] += row.cached_input_tokens
        counts[5] += row.cache_write_tokens
        counts[6] += row.reasoning_tokens
    counts[7] += row.cost_pusd
    counts[8] += row.saved_pusd


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
            is_counted = bool(record.row.provider)
        elif isinstance(record, Refused):
            is_counted = record.row.source == "cached"
        else:
            if isinstance(record, Corrected):
                add(totals, spender_of(record.was), [-count for count in counts_of_all((record.was,))])
                add(totals, spender_of(record.row), counts_of_all((record.row,)))
            continue
        if is_counted:
            whose = spender_of(record.row)
            known = totals.get(whose)
            if known is None:
                known = totals[whose] = [0] * len(COUNTERS)
            add_row(known, record.row)
    return totals


def add(totals: dict[KeyT, Counts], key: KeyT, counts: Counts) -> None:
    """Add `counts` to what `key` has."""
    known = totals.get(key)
    totals[key] = list(counts) if known is None else list(map(plus, known, counts))
