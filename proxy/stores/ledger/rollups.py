"""Roll-ups by minute, hour and day, for analytics: kept in the transaction that brings the rows they are sums of.

What comes is added to its minute. A minute is brought into its hour and its day once it has been over for a while
(`folded` is the first one that was not yet); what comes later than that is added to all three. So whoever asks adds
up hours or days, and the minutes from `folded` on. Hours and days are kept in several cubes, each with fewer names:
most questions want one name, and the largest cube has almost a row for every call.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import sub as minus

from proxy.stores.database import marks
from proxy.stores.journal.records import MOST_INT, Corrected, Record, Refused, Row, Settled, Voided
from proxy.stores.ledger.alike import MINUTE_MS, NAMES, Groups, Names, alike, by_place, columns_of, is_same
from proxy.stores.ledger.histogram import histogram_of, read, text_of
from proxy.stores.ledger.statements import no_pause, paused
from proxy.stores.ledger.tally import COUNTERS, add_alike, add_row, counts_of

CUBES: tuple[tuple[str, ...], ...] = (
    NAMES,
    ("provider", "model", "source"),
    ("key", "tenant", "source"),
    ("endpoint", "source"),
)
MEASURES = (*COUNTERS, "errors", "refused")
TIMES = ("first_token_ms", "total_ms")
MINUTES_PER_QUARTER, MINUTES_PER_HOUR, MINUTES_PER_DAY = 15, 60, 1440
MINUTES_KEPT = 8 * MINUTES_PER_DAY

_LAG = 15  # minutes; most calls are over by then
_AHEAD = 60  # minutes; whose clock is further ahead than that does not close what is still to come
_FILLED_AT_ONCE = 1000
_CLIENT_LEFT = 499

Place = tuple[int, Names]  # minute, hour or day since the epoch; "" for a name that a cube does not have


class Sums:
    """`counts` in the order of MEASURES, and how long what went well took, as histograms."""

    __slots__ = ("counts", "first_token", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(MEASURES)
        self.first_token = self.total = 0

    def add_row(self, row: Row, sign: int = 1) -> None:
        """Count one attempt or refusal in, or (-1) out again."""
        self.add_rows((row,), sign)

    def add_rows(self, rows: Sequence[Row], sign: int = 1) -> None:
        """Count attempts or refusals that are alike in, or (-1) out again."""
        counts, first = self.counts, rows[0]
        if not first.provider and first.source != "cached":
            counts[-1] += sign * sum([row.times for row in rows])
            return
        if sign < 0:
            for row in rows:
                counts[: len(COUNTERS)] = map(minus, counts, counts_of(row))
        elif len(rows) == 1:  # as of most places where many keys or models are called
            add_row(counts, first)
        else:
            add_alike(counts, rows)
        if first.source == "cached":
            return
        if first.error is not None or not 200 <= first.status < 400:
            counts[-2] += 0 if first.status == _CLIENT_LEFT else sign * len(rows)
            return
        if len(rows) == 1:
            total = histogram_of(first.total_ms)
            self.total += total if sign > 0 else -total
            if first.first_token_ms is not None:
                self.first_token += sign * histogram_of(first.first_token_ms)
            return
        if (columns := columns_of(rows)) is not None:
            total_ms, token_ms = columns["total_ms"], columns["first_token_ms"]
        else:
            total_ms = tuple([row.total_ms for row in rows])
            token_ms = tuple([row.first_token_ms for row in rows if row.first_token_ms is not None])
        self.total += sign * _histogram_of(total_ms)
        self.first_token += sign * _histogram_of(token_ms)

    def add(self, other: Sums) -> None:
        """Add all the other one has."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.first_token += other.first_token
        self.total += other.total

    def take_out(self, other: Sums) -> None:
        """Remove what the other one has, all of which is in here."""
        self.counts = [mine - theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.first_token -= other.first_token
        self.total -= other.total

    def columns(self) -> tuple[int | str, ...]:
        """As a row has them; no integer that a column cannot hold."""
        counts = self.counts
        if max(counts) > MOST_INT or min(counts) < -MOST_INT:
            counts = [max(-MOST_INT, min(count, MOST_INT)) for count in counts]
        return (*counts, text_of(self.first_token), text_of(self.total))


def by_minute(records: Iterable[Record]) -> dict[Place, Sums]:
    """The sums of all attempts and refusals among them; what a correction corrects is taken out."""
    found: dict[Place, Sums] = {}
    signed = list(rows_in(records))
    for sign in (1, -1):
        add_up(found, alike([row for row, its in signed if its == sign]), sign)
    return found


def summed(groups: Groups) -> dict[Place, Sums]:
    """The sums of all of them."""
    found: dict[Place, Sums] = {}
    add_up(found, groups)
    return found


def add_up(found: dict[Place, Sums], groups: Groups, sign: int = 1) -> None:
    """Add the sums of all of these, or (-1) take them out."""
    for place, rows in by_place(groups):
        sums = found.get(place)
        if sums is None:
            sums = found[place] = Sums()
        sums.add_rows(rows, sign)


def rows_in(records: Iterable[Record]) -> Iterator[tuple[Row, int]]:
    """The attempts and refusals among records; what a correction corrects is taken out (-1)."""
    for record in records:
        if isinstance(record, Corrected):
            yield record.was, -1
        if isinstance(record, (Settled, Voided, Refused, Corrected)):
            yield record.row, 1


def _histogram_of(times: tuple[int | None, ...]) -> int:
    if not times or (times[0] is None and is_same(times)):
        return 0
    counted = Counter(times).items()
    return sum([count * histogram_of(milliseconds) for milliseconds, count in counted if milliseconds is not None])


def upsert(table: str, place: Sequence[str]) -> str:
    """What adds sums to those of a place in a table of roll-ups."""
    columns = [*place, *NAMES, *MEASURES, *TIMES]
    names = ", ".join(f'"{name}"' for name in columns)
    key = ", ".join(f'"{name}"' for name in (*place, *NAMES))
    sums = [f'"{name}" = min({MOST_INT}, {table}."{name}" + excluded."{name}")' for name in MEASURES]
    sums += [  # to call Python from SQLite takes longer than all the rest
        f'"{name}" = iif(excluded."{name}" = \'\', {table}."{name}", merged({table}."{name}", excluded."{name}"))'
        for name in TIMES
    ]
    return (
        f"INSERT INTO {table} ({names}) VALUES ({marks(columns)}) ON CONFLICT ({key}) DO UPDATE SET {', '.join(sums)}"
    )


_ADD_MINUTES = upsert("rollup_minutes", ("minute",))
_COARSE = (
    (upsert("rollup_hours", ("cube", "hour")), MINUTES_PER_HOUR),
    (upsert("rollup_days", ("cube", "day")), MINUTES_PER_DAY),
)
_KEPT = ", ".join(f'"{name}"' for name in (*NAMES, *MEASURES, *TIMES))
_UNFOLDED = f"SELECT minute, {_KEPT} FROM rollup_minutes WHERE minute >= ? AND minute < ?"  # noqa: S608
_STATE = "SELECT folded, filled_seq, fill_until_seq FROM rollup_state"
_OLD_MINUTES = (
    "DELETE FROM rollup_minutes WHERE minute IN "
    "(SELECT minute FROM rollup_minutes WHERE minute < (SELECT folded FROM rollup_state) - ? ORDER BY minute LIMIT ?)"
)
_ROW_COLUMNS = ", ".join(f'"{name}"' for name in Row.__struct_fields__)
_UNFILLED = f"SELECT seq, {_ROW_COLUMNS} FROM attempts WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"  # noqa: S608


def add(driver: sqlite3.Connection, fresh: dict[Place, Sums], pause: Callable[[], object] = no_pause) -> None:
    """Add the sums of records the ledger had not, and close what minutes are over."""
    if not fresh:
        return
    folded = _add(driver, fresh, pause)
    newest = min(max(minute for minute, _ in fresh), int(time.time() * 1000) // MINUTE_MS + _AHEAD)
    if newest - folded >= 2 * _LAG:
        _fold(driver, folded, newest - _LAG, pause)


def state(driver: sqlite3.Connection) -> tuple[int, bool]:
    """The first minute that is in no hour yet, and whether every row of the ledger is in the roll-ups."""
    folded, filled, until = driver.execute(_STATE).fetchone()
    return folded, filled >= until


def fill(driver: sqlite3.Connection) -> bool:
    """Add some of the rows that were there before the roll-ups were; True when there are more."""
    _, filled, until = driver.execute(_STATE).fetchone()
    if filled >= until:
        return False
    found = driver.execute(_UNFILLED, (filled, until, _FILLED_AT_ONCE)).fetchall()
    _add(driver, summed(alike(Row(*columns) for _, *columns in found)))
    is_more = len(found) == _FILLED_AT_ONCE
    driver.execute("UPDATE rollup_state SET filled_seq = ?", (found[-1][0] if is_more else until,))
    return is_more


def not_filled(driver: sqlite3.Connection, corrected: Iterable[Corrected]) -> set[str]:
    """Those whose rows are not in the roll-ups yet, by id; they will come corrected."""
    _, filled, until = driver.execute(_STATE).fetchone()
    if filled >= until:
        return set()
    asked = "SELECT seq FROM attempts WHERE id = ?"
    ids = [record.row.id for record in corrected]
    seqs = {identity: driver.execute(asked, (identity,)).fetchone()[0] for identity in ids}
    return {identity for identity, seq in seqs.items() if filled < seq <= until}


def prune_minutes(driver: sqlite3.Connection, at_once: int) -> bool:
    """Remove some minutes that are too old; True when there may be more."""
    return driver.execute(_OLD_MINUTES, (MINUTES_KEPT, at_once)).rowcount >= at_once


def _add(driver: sqlite3.Connection, sums: dict[Place, Sums], pause: Callable[[], object] = no_pause) -> int:
    """Add to minutes, and where these are folded to hours and days; return the first minute that is not."""
    (folded, *_) = driver.execute(_STATE).fetchone()
    kept = [
        (minute, *names, *one.columns()) for (minute, names), one in sums.items() if minute >= folded - MINUTES_KEPT
    ]
    driver.executemany(_ADD_MINUTES, paused(kept, pause))
    _add_coarse(driver, {place: one for place, one in sums.items() if place[0] < folded}, pause)
    return int(folded)


def _fold(driver: sqlite3.Connection, folded: int, until: int, pause: Callable[[], object]) -> None:
    closed = paused(driver.execute(_UNFOLDED, (folded, until)).fetchall(), pause)
    minutes = {(minute, tuple(names_and[: len(NAMES)])): _sums_of(names_and) for minute, *names_and in closed}
    _add_coarse(driver, minutes, pause)
    driver.execute("UPDATE rollup_state SET folded = ?", (until,))


def _sums_of(columns: Sequence[int | str]) -> Sums:
    sums = Sums()
    *counts, first, total = columns[len(NAMES) :]
    sums.counts = [int(count) for count in counts]
    sums.first_token, sums.total = read(str(first)), read(str(total))
    return sums


def _add_coarse(driver: sqlite3.Connection, minutes: dict[Place, Sums], pause: Callable[[], object]) -> None:
    for adding, length in _COARSE if minutes else ():
        coarse: dict[tuple[int, int, Names], Sums] = {}
        for (minute, names), one in paused(minutes.items(), pause):
            for cube in range(len(CUBES)):
                coarse.setdefault((cube, minute // length, _of_cube(cube, names)), Sums()).add(one)
        rows = ((cube, at, *names, *one.columns()) for (cube, at, names), one in coarse.items())
        driver.executemany(adding, paused(rows, pause))


_MASKS = tuple(tuple(name in cube for name in NAMES) for cube in CUBES)


def _of_cube(cube: int, names: Names) -> Names:
    """The names that the cube has."""
    return tuple([name if is_kept else "" for name, is_kept in zip(names, _MASKS[cube], strict=True)])
