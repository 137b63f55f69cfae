"""Where experiments stand, as it is kept; and what people and judges think of the calls of each arm."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

_KEEP = "INSERT OR REPLACE INTO experiments (name, value, at_ms) VALUES (?, ?, ?)"
# a call's first attempt has its arm; the ids of a call's attempts begin with its own
_OPINIONS = """SELECT a.arm, f.label, count(*), avg(f.score_milli), avg(f.score_milli * f.score_milli)
               FROM feedback AS f JOIN attempts AS a ON a.id = f.request_id || '.1'
               WHERE a.arm != '' AND f.at_ms >= ? GROUP BY a.arm, f.label"""

Opinion = tuple[str, str, int, float, float]  # arm, label, how many, mean, mean of squares; in thousandths


def kept_experiments(driver: sqlite3.Connection) -> dict[str, bytes]:
    """What is kept, by name; JSON."""
    return {name: value.encode() for name, value in driver.execute("SELECT name, value FROM experiments")}


def keep_experiments(driver: sqlite3.Connection, kept: Mapping[str, bytes], at_ms: int) -> None:
    """Keep some."""
    driver.executemany(_KEEP, [(name, value.decode(), at_ms) for name, value in kept.items()])


def opinions(driver: sqlite3.Connection, since_ms: int) -> list[Opinion]:
    """Of calls that had an arm, as far as they were given since then."""
    return driver.execute(_OPINIONS, (since_ms,)).fetchall()
