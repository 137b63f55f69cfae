"""In which quarters of an hour any call asked for a model by a name, or was answered by it: so that what few calls asked
for is found among many without going through them. Kept in the transaction that brings the rows.

A name may stand where its calls are gone, never the other way round. What was there before is brought in bit by bit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from proxy.stores.journal.records import Row
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.ledger.rollups import MINUTES_PER_QUARTER

QUARTER_MS = MINUTES_PER_QUARTER * MINUTE_MS
_SCANNED_AT_ONCE = 20_000
_MOST_THERE = 16_384
_ADD = "INSERT OR IGNORE INTO asked_quarters (quarter, name) VALUES (?, ?)"
_STATE = "SELECT asked_seq, asked_until_seq FROM rollup_state"
_FILL = (
    "INSERT OR IGNORE INTO asked_quarters (quarter, name) "
    f"SELECT at_ms / {QUARTER_MS}, asked FROM attempts WHERE seq > ?1 AND seq <= ?2 "
    f"UNION SELECT at_ms / {QUARTER_MS}, model FROM attempts WHERE seq > ?1 AND seq <= ?2"
)
_PRUNE = "DELETE FROM asked_quarters WHERE quarter < ?"

Asked = tuple[int, str, str]  # the quarter of an hour since the epoch, the name asked for, and that of who answered


def add(driver: sqlite3.Connection, rows: Iterable[Row], there: set[Asked]) -> None:
    """Add what these were asked for and answered by, and note it as `there`: until a transaction fails, or quarters are
    removed, it need not be added again."""
    fresh = {(row.at_ms // QUARTER_MS, row.asked, row.model) for row in rows} - there
    if not fresh:
        return
    driver.executemany(_ADD, {(quarter, name) for quarter, *names in fresh for name in names})
    if len(there) + len(fresh) > _MOST_THERE:
        there.clear()
    there |= fresh


def is_filled(driver: sqlite3.Connection) -> bool:
    """Whether every row of the ledger is in here."""
    filled, until = driver.execute(_STATE).fetchone()
    return bool(filled >= until)


def fill(driver: sqlite3.Connection) -> bool:
    """Add some of the rows that were there before; True when there are more."""
    filled, until = driver.execute(_STATE).fetchone()
    if filled >= until:
        return False
    end = min(filled + _SCANNED_AT_ONCE, until)
    driver.execute(_FILL, (filled, end))
    driver.execute("UPDATE rollup_state SET asked_seq = ?", (end,))
    return bool(end < until)


def prune(driver: sqlite3.Connection, before_ms: int) -> None:
    """Remove quarters that are over before that."""
    driver.execute(_PRUNE, (before_ms // QUARTER_MS,))
