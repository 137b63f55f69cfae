"""Past calls, the newest first, a page at a time: by their beginning, without an offset and without counting."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from itertools import groupby

from msgspec import Struct

from proxy.stores.ledger import rows_of
from proxy.stores.records import Row

_EVER = 2**62
_SENT, _REFUSED = "provider <> ''", "provider = '' AND source = 'none'"
_OUTCOMES = {"ok": "status < 400", "failed": f"status >= 400 AND {_SENT}", "refused": _REFUSED}
_FILTERS = {
    "key": '"key" GLOB ?',
    "model": "(model GLOB ? OR asked GLOB ?)",
    "provider": "provider GLOB ?",
    "tenant": "tenant GLOB ?",
    "session": "session GLOB ?",
    "tag": "',' || tags || ',' GLOB '*,' || ? || ',*'",
    "error": "error GLOB ?",
}
_BEFORE = "FROM attempts WHERE (at_ms, seq) < (?, ?) AND at_ms >= ?"

Place = tuple[int, int]  # at_ms and seq of a row


class CallsQuestion(Struct, frozen=True):
    """Which calls: `only` has patterns by the names of `_FILTERS`; `outcome` is one of `_OUTCOMES`, of any attempt;
    they began from `since_ms` on and before `until_ms` (UTC epoch milliseconds), and stand behind `before`; `tenants` are the
    only ones that count, None: all."""

    only: dict[str, str] = {}
    outcome: str | None = None
    since_ms: int = 0
    until_ms: int = _EVER
    before: Place | None = None
    limit: int = 50
    tenants: tuple[str, ...] | None = None
    at_once: int = 20_000  # rows looked at between two looks at the clock
    longest_seconds: float = 0.4


def past_calls(driver: sqlite3.Connection, question: CallsQuestion) -> tuple[list[list[Row]], Place | None]:
    """The rows of each call, and where to go on; None where there is nothing more. A question that fits little is
    answered with what was found in its time, and the place up to which was looked."""
    where, values = _wanted(question)
    asked = (
        f"SELECT request_id, at_ms, seq {_BEFORE} AND (at_ms, seq) >= (?, ?) AND {where} ORDER BY at_ms DESC, seq DESC"  # noqa: S608
    )
    shown = f"SELECT 1 FROM attempts WHERE id > ? AND id < ? AND (at_ms, seq) >= (?, ?) AND {where} LIMIT 1"  # noqa: S608
    first = place = question.before or (question.until_ms, 0)
    found: dict[str, None] = {}
    until = time.monotonic() + question.longest_seconds
    while True:
        edge = _edge(driver, place, question)
        # SQLite takes one lower bound for its index: the nearer one, or it goes through all that is older
        oldest_ms = max(question.since_ms, edge[0] if edge else 0)
        rows = driver.execute(asked, (*place, oldest_ms, *(edge or (0, 0)), *values))
        for request_id, *at in rows:
            if request_id in found or driver.execute(shown, (*_between(request_id), *first, *values)).fetchone():
                continue  # another attempt of it was as good
            if len(found) == question.limit:
                return _calls(driver, found), place
            found[request_id], place = None, (at[0], at[1])
        if edge is None:
            return _calls(driver, found), None
        place = edge
        if time.monotonic() > until:
            return _calls(driver, found), place


def _wanted(question: CallsQuestion) -> tuple[str, list[str]]:
    """What an attempt must be like, as SQL, and the values in it."""
    wanted = [*(_FILTERS[name] for name in question.only), _OUTCOMES.get(question.outcome or "", "1")]
    values = [value for name, text in question.only.items() for value in [text] * _FILTERS[name].count("?")]
    if question.tenants is not None:
        wanted.append(f"tenant IN ({', '.join('?' * len(question.tenants))})")
        values += question.tenants
    return " AND ".join(wanted), values


def _between(request_id: str) -> tuple[str, str]:
    """What the ids of its attempts stand between."""
    return f"{request_id}.", f"{request_id}/"  # "/" follows "."


def _edge(driver: sqlite3.Connection, place: Place, question: CallsQuestion) -> Place | None:
    """The row so many behind a place; None where there are fewer."""
    edge = f"SELECT at_ms, seq {_BEFORE} ORDER BY at_ms DESC, seq DESC LIMIT 1 OFFSET ?"  # noqa: S608
    found = driver.execute(edge, (*place, question.since_ms, question.at_once)).fetchone()
    return None if found is None else (found[0], found[1])


def _calls(driver: sqlite3.Connection, found: dict[str, None]) -> list[list[Row]]:
    """Each call's rows, its first attempt first."""
    return [sorted(rows, key=lambda row: row.attempt) for _, rows in _each(driver, found)]


def _each(driver: sqlite3.Connection, found: dict[str, None]) -> Iterator[tuple[str, Iterator[Row]]]:
    rows = (row for request_id in found for row in rows_of(driver, request_id))
    return groupby(rows, key=lambda row: row.request_id)
