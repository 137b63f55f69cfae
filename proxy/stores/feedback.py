"""What people and judges think of replies: for `Writer.do`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

_COLUMNS = "request_id, label, key, score_milli, at_ms"


class Feedback(Struct, frozen=True):
    """Of one call: `score_milli` from -1000 to 1000; `label` says of what, `compare` being a judge's."""

    request_id: str
    key: str
    score_milli: int
    label: str = ""


def keep_feedback(driver: sqlite3.Connection, given: Iterable[Feedback], at_ms: int) -> None:
    """Add some; of the same call and label the last one counts."""
    rows = [(one.request_id, one.label, one.key, one.score_milli, at_ms) for one in given]
    driver.executemany(f"INSERT OR REPLACE INTO feedback ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608


def feedback_of(driver: sqlite3.Connection, request_id: str) -> list[Feedback]:
    """All there is of one call."""
    found = driver.execute(
        "SELECT request_id, key, score_milli, label FROM feedback WHERE request_id = ?", (request_id,)
    )
    return [Feedback(*row) for row in found]
