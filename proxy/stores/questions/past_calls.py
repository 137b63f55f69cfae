"""Past calls, the newest first, a page at a time: by their beginning, without an offset and without counting."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from msgspec import Struct

from proxy.stores.database import marks
from proxy.stores.journal.records import Row
from proxy.stores.ledger import asked_quarters, rollups
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.ledger.asked_quarters import QUARTER_MS
from proxy.stores.ledger.ledger import rows_of
from proxy.stores.ledger.rollups import CUBES, MINUTES_PER_HOUR

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
_PATTERN = frozenset("*?[")

_HOUR_MS = MINUTES_PER_HOUR * MINUTE_MS
_OF_HOURS = ("key", "tenant", "provider")
_ASKED = "SELECT quarter FROM asked_quarters WHERE name GLOB ? AND quarter <= ? AND quarter >= ? ORDER BY quarter DESC LIMIT 1"
_CUBES = [number for number in range(len(CUBES) - 1, 0, -1) if {*_OF_HOURS} & {*CUBES[number]}]

Place = tuple[int, int]  # at_ms and seq of a row
_Values = list[str | int]


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


class _Among(NamedTuple):
    """The rows of an index, all of which are `like`: as SQL that an index of some rows wants to see again."""

    by: str
    like: str = "1"
    values: tuple[str, ...] = ()

    @property
    def before(self) -> str:
        """Those in front of a place and from a moment on."""
        return f"FROM attempts INDEXED BY {self.by} WHERE {self.like} AND (at_ms, seq) < (?, ?) AND at_ms >= ?"


_ALL = _Among("ix_attempts_at_ms")
_FAILED = _Among("ix_attempts_failed", "(status >= 400 OR error IS NOT NULL)")
_TAGGED = _Among("ix_attempts_tagged", "tags <> ''")


def past_calls(driver: sqlite3.Connection, question: CallsQuestion) -> tuple[list[list[Row]], Place | None]:
    """The rows of each call, and where to go on; None where there is nothing more. A question that fits little is
    answered with what was found in its time, and the place up to which was looked."""
    (where, values), among = _wanted(question), _among(question)
    asked = f"SELECT request_id, at_ms, seq {among.before} AND (at_ms, seq) >= (?, ?) AND {where} ORDER BY at_ms DESC, seq DESC"  # noqa: S608
    shown = f"SELECT 1 FROM attempts WHERE id > ? AND id < ? AND (at_ms, seq) >= (?, ?) AND {where} LIMIT 1"  # noqa: S608
    first = place = question.before or (question.until_ms, 0)
    found: dict[str, None] = {}
    until = time.monotonic() + question.longest_seconds
    while True:
        nearest = _nearest(driver, place, question)
        if nearest is None:
            return _calls(driver, found), None
        place, since_ms = nearest
        edge = _edge(driver, place, since_ms, question.at_once, among)
        if edge is None and since_ms > question.since_ms:
            edge = (since_ms, 0)
        # SQLite takes one lower bound for its index: the nearer one, or it goes through all that is older
        oldest_ms = max(question.since_ms, edge[0] if edge else 0)
        rows = driver.execute(asked, (*among.values, *place, oldest_ms, *(edge or (0, 0)), *values))
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
        wanted.append(f"tenant IN ({marks(question.tenants)})")
        values += question.tenants
    return " AND ".join(wanted), values


def _between(request_id: str) -> tuple[str, str]:
    """What the ids of its attempts stand between."""
    return f"{request_id}.", f"{request_id}/"  # "/" follows "."


class _Known(NamedTuple):
    """What knows stretches of time in which any call fits: the latest of them not after a place and not before another is
    the first column of what `asked` finds. It knows nothing from `until_ms` on."""

    length_ms: int
    until_ms: int
    asked: str
    values: _Values


def _nearest(driver: sqlite3.Connection, place: Place, question: CallsQuestion) -> tuple[Place, int] | None:
    """The place, or one behind it as far as nothing between them fits, and the moment from which on something behind it may.
    None where nothing does."""
    since_ms = question.since_ms
    for known in (_by_hours(driver, question), _by_quarters(driver, question)):
        last_ms = place[0] if place[1] else place[0] - 1  # of what lies behind it
        if known is None or last_ms >= known.until_ms:
            continue
        between = last_ms // known.length_ms, question.since_ms // known.length_ms
        found = driver.execute(known.asked, (*known.values, *between)).fetchone()
        if found is None:
            return None
        since_ms = max(question.since_ms, found[0] * known.length_ms)
        place = min(place, ((found[0] + 1) * known.length_ms, 0))
    return place, since_ms


def _by_hours(driver: sqlite3.Connection, question: CallsQuestion) -> _Known | None:
    """Hours know in which of them a key, a tenant or a provider had any call."""
    wanted = [(name, _FILTERS[name], [question.only[name]]) for name in _OF_HOURS if name in question.only]
    if question.tenants is not None:
        wanted.append(("tenant", f"tenant IN ({marks(question.tenants)})", [*question.tenants]))
    cube = next((number for number in _CUBES for name, _, _ in wanted if name in CUBES[number]), 0)
    known = [(like, values) for name, like, values in wanted if name in CUBES[cube]]
    folded, is_filled = rollups.state(driver)
    if not known or not is_filled:
        return None
    asked = f"SELECT hour FROM rollup_hours WHERE cube = ? AND {' AND '.join(like for like, _ in known)} AND hour <= ? AND hour >= ? ORDER BY hour DESC LIMIT 1"  # noqa: S608
    values: _Values = [cube, *(value for _, values in known for value in values)]
    return _Known(_HOUR_MS, folded // MINUTES_PER_HOUR * _HOUR_MS, asked, values)


def _by_quarters(driver: sqlite3.Connection, question: CallsQuestion) -> _Known | None:
    """Quarters of an hour know the names that models were asked for by, or answered under."""
    model = question.only.get("model")
    if model is None or not asked_quarters.is_filled(driver):
        return None
    return _Known(QUARTER_MS, 2 * _EVER, _ASKED, [model])


def _among(question: CallsQuestion) -> _Among:
    """Where to look: all that fits is there, and the less else the better."""
    session = question.only.get("session", "")
    if session and not _PATTERN & set(session):
        return _Among("ix_attempts_session", "session = ? AND session <> ''", (session,))
    if "error" in question.only or question.outcome in ("failed", "refused"):
        return _FAILED
    return _TAGGED if "tag" in question.only else _ALL


def _edge(driver: sqlite3.Connection, place: Place, since_ms: int, behind: int, among: _Among) -> Place | None:
    """The row so many behind a place; None where there are fewer since then."""
    edge = f"SELECT at_ms, seq {among.before} ORDER BY at_ms DESC, seq DESC LIMIT 1 OFFSET ?"  # noqa: S608
    found = driver.execute(edge, (*among.values, *place, since_ms, behind)).fetchone()
    return None if found is None else (found[0], found[1])


def _calls(driver: sqlite3.Connection, found: dict[str, None]) -> list[list[Row]]:
    """Each call's rows, its first attempt first."""
    return [sorted(rows, key=lambda row: row.attempt) for _, rows in _each(driver, found)]


def _each(driver: sqlite3.Connection, found: dict[str, None]) -> Iterator[tuple[str, Iterator[Row]]]:
    rows = (row for request_id in found for row in rows_of(driver, request_id))
    return groupby(rows, key=lambda row: row.request_id)
