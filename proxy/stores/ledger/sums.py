"""The sums of the ledger, which questions are answered from: by quarter-hour and day, by session, and the roll-ups.

Where calls are few they are kept in the transaction that brings the rows. While they are many, what rows add is put
together in memory first and brought in now and then: what is written goes by keys, models and minutes then, not by
calls. `summed_seq` is the last row that is in the sums; whoever asks adds what lies behind it, as what the journal alone has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from proxy.stores.journal.records import MOST_INT, Record, Refused, Row, Settled
from proxy.stores.ledger import label_rollups, rollups, spending
from proxy.stores.ledger.alike import Groups, alike
from proxy.stores.ledger.statements import adding_up, bounded, no_pause, paused
from proxy.stores.ledger.tally import COUNTERS, QUARTERS_PER_DAY, Counts, session_of, tally
from proxy.stores.ledger.tally import add as plus

_LONGEST_SECONDS, _QUIET_SECONDS = 30.0, 2.0  # that something waits in memory, and while nothing is added to it
_MOST_SUMS, _MOST_CALLS = 20_000, 5000  # that do; calls are kept as they are where they belong to sessions
_READ_AT_ONCE = 1000
_SPENDER = ("key", "provider", "model", "source", "tenant")
_STATE = "SELECT summed_seq FROM rollup_state"
_SUMMED = "UPDATE rollup_state SET summed_seq = ?"
_NEWEST = "SELECT coalesce(max(seq), 0) FROM attempts"
_LESS = f"UPDATE rollup_state SET summed_seq = min(summed_seq, ({_NEWEST}))"  # noqa: S608
_COLUMNS = ", ".join(f'"{name}"' for name in Row.__struct_fields__)
_BEHIND = f"SELECT seq, {_COLUMNS} FROM attempts WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_EVERY = -1


_ADD_SUMS = adding_up("sums", ("quarter", *_SPENDER), COUNTERS)
_ADD_SESSIONS = adding_up("sums_by_session", ("quarter", *_SPENDER, "session"), COUNTERS)
_ADD_DAYS = adding_up("sums_by_day", (*_SPENDER, "day"), COUNTERS)
_ADD_QUARTERS = adding_up("sums_by_quarter", ("quarter", "source"), COUNTERS)


class Fresh(Struct, frozen=True):
    """Rows of one transaction, by their kinds, and the records of those that are of a session; `until`: the number of the
    last one, the others' lie before."""

    groups: Groups
    in_sessions: Sequence[Record]
    rows: int
    until: int


class Unsummed:
    """What the rows behind number `after` add, up to number `until`; -1 where nobody has looked yet."""

    def __init__(self, after: int = -1) -> None:
        self.after = self.until = after
        self.minutes: dict[rollups.Place, rollups.Sums] = {}
        self.in_sessions: list[Record] = []
        self._since = self._grown_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether the sums have every row."""
        return self.after == self.until >= 0

    @property
    def is_due(self) -> bool:
        """Whether it has waited long enough, or has grown too large."""
        if self.is_empty:
            return False
        now = time.monotonic()
        are_many = len(self.minutes) >= _MOST_SUMS or len(self.in_sessions) >= _MOST_CALLS
        return are_many or now - self._since >= _LONGEST_SECONDS or now - self._grown_at >= _QUIET_SECONDS

    def has_all_before(self, fresh: Fresh) -> bool:
        """Whether the sums have every row but these."""
        return self.is_empty and self.until == fresh.until - fresh.rows

    def take(self, fresh: Fresh) -> Unsummed:
        """With these as well, whose transaction is over; where others lie before them, all are read from the table."""
        if self.until != fresh.until - fresh.rows:
            return Unsummed()
        self._grown_at = time.monotonic()
        self._since = self._grown_at if self.is_empty else self._since
        rollups.add_up(self.minutes, fresh.groups)
        self.in_sessions += fresh.in_sessions
        self.until = fresh.until
        return self


def keep(driver: sqlite3.Connection, fresh: Fresh) -> None:
    """Bring rows in at once; the sums have every other."""
    _keep(driver, rollups.summed(fresh.groups), fresh.in_sessions, fresh.until, no_pause)


def bring_up(driver: sqlite3.Connection, unsummed: Unsummed, pause: Callable[[], object] = no_pause) -> Unsummed:
    """Bring in what there is, or a part of what has to be read for it; return what is left when the transaction is over."""
    spending.bring_in(driver, pause)
    (summed,) = driver.execute(_STATE).fetchone()
    if summed == unsummed.after:
        _keep(driver, unsummed.minutes, unsummed.in_sessions, unsummed.until, pause)
        return Unsummed(unsummed.until)
    found = driver.execute(_BEHIND, (summed, _READ_AT_ONCE)).fetchall()
    rows = [Row(*columns) for _, *columns in found]
    end = found[-1][0] if found else summed
    _keep(driver, rollups.summed(alike(rows)), [as_record(row) for row in rows if row.session], end, pause)
    return Unsummed(end if len(found) < _READ_AT_ONCE else -1)


def bring_up_all(driver: sqlite3.Connection) -> Unsummed:
    """Bring every row in, in one transaction."""
    left = Unsummed()
    while not left.is_empty:
        left = bring_up(driver, left)
    return left


def behind(driver: sqlite3.Connection) -> list[Record]:
    """The rows that are not in the sums yet, each as the record that brought it."""
    found = driver.execute(_BEHIND, (*driver.execute(_STATE).fetchone(), _EVERY))
    return [as_record(Row(*columns)) for _, *columns in found]


def newest(driver: sqlite3.Connection) -> int:
    """The number of the last row."""
    return int(driver.execute(_NEWEST).fetchone()[0])


def forget_removed(driver: sqlite3.Connection) -> None:
    """Rows were removed: where none is left, numbers begin anew."""
    driver.execute(_LESS)


def as_record(row: Row) -> Record:
    """A record that adds as much as the one that brought this row."""
    return Settled(row, ()) if row.provider else Refused(row)


def _keep(
    driver: sqlite3.Connection,
    minutes: dict[rollups.Place, rollups.Sums],
    in_sessions: Sequence[Record],
    until: int,
    pause: Callable[[], object],
) -> None:
    add(driver, minutes, in_sessions, pause)
    rollups.add(driver, minutes, pause)
    label_rollups.add(driver, in_sessions)
    driver.execute(_SUMMED, (until,))


def add(
    driver: sqlite3.Connection,
    minutes: dict[rollups.Place, rollups.Sums],
    in_sessions: Iterable[Record],
    pause: Callable[[], object] = no_pause,
) -> None:
    """Add to all but the roll-ups."""
    sums: dict[Any, Counts] = {}
    by_day: dict[Any, Counts] = {}
    by_quarter: dict[Any, Counts] = {}
    for (minute, (key, tenant, provider, model, _, source)), one in paused(minutes.items(), pause):
        if provider or source == "cached":
            quarter, counts = minute // rollups.MINUTES_PER_QUARTER, one.counts[: len(COUNTERS)]
            plus(sums, (quarter, key, provider, model, source, tenant), counts)
            plus(by_day, (key, provider, model, source, tenant, quarter // QUARTERS_PER_DAY), counts)
            plus(by_quarter, (quarter, source), counts)
    by_session = tally(in_sessions, session_of)
    for upserting, totals in (
        (_ADD_SUMS, sums),
        (_ADD_DAYS, by_day),
        (_ADD_QUARTERS, by_quarter),
        (_ADD_SESSIONS, by_session),
    ):
        driver.executemany(upserting, paused(_columns_of(totals), pause))


def _columns_of(totals: dict[Any, Counts]) -> list[tuple[Any, ...]]:
    """Sums as rows."""
    rows = [(*key, *counts) for key, counts in totals.items()]
    counts = totals.values()
    is_usual = max(map(max, counts), default=0) <= MOST_INT and min(map(min, counts), default=0) >= -MOST_INT
    return rows if is_usual else list(map(bounded, rows))
