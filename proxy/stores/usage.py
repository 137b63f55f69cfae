"""What was used and what it cost, as `tollkeeper usage` prints it.

Whole UTC days are read from the sums by day and the rest from those by quarter-hour, so that the
answer takes about as long for ten million calls as for ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from msgspec import Struct

from proxy.policy.money.amounts import usd_text
from proxy.policy.money.periods import LAST_START
from proxy.stores.tally import COUNTERS, QUARTER_MS, Counts, Spender, add

By = Literal["day", "model", "key", "provider"]
Totals = dict[tuple[str, str], Counts]  # name of the row, source
SPENDER = ("key", "provider", "model", "source")

_SECONDS = QUARTER_MS // 1000
_SHOWN = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")


class UsageQuestion(Struct, frozen=True):
    """`since_ms` counts from the beginning of its quarter-hour, `until_ms` to the end of its; None is no bound."""

    by: By
    zone: tzinfo
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def first_quarter(self) -> int | None:
        """The first quarter-hour that counts."""
        return None if self.since_ms is None else self.since_ms // QUARTER_MS

    @property
    def end_quarter(self) -> int | None:
        """The first one that counts no more."""
        return None if self.until_ms is None else -(-self.until_ms // QUARTER_MS)

    def covers(self, quarter: int) -> bool:
        """Whether this quarter-hour counts."""
        first, end = self.first_quarter, self.end_quarter
        return (first is None or quarter >= first) and (end is None or quarter < end)

    def name_of(self, spender: Spender) -> str:
        """Which row of the answer the spender belongs to."""
        return self.day_of(spender[0]) if self.by == "day" else str(spender[1 + SPENDER.index(self.by)])

    def day_of(self, quarter: int) -> str:
        """The day of the zone it lies in; every zone's days begin with a quarter-hour."""
        quarter = max(0, min(quarter, LAST_START // _SECONDS))  # a row may hold any number
        return datetime.fromtimestamp(quarter * _SECONDS, self.zone).date().isoformat()


class UsageReport(Struct, frozen=True):
    """The shape of `usage --json`. `since` and `until` are what was really counted, in ISO 8601, or None."""

    since: str | None
    until: str | None
    by: By
    rows: list[dict[str, Any]]
    total: dict[str, Any]


def add_tail(totals: Totals, tail: dict[Spender, Counts], question: UsageQuestion) -> None:
    """Add what the journal has and the ledger has not."""
    for spender, counts in tail.items():
        if question.covers(spender[0]):
            add(totals, (question.name_of(spender), spender[4]), counts)


def report(totals: Totals, question: UsageQuestion) -> UsageReport:
    """The answer: days in order, everything else by cost."""
    named: dict[str, dict[str, Counts]] = {}
    for (name, source), counts in totals.items():
        named.setdefault(name, {})[source] = counts
    rows = [{question.by: name, **_fields(sources.items())} for name, sources in named.items()]
    rows.sort(key=_order(question.by))
    total = _fields((source, counts) for (_, source), counts in totals.items())
    first, end = question.first_quarter, question.end_quarter
    return UsageReport(_instant(first, question.zone), _instant(end, question.zone), question.by, rows, total)


def _fields(sources: Iterable[tuple[str, Counts]]) -> dict[str, Any]:
    """The fields of a row. `sources` counts the attempts whose cost came from each; "none" cost nothing."""
    total = dict.fromkeys(COUNTERS, 0)
    origins: dict[str, int] = {}
    for source, counts in sources:
        for name, amount in zip(COUNTERS, counts, strict=True):
            total[name] += amount
        if source != "none" and counts[COUNTERS.index("attempts")]:
            origins[source] = origins.get(source, 0) + counts[COUNTERS.index("attempts")]
    shown = {name: total[name] for name in _SHOWN}
    return {**shown, "cost_usd": usd_text(total["cost_pusd"]), "sources": dict(sorted(origins.items()))}


def _order(by: By) -> Callable[[dict[str, Any]], Any]:
    if by == "day":
        return lambda row: row["day"]
    return lambda row: (-int(row["cost_usd"].replace(".", "")), row[by])


def _instant(quarter: int | None, zone: tzinfo) -> str | None:
    if quarter is None:
        return None
    return datetime.fromtimestamp(quarter * _SECONDS, UTC).astimezone(zone).isoformat()
