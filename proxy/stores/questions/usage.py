"""What was used and what it cost, as `tollkeeper usage` prints it.

Whole UTC days are read from the sums by day and the rest from those by quarter-hour, so that the
answer takes about as long for ten million calls as for ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from typing import Any, Literal

from msgspec import Struct

from proxy.policy.money.amounts import usd_text
from proxy.policy.money.periods import LAST_START
from proxy.stores.ledger.tally import COUNTERS, QUARTER_MS, Counts, Spender, add

By = Literal["day", "month", "model", "key", "provider", "tenant", "session", "flag"]
Dimensions = By | tuple[By, ...]
Totals = dict[tuple[tuple[str, ...], str], Counts]  # names of the row, source

SPENDER = ("key", "provider", "model", "source", "tenant")
NAMED = (*SPENDER, "session")  # what a spender holds beside its quarter-hour

_SECONDS = QUARTER_MS // 1000
_SHOWN = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
TIMES = ("day", "month")
_MONTH = len("2026-11")


class UsageQuestion(Struct, frozen=True):
    """`since_ms` counts from the beginning of its quarter-hour, `until_ms` to the end of its; None is no bound.

    `only` has names that key, provider, model, tenant or session must have, or patterns with * ? and [ they must fit;
    `tenants` are the only ones that count, None: all.
    """

    by: Dimensions
    zone: tzinfo
    since_ms: int | None = None
    until_ms: int | None = None
    only: dict[str, str] = {}
    tenants: tuple[str, ...] | None = None

    @property
    def dimensions(self) -> tuple[By, ...]:
        """What a row stands for, each once."""
        return tuple(dict.fromkeys((self.by,) if isinstance(self.by, str) else self.by))

    @property
    def is_by_time(self) -> bool:
        """Whether rows stand for days or months."""
        return any(by in TIMES for by in self.dimensions)

    @property
    def is_by_time_alone(self) -> bool:
        """Whether nobody needs to know who spent it."""
        return not self.only and self.tenants is None and all(by in TIMES for by in self.dimensions)

    @property
    def is_by_session(self) -> bool:
        """Whether it matters of which session a call was."""
        return "session" in self.dimensions or "session" in self.only

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

    def names_of(self, spender: Spender) -> tuple[str, ...]:
        """Which row of the answer the spender belongs to."""
        day = self.day_of(spender[0]) if self.is_by_time else ""
        known = {"day": day, "month": day[:_MONTH], **dict(zip(NAMED, spender[1:], strict=True))}
        return tuple(known[by] for by in self.dimensions)

    def asks_for(self, spender: Spender) -> bool:
        """Whether it has the names that are wanted."""
        known = dict(zip(NAMED, spender[1:], strict=True))
        if self.tenants is not None and known["tenant"] not in self.tenants:
            return False
        return all(known[of] == name or fnmatchcase(known[of], name) for of, name in self.only.items())

    def day_of(self, quarter: int) -> str:
        """The day of the zone it lies in; every zone's days begin with a quarter-hour."""
        quarter = max(0, min(quarter, LAST_START // _SECONDS))  # a row may hold any number
        return datetime.fromtimestamp(quarter * _SECONDS, self.zone).date().isoformat()


class UsageReport(Struct, frozen=True):
    """The shape of `usage --json`. `since` and `until` are what was really counted, in ISO 8601, or None.
    `by` is a list where rows stand for several things at once."""

    since: str | None
    until: str | None
    by: By | list[By]
    rows: list[dict[str, Any]]
    total: dict[str, Any]


def add_tail(totals: Totals, tail: dict[Spender, Counts], question: UsageQuestion) -> None:
    """Add what the journal has and the ledger has not."""
    for spender, counts in tail.items():
        if question.covers(spender[0]) and question.asks_for(spender):
            add(totals, (question.names_of(spender), spender[4]), counts)


def report(totals: Totals, question: UsageQuestion) -> UsageReport:
    """The answer: days in order, everything else by cost."""
    named: dict[tuple[str, ...], dict[str, Counts]] = {}
    for (names, source), counts in totals.items():
        if not any(counts):  # all of them were of a session
            continue
        named.setdefault(names, {})[source] = counts
    by = question.dimensions
    rows = [{**dict(zip(by, names, strict=True)), **_fields(sources.items())} for names, sources in named.items()]
    rows.sort(key=_order(by))
    total = _fields((source, counts) for (_, source), counts in totals.items())
    first, end = (_instant(quarter, question.zone) for quarter in (question.first_quarter, question.end_quarter))
    return UsageReport(first, end, by[0] if len(by) == 1 else list(by), rows, total)


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
    return {
        **shown,
        "cost_usd": usd_text(total["cost_pusd"]),
        "sources": dict(sorted(origins.items())),
        "cached_calls": origins.get("cached", 0),
        "saved_usd": usd_text(total["saved_pusd"]),
    }


def _order(by: tuple[By, ...]) -> Callable[[dict[str, Any]], Any]:
    """One thing after the other as they were asked for; the last one, if it is no time, by cost."""
    *groups, last = by

    def order(row: dict[str, Any]) -> Any:
        cost = 0 if last in TIMES else -int(row["cost_usd"].replace(".", ""))
        return (*(row[group] for group in groups), cost, row[last])

    return order


def _instant(quarter: int | None, zone: tzinfo) -> str | None:
    if quarter is None:
        return None
    return datetime.fromtimestamp(quarter * _SECONDS, UTC).astimezone(zone).isoformat()
