"""Where alert rules stand, as it is kept. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

Place = tuple[str, str]  # rule, and which of those it watches; "" where that is all together

_KEEP = "INSERT OR REPLACE INTO alert_states (rule, subject, value) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM alert_states WHERE rule = ? AND subject = ?"
_DROP = "DELETE FROM alert_states WHERE rule = ?"


def kept_states(driver: sqlite3.Connection) -> dict[Place, bytes]:
    """All there are; JSON."""
    asked = driver.execute("SELECT rule, subject, value FROM alert_states")
    return {(rule, subject): value.encode() for rule, subject, value in asked}


def keep_states(driver: sqlite3.Connection, kept: Mapping[Place, bytes], forgotten: Iterable[Place]) -> None:
    """Keep some, forget others."""
    driver.executemany(_KEEP, [(*place, value.decode()) for place, value in kept.items()])
    driver.executemany(_FORGET, list(forgotten))


def drop_rules(driver: sqlite3.Connection, rules: Iterable[str]) -> None:
    """Forget all there is of these."""
    driver.executemany(_DROP, [(rule,) for rule in rules])
