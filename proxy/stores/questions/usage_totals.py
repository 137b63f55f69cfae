"""The sums of the ledger that answer a question of usage. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from proxy.stores.database import marks
from proxy.stores.ledger.tally import COUNTERS, QUARTERS_PER_DAY, Counts, Spender, add
from proxy.stores.questions.usage import NAMED, SPENDER, Totals, UsageQuestion

_PART = 2**32
_PATTERN = frozenset("*?[")
_SPENDER = ", ".join(SPENDER)
_NAMED = ", ".join(NAMED)
# Each sum comes in two parts: of whole numbers a few odd rows would make it overflow, for good.
_HALVES = ", ".join(f"sum({name} / {_PART}), sum({name} % {_PART})" for name in COUNTERS)


class _Stretch(Struct, frozen=True):
    """Rows of one table whose `unit` is `first` or later, and before `end`; None is no bound. They count to `quarter`."""

    table: str
    unit: str
    first: int | None
    end: int | None
    quarter: int = 0

    def bounds(self) -> tuple[list[str], list[Any]]:
        """The conditions, and the values in them."""
        bounds = [(f"{self.unit} >= ?", self.first), (f"{self.unit} < ?", self.end)]
        given = [(condition, value) for condition, value in bounds if value is not None]
        return [condition for condition, _ in given], [value for _, value in given]


def ledger_totals(driver: sqlite3.Connection, question: UsageQuestion) -> Totals:
    """What the ledger has."""
    if question.is_by_time_alone:
        return _by_time(driver, question)
    totals: Totals = {}
    for stretch in _days(driver, question) if question.is_by_time else _stretches(question):
        for spender, counts in _of_spenders(driver, stretch, question):
            _count(totals, question, spender, counts)
    if question.is_by_session:
        for spender, counts in _of_sessions(driver, question):
            _count(totals, question, spender, counts)
            _count(totals, question, (*spender[:-1], ""), [-count for count in counts])
    return totals


def _count(totals: Totals, question: UsageQuestion, spender: Spender, counts: Counts) -> None:
    if question.asks_for(spender):
        add(totals, (question.names_of(spender), spender[4]), counts)


def _of_spenders(
    driver: sqlite3.Connection, stretch: _Stretch, question: UsageQuestion
) -> Iterator[tuple[Spender, Counts]]:
    """By everything but the time: no sorting for the sums by day, and few rows; of a whole name that is asked for, no others."""
    conditions, values = stretch.bounds()
    if question.tenants is not None:
        conditions.append(f"tenant IN ({marks(question.tenants)})")
        values += question.tenants
    for of, name in question.only.items():
        if of in SPENDER and not _PATTERN & set(name):
            conditions.append(f"{of} = ?")
            values.append(name)
    statement = f"SELECT {_SPENDER}, {_HALVES} FROM {stretch.table}{_where(conditions)} GROUP BY {_SPENDER}"  # noqa: S608
    for key, provider, model, source, tenant, *halves in driver.execute(statement, values):
        yield (stretch.quarter, key, provider, model, source, tenant, ""), _whole(halves)


def _of_sessions(driver: sqlite3.Connection, question: UsageQuestion) -> Iterator[tuple[Spender, Counts]]:
    """Those of calls that named a session, which are in the other sums as well; by the quarter-hour where that matters."""
    conditions, values = _asked_for("sums_by_session", question).bounds()
    at, by = ("quarter", f"quarter, {_NAMED}") if question.is_by_time else ("0", _NAMED)
    statement = f"SELECT {at}, {_NAMED}, {_HALVES} FROM sums_by_session{_where(conditions)} GROUP BY {by}"  # noqa: S608
    for quarter, key, provider, model, source, tenant, session, *halves in driver.execute(statement, values):
        yield (quarter, key, provider, model, source, tenant, session), _whole(halves)


def _by_time(driver: sqlite3.Connection, question: UsageQuestion) -> Totals:
    totals: Totals = {}
    conditions, values = _asked_for("sums_by_quarter", question).bounds()
    statement = f"SELECT quarter, source, {', '.join(COUNTERS)} FROM sums_by_quarter{_where(conditions)}"  # noqa: S608
    for quarter, source, *counts in driver.execute(statement, values):
        add(totals, (question.names_of((quarter, "", "", "", source, "", "")), source), counts)
    return totals


def _days(driver: sqlite3.Connection, question: UsageQuestion) -> Iterator[_Stretch]:
    """Each day of the zone with anything in it, counted to one of its quarter-hours."""
    conditions, values = _asked_for("sums_by_quarter", question).bounds()
    quarters = f"SELECT DISTINCT quarter FROM sums_by_quarter{_where(conditions)}"  # noqa: S608
    days: dict[str, list[int]] = {}
    for (quarter,) in driver.execute(quarters, values).fetchall():
        days.setdefault(question.day_of(quarter), []).append(quarter)
    for of_day in days.values():
        yield _Stretch("sums", "quarter", min(of_day), max(of_day) + 1, of_day[0])


def _stretches(question: UsageQuestion) -> Iterator[_Stretch]:
    """Whole UTC days from one table, what is left at both ends from the other."""
    first, end = question.first_quarter, question.end_quarter
    first_day = None if first is None else -(-first // QUARTERS_PER_DAY)
    end_day = None if end is None else end // QUARTERS_PER_DAY
    if first_day is not None and end_day is not None and first_day >= end_day:
        yield _asked_for("sums", question)
        return
    if first_day is not None:
        yield _Stretch("sums", "quarter", first, first_day * QUARTERS_PER_DAY)
    if end_day is not None:
        yield _Stretch("sums", "quarter", end_day * QUARTERS_PER_DAY, end)
    yield _Stretch("sums_by_day", "day", first_day, end_day)


def _asked_for(table: str, question: UsageQuestion) -> _Stretch:
    return _Stretch(table, "quarter", question.first_quarter, question.end_quarter)


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _whole(halves: list[int]) -> Counts:
    return [high * _PART + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
