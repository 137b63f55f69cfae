"""The rows of the ledger that answer a question of analytics. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.stores.database import marks
from proxy.stores.journal.records import MOST_INT, Row
from proxy.stores.ledger import label_rollups, rollups
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.ledger.histogram import added
from proxy.stores.ledger.rollups import CUBES, MEASURES, TIMES, Sums
from proxy.stores.questions.analytics import DAY_MS, HOUR_MS, PATTERN, AnalyticsQuestion, Found, count_rows, sums_of

MOST_ATTEMPTS = 150_000  # read one by one, where no roll-up has what is asked for
_PART = 2**32  # sums that would overflow are added in two parts
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu"})
_ROW = Row.__struct_fields__
_COLUMNS = ", ".join(f'a."{name}"' for name in _ROW)
_ATTEMPTS = f"SELECT {_COLUMNS}, '' FROM attempts AS a WHERE a.at_ms >= ? AND a.at_ms < ?"  # noqa: S608
# the ids of a call's attempts begin with its own and a dot, which "/" follows
_FLAGGED = f"""SELECT {_COLUMNS}, f.flag FROM flags AS f
               JOIN attempts AS a ON a.id > f.request_id || '.' AND a.id < f.request_id || '/'
               WHERE f.at_ms >= ? AND f.at_ms < ?"""  # noqa: S608
_COUNT = "SELECT count(*) FROM (SELECT 1 {asked} LIMIT ?)"


class TooMuch(ValueError):
    """What was asked reaches too far for what is kept; the message says what to ask instead."""


class _Part(Struct, frozen=True):
    """A stretch of one table: units of so many milliseconds, from `first` on, before `end`; `cube` where it has some, `label`
    where it has the sums of calls with one."""

    table: str
    unit: str
    unit_ms: int
    first: int
    end: int
    cube: int | None = None
    label: str = ""


def ledger_found(driver: sqlite3.Connection, question: AnalyticsQuestion) -> tuple[Found, bool]:
    """What the ledger has, and whether its roll-ups are complete. Raises `TooMuch`."""
    driver.create_function("begin_of", 1, _remembering(question), deterministic=True)
    if question.is_rolled_up:
        return _rolled_up(driver, question)
    found: Found = {}
    if question.label is None:
        _count_attempts(driver, found, question)
        return found, True
    first, end = question.from_ms // HOUR_MS, -(-question.end_ms // HOUR_MS)
    part = _Part("rollup_labels", "hour", HOUR_MS, first, end, label=question.label)
    _count_part(driver, found, question, part)
    is_filled = label_rollups.is_filled(driver)
    if question.label == "session" and fnmatchcase("", question.only.get("session", "*")):
        is_filled = _count_without_session(driver, found, question, part) and is_filled
    return found, is_filled


def _rolled_up(driver: sqlite3.Connection, question: AnalyticsQuestion) -> tuple[Found, bool]:
    folded, is_filled = rollups.state(driver)
    found: Found = {}
    for part in _parts(question, folded):
        _count_part(driver, found, question, part)
    return found, is_filled


def _count_without_session(driver: sqlite3.Connection, found: Found, question: AnalyticsQuestion, part: _Part) -> bool:
    """Add the calls that are of no session: all there are, less those that are of one."""
    by = tuple(name for name in question.by if name != "session")
    only = {name: text for name, text in question.only.items() if name != "session"}
    of_all = replace(question, by=by, only=only)
    all_, is_filled = _rolled_up(driver, of_all)
    of_some: Found = {}
    _count_part(driver, of_some, of_all, part)
    for (key, source), sums in of_some.items():
        sums_of(all_, key, source).take_out(sums)
    at = question.by.index("session") if "session" in question.by else None
    for ((begun, names), source), sums in all_.items():
        whole = names if at is None else (*names[:at], "", *names[at:])
        sums_of(found, (begun, whole), source).add(sums)
    return is_filled


def _parts(question: AnalyticsQuestion, folded: int) -> Iterator[_Part]:
    """Each moment in one of them."""
    first_ms, end_ms = question.from_ms, question.end_ms
    end_minute = -(-end_ms // MINUTE_MS)
    if question.is_of_minutes:
        if question.since_ms is None or first_ms // MINUTE_MS < folded - rollups.MINUTES_KEPT:
            raise TooMuch("minutes are kept for 8 days: say since when within them, or ask by the hour")
        yield _Part("rollup_minutes", "minute", MINUTE_MS, first_ms // MINUTE_MS, end_minute)
        return
    yield _Part("rollup_minutes", "minute", MINUTE_MS, max(folded, first_ms // MINUTE_MS), end_minute)
    cube = min((n for n, names in enumerate(CUBES) if question.names <= set(names)), key=lambda n: len(CUBES[n]))
    first_hour, end_hour = first_ms // HOUR_MS, -(-end_ms // HOUR_MS)
    first_day, end_day = -(-first_ms // DAY_MS), end_ms // DAY_MS
    if question.interval == "hour" or (question.interval and not _is_utc(question)) or first_day >= end_day:
        yield _Part("rollup_hours", "hour", HOUR_MS, first_hour, end_hour, cube)
        return
    yield _Part("rollup_hours", "hour", HOUR_MS, first_hour, first_day * 24, cube)
    yield _Part("rollup_days", "day", DAY_MS, first_day, end_day, cube)
    yield _Part("rollup_hours", "hour", HOUR_MS, end_day * 24, end_hour, cube)


def _is_utc(question: AnalyticsQuestion) -> bool:
    return question.zone is UTC or str(question.zone) in _UTC


def _remembering(question: AnalyticsQuestion) -> Callable[[int], int]:
    known: dict[int, int] = {}

    def begin_of(at_ms: int) -> int:
        begun = known.get(at_ms)
        if begun is None:
            begun = known[at_ms] = question.begin_of(at_ms)
        return begun

    return begin_of


def _count_part(driver: sqlite3.Connection, found: Found, question: AnalyticsQuestion, part: _Part) -> None:
    if part.first >= part.end:
        return
    conditions, values = [f"{part.unit} >= ? AND {part.unit} < ?"], list[Any]([part.first, part.end])
    if part.cube is not None:
        conditions, values = ["cube = ?", *conditions], [part.cube, *values]
    if part.label:
        conditions, values = ["kind = ?", *conditions], [part.label, *values]
    columns = {name: "label" if name == part.label else name for name in (*question.by, *question.only)}
    wanted = [(f'"{columns[name]}" {_fits(text)} ?', [_globbed(text)]) for name, text in question.only.items()]
    wanted += [(f'"{name}" IN ({marks(some)})', [*some]) for name, some in question.among]
    at_ms = f"{part.unit} * {part.unit_ms}"
    begin = {"hour": f"{at_ms} / {HOUR_MS} * {HOUR_MS}", "minute": at_ms, None: "0"}.get(
        question.interval, f"begin_of({at_ms})"
    )
    named = [f'"{name}"' for name in (*map(columns.__getitem__, question.by), "source")]
    grouped = ", ".join(str(number) for number in range(1, len(named) + 2))
    times = ", ".join(f"group_concat({name}, ' ')" if question.with_times else "''" for name in TIMES)
    sql = (
        f"SELECT {begin}, {', '.join(named)}, {{sums}}, {times} "
        f"FROM {part.table} WHERE {' AND '.join([*conditions, *(one for one, _ in wanted)])} GROUP BY {grouped}"
    )
    for begun, *names, counts, first, total in _summed(
        driver, sql, [*values, *(text for _, texts in wanted for text in texts)]
    ):
        sums = Sums()
        sums.counts, sums.first_token, sums.total = counts, added(first), added(total)
        sums_of(found, (begun, tuple(names[:-1])), names[-1]).add(sums)


def _summed(driver: sqlite3.Connection, sql: str, values: list[Any]) -> Iterator[list[Any]]:
    """The rows, their measures as one list. A few odd rows would make a sum overflow; then in two parts."""
    plain = ", ".join(f'sum("{name}")' for name in MEASURES)
    halves = ", ".join(f'sum("{name}" / {_PART}), sum("{name}" % {_PART})' for name in MEASURES)
    try:
        rows, width = driver.execute(sql.format(sums=plain), values).fetchall(), 1
    except sqlite3.Error as error:
        if "overflow" not in str(error):
            raise
        rows, width = driver.execute(sql.format(sums=halves), values).fetchall(), 2
    many = width * len(MEASURES)
    for row in rows:
        *names_and, first, total = row
        names, sums = names_and[:-many], names_and[-many:]
        counts = sums if width == 1 else [high * _PART + low for high, low in zip(sums[::2], sums[1::2], strict=True)]
        yield [*names, counts, first, total]


def _fits(text: str) -> str:
    return "GLOB" if PATTERN & set(text) else "="


def _globbed(text: str) -> str:
    """Python's pattern as SQLite has it."""
    return text.replace("[!", "[^") if PATTERN & set(text) else text


def _count_attempts(driver: sqlite3.Connection, found: Found, question: AnalyticsQuestion) -> None:
    """Row by row, by what only rows have. Those of tenants that do not count are not counted against the asker, either."""
    asked = _FLAGGED if "flag" in question.names else _ATTEMPTS
    values: list[Any] = [question.from_ms, min(question.end_ms, MOST_INT)]
    if (tenants := question.tenants) is not None:
        asked += f" AND a.tenant IN ({marks(tenants)})"
        values += tenants
    counted = _COUNT.format(asked=asked[asked.index("FROM") :])
    if driver.execute(counted, (*values, MOST_ATTEMPTS + 1)).fetchone()[0] > MOST_ATTEMPTS:
        raise TooMuch(f"by session or flag at most {MOST_ATTEMPTS:,} attempts are added up: ask for a shorter time")
    count_rows(found, _asked_once(driver.execute(asked, values), question), question)


def _asked_once(rows: Iterable[tuple[Any, ...]], question: AnalyticsQuestion) -> Iterator[tuple[Row, str, int]]:
    """A call with two flags counts under both, and once where nobody tells flags apart."""
    wanted, seen = question.only.get("flag", "*"), set[str]()
    for *columns, flag in rows:
        row = Row(*columns)
        if "flag" in question.by:
            yield row, flag, 1
        elif fnmatchcase(flag, wanted) and row.id not in seen:
            seen.add(row.id)
            yield row, flag, 1
