"""The sums of the ledger that answer a question of usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, select

from proxy.stores.schema import sums, sums_by_day, sums_by_quarter, sums_by_session
from proxy.stores.tally import COUNTERS, QUARTERS_PER_DAY, Counts, Spender, add
from proxy.stores.usage import NAMED, SPENDER, Totals, UsageQuestion

_PART = 2**32
_PATTERN = frozenset("*?[")


def ledger_totals(connection: Connection, question: UsageQuestion) -> Totals:
    """What the ledger has. The transaction is the caller's."""
    if question.is_by_time_alone:
        return _by_time(connection, question)
    totals: Totals = {}
    parts = _by_days(connection, question) if question.is_by_time else ((0, s) for s in _statements(question))
    for quarter, statement in parts:
        for spender, counts in _rows(connection, statement, quarter):
            _count(totals, question, spender, counts)
    if question.is_by_session:
        for spender, counts in _of_sessions(connection, question):
            _count(totals, question, spender, counts)
            _count(totals, question, (*spender[:-1], ""), [-count for count in counts])
    return totals


def _count(totals: Totals, question: UsageQuestion, spender: Spender, counts: Counts) -> None:
    if question.asks_for(spender):
        add(totals, (question.names_of(spender), spender[4]), counts)


def _rows(connection: Connection, statement: Select[Any], quarter: int) -> Iterator[tuple[Spender, Counts]]:
    for key, provider, model, source, tenant, *halves in connection.execute(statement):
        yield (quarter, key, provider, model, source, tenant, ""), _whole(halves)


def _whole(halves: list[int]) -> Counts:
    return [high * _PART + low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _of_sessions(connection: Connection, question: UsageQuestion) -> Iterator[tuple[Spender, Counts]]:
    """Those of calls that named a session, which are in the other sums as well; by the quarter-hour where that matters."""
    table = sums_by_session
    names = [table.c[name] for name in NAMED]
    by = [table.c.quarter, *names] if question.is_by_time else names
    quarter: ColumnElement[Any] = table.c.quarter if question.is_by_time else literal(0)
    statement = _between(select(quarter, *names, *_halves(table)).group_by(*by), table, question)
    for at, key, provider, model, source, tenant, session, *halves in connection.execute(statement):
        yield (at, key, provider, model, source, tenant, session), _whole(halves)


def _by_time(connection: Connection, question: UsageQuestion) -> Totals:
    table = sums_by_quarter
    totals: Totals = {}
    everything = select(table.c.quarter, table.c.source, *(table.c[name] for name in COUNTERS))
    for quarter, source, *counts in connection.execute(_between(everything, table, question)):
        add(totals, (question.names_of((quarter, "", "", "", source, "", "")), source), counts)
    return totals


def _by_days(connection: Connection, question: UsageQuestion) -> Iterator[tuple[int, Select[Any]]]:
    """For each day of the zone with anything in it one of its quarter-hours, and who spent what on it."""
    quarters = _between(select(sums_by_quarter.c.quarter).distinct(), sums_by_quarter, question)
    days: dict[str, list[int]] = {}
    for (quarter,) in connection.execute(quarters).all():
        days.setdefault(question.day_of(quarter), []).append(quarter)
    for of_day in days.values():
        yield of_day[0], _grouped(sums, question).where(sums.c.quarter >= min(of_day), sums.c.quarter <= max(of_day))


def _statements(question: UsageQuestion) -> Iterable[Select[Any]]:
    """Whole UTC days from one table, what is left at both ends from the other."""
    first, end = question.first_quarter, question.end_quarter
    first_day = None if first is None else -(-first // QUARTERS_PER_DAY)
    end_day = None if end is None else end // QUARTERS_PER_DAY
    if first_day is not None and end_day is not None and first_day >= end_day:
        yield _between(_grouped(sums, question), sums, question)
        return
    days = _grouped(sums_by_day, question)
    if first_day is not None:
        days = days.where(sums_by_day.c.day >= first_day)
        yield _grouped(sums, question).where(sums.c.quarter >= first, sums.c.quarter < first_day * QUARTERS_PER_DAY)
    if end_day is not None:
        days = days.where(sums_by_day.c.day < end_day)
        yield _grouped(sums, question).where(sums.c.quarter >= end_day * QUARTERS_PER_DAY, sums.c.quarter < end)
    yield days


def _between(statement: Select[Any], table: Table, question: UsageQuestion) -> Select[Any]:
    if question.first_quarter is not None:
        statement = statement.where(table.c.quarter >= question.first_quarter)
    if question.end_quarter is not None:
        statement = statement.where(table.c.quarter < question.end_quarter)
    return statement


def _grouped(table: Table, question: UsageQuestion) -> Select[Any]:
    """By everything but the time: no sorting for the sums by day, and few rows; of a whole name that is asked for, no others.

    Each sum comes in two parts: of whole numbers a few odd rows would make it overflow, for good.
    """
    spender = [table.c[name] for name in SPENDER]
    found = select(*spender, *_halves(table)).group_by(*spender)
    whole = {of: name for of, name in question.only.items() if of in SPENDER and not _PATTERN & set(name)}
    if question.tenants is not None:
        found = found.where(table.c.tenant.in_(question.tenants))
    return found.where(*(table.c[of] == name for of, name in whole.items()))


def _halves(table: Table) -> list[ColumnElement[Any]]:
    parts = [(table.c[name].op("/")(_PART), table.c[name].op("%")(_PART)) for name in COUNTERS]
    return [func.sum(part) for pair in parts for part in pair]
