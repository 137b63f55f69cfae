"""What was used, how long it took and what it cost, by time and by names: read from the roll-ups.

Whole days and hours come from their own tables and what is not in these yet from the minutes; what is asked by
session or flag from sums of hours that only calls with one have, and by the minute, or by both, from the attempts themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import Any, Literal

from msgspec import Struct

from proxy.policy.money.amounts import usd_text
from proxy.policy.money.periods import LAST_START
from proxy.stores.journal.records import Row
from proxy.stores.ledger.alike import MINUTE_MS, NAMES
from proxy.stores.ledger.histogram import quantiles
from proxy.stores.ledger.rollups import MEASURES, Place, Sums
from proxy.stores.ledger.tally import COUNTERS

Interval = Literal["minute", "hour", "day", "month"]
By = Literal["key", "tenant", "provider", "model", "endpoint", "session", "flag"]
Order = Literal["calls", "cost", "time"]
NOT_ROLLED_UP = ("session", "flag")
PATTERN = frozenset("*?[")

HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_SHOWN = ("calls", "attempts", "errors", "refused", *COUNTERS[2:5], "reasoning_tokens")
_COST = MEASURES.index("cost_pusd")
_SHARES = {"p50": 0.5, "p95": 0.95}

Key = tuple[
    int, tuple[str, ...]
]  # when its interval begins (UTC epoch ms; 0 where rows are not split by time), names of the row
Found = dict[tuple[Key, str], Sums]  # and the source


class AnalyticsQuestion(Struct, frozen=True):
    """`interval` None: one row for all the time. `only` has names or patterns with * ? and [ for any of `By`;
    `tenants` and `keys` are the only ones that count, None: all; without `with_times` nothing is said of these.

    What counts is whole minutes, hours or days of `zone` (`to_the_minute`: minutes, though without an interval):
    `since_ms` from the beginning of its own, `until_ms` to the end of its.
    """

    by: tuple[By, ...]
    zone: tzinfo
    interval: Interval | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    only: dict[str, str] = {}
    order: Order = "cost"
    tenants: tuple[str, ...] | None = None
    to_the_minute: bool = False
    keys: tuple[str, ...] | None = None
    with_times: bool = True

    @property
    def names(self) -> frozenset[str]:
        """Every name that matters."""
        return frozenset((*self.by, *self.only, *(name for name, _ in self.among)))

    @property
    def among(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names that must be one of some."""
        return [(name, some) for name, some in (("tenant", self.tenants), ("key", self.keys)) if some is not None]

    @property
    def is_rolled_up(self) -> bool:
        """Whether the roll-ups can answer it."""
        return not self.names & set(NOT_ROLLED_UP)

    @property
    def from_ms(self) -> int:
        """The first moment that counts."""
        return 0 if self.since_ms is None else self._whole(self.since_ms)

    @property
    def end_ms(self) -> int:
        """The first one that counts no more."""
        if self.until_ms is None:
            return LAST_START * 1000
        begun = self._whole(self.until_ms)
        return begun if begun == self.until_ms else self._after(begun)

    def begin_of(self, at_ms: int) -> int:
        """When the interval of a row begins."""
        if self.interval is None:
            return 0
        if self.interval == "minute":
            return at_ms - at_ms % MINUTE_MS
        if self.interval == "hour":
            return at_ms - at_ms % HOUR_MS
        day = datetime.fromtimestamp(_sane(at_ms) / 1000, self.zone).date()
        return _midnight(day if self.interval == "day" else day.replace(day=1), self.zone)

    def asks_for(self, known: dict[str, str]) -> bool:
        """Whether these names are wanted."""
        if any(known[name] not in some for name, some in self.among):
            return False
        return all(known[of] == name or fnmatchcase(known[of], name) for of, name in self.only.items())

    @property
    def is_of_minutes(self) -> bool:
        """Whether it counts by the minute."""
        return self.interval == "minute" or self.to_the_minute

    @property
    def label(self) -> Literal["session", "flag"] | None:
        """Which of both the sums by the hour can tell apart for it. Flags that nobody tells apart would count a call twice."""
        labels = self.names & set(NOT_ROLLED_UP)
        if len(labels) != 1 or self.is_of_minutes or not self._is_of_hours:
            return None
        if "session" in labels:
            return "session"
        return None if "flag" not in self.by and set(self.only["flag"]) & PATTERN else "flag"

    @property
    def _is_of_hours(self) -> bool:
        """Whether its days begin with an hour of UTC."""
        if self.interval in ("hour", None):
            return True
        year = datetime.now(UTC).year
        return all(_midnight(date(year, month, 1), self.zone) % HOUR_MS == 0 for month in (1, 7))

    @property
    def _step_ms(self) -> int:
        return MINUTE_MS if self.is_of_minutes else HOUR_MS

    def _whole(self, at_ms: int) -> int:
        if self.interval in ("minute", "hour", None):
            return at_ms - at_ms % self._step_ms
        return _midnight(datetime.fromtimestamp(_sane(at_ms) / 1000, self.zone).date(), self.zone)

    def _after(self, begun: int) -> int:
        if self.interval in ("minute", "hour", None):
            return begun + self._step_ms
        day = datetime.fromtimestamp(_sane(begun) / 1000, self.zone).date()
        return _midnight(day + timedelta(days=1), self.zone)


class AnalyticsReport(Struct, frozen=True):
    """`since` and `until` are what was really counted, in ISO 8601, or None; `complete` is False while rows of an older
    version are still being added up."""

    since: str | None
    until: str | None
    interval: Interval | None
    by: list[By]
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    complete: bool = True


def count_minutes(found: Found, minutes: Iterable[tuple[Place, Sums]], question: AnalyticsQuestion) -> None:
    """Add sums by minute to those of the answer they belong to."""
    for (minute, names), sums in minutes:
        at_ms, known = minute * MINUTE_MS, dict(zip(NAMES, names, strict=True))
        if question.from_ms <= at_ms < question.end_ms and question.asks_for(known):
            key = question.begin_of(at_ms), tuple([known[name] for name in question.by])
            sums_of(found, key, known["source"]).add(sums)


def count_rows(found: Found, rows: Iterable[tuple[Row, str, int]], question: AnalyticsQuestion) -> None:
    """Add (1) or take out (-1) attempts one by one, each with the flag it is asked for under; "" where it has none."""
    for row, flag, sign in rows:
        known = {name: str(getattr(row, name)) for name in (*NAMES, "session")} | {"flag": flag}
        if question.from_ms <= row.at_ms < question.end_ms and question.asks_for(known):
            key = question.begin_of(row.at_ms), tuple([known[name] for name in question.by])
            sums_of(found, key, row.source).add_row(row, sign)


def sums_of(found: Found, key: Key, source: str) -> Sums:
    """The sums under a key, made where there are none."""
    place = (key, source)
    sums = found.get(place)
    if sums is None:
        sums = found[place] = Sums()
    return sums


def costs(found: Found) -> dict[Key, int]:
    """What each row cost, 1e-12 USD."""
    totals: dict[Key, int] = {}
    for (key, _), sums in found.items():
        totals[key] = totals.get(key, 0) + sums.counts[_COST]
    return totals


def report(found: Found, question: AnalyticsQuestion, *, complete: bool) -> AnalyticsReport:
    """The answer: by time, then what is most of it first."""
    rows: dict[Key, dict[str, Sums]] = {}
    for (key, source), sums in found.items():
        rows.setdefault(key, {})[source] = sums
    named = [(key, _fields(sources.items())) for key, sources in rows.items() if any(map(_is_any, sources.values()))]
    named.sort(key=lambda row: (row[0][0], _rank(question.order, row[1]), row[0][1]))
    total = _fields((source, sums) for (_, source), sums in found.items())
    return AnalyticsReport(
        since=None if question.since_ms is None else _instant(question.from_ms, question.zone),
        until=None if question.until_ms is None else _instant(question.end_ms, question.zone),
        interval=question.interval,
        by=list(question.by),
        rows=[{"at": _at(key, question), **dict(zip(question.by, key[1], strict=True)), **row} for key, row in named],
        total=total,
        complete=complete,
    )


def _is_any(sums: Sums) -> bool:
    return any(sums.counts)


def _fields(sources: Iterable[tuple[str, Sums]]) -> dict[str, Any]:
    total, origins = Sums(), dict[str, int]()
    for source, sums in sources:
        total.add(sums)
        if source != "none" and (attempts := sums.counts[MEASURES.index("attempts")]):
            origins[source] = origins.get(source, 0) + attempts
    counted = dict(zip(MEASURES, total.counts, strict=True))
    counted["attempts"] -= origins.get("cached", 0)  # which were served without one
    return {
        **{name: counted[name] for name in _SHOWN},
        "cost_usd": usd_text(counted["cost_pusd"]),
        "sources": dict(sorted(origins.items())),
        "first_token_ms": dict(zip(_SHARES, quantiles(total.first_token, tuple(_SHARES.values())), strict=True)),
        "total_ms": dict(zip(_SHARES, quantiles(total.total, tuple(_SHARES.values())), strict=True)),
    }


def _rank(order: Order, row: dict[str, Any]) -> int:
    if order == "calls":
        return -int(row["calls"])
    if order == "time":
        return -(row["total_ms"]["p95"] or 0)
    return -int(row["cost_usd"].replace(".", ""))


def _at(key: Key, question: AnalyticsQuestion) -> str | None:
    return None if question.interval is None else _instant(key[0], question.zone)


def _instant(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(_sane(at_ms) / 1000, UTC).astimezone(zone).isoformat()


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def _sane(at_ms: int) -> int:
    """A moment that every calendar has: a row may hold any number."""
    return max(0, min(at_ms, 1000 * LAST_START - DAY_MS * 400))
