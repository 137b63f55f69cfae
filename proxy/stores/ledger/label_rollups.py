"""Roll-ups by what only some calls have, by the hour: the session a call belongs to, and the flags that its reply got.

Kept in the transaction that brings the rows or the flags. What was there before these sums were is brought in bit by bit;
until then a row's corrections and flags wait for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from proxy.stores.journal.records import Corrected, Record, Row
from proxy.stores.ledger.alike import MINUTE_MS, Names, names_of
from proxy.stores.ledger.rollups import MINUTES_PER_HOUR, Sums, rows_in, upsert

Label = tuple[str, str]  # "session" or "flag", and which
Place = tuple[str, int, str, Names]  # the label's kind, the hour since the epoch, which, the names

HOUR_MS = MINUTES_PER_HOUR * MINUTE_MS
_SCANNED_AT_ONCE = 20_000
_ADD = upsert("rollup_labels", ("kind", "hour", "label"))
_STATE = "SELECT labels_seq, labels_until_seq FROM rollup_state"
_COLUMNS = ", ".join(f'"{name}"' for name in Row.__struct_fields__)
# the ids of a call's attempts begin with its own and a dot, which "/" follows
_OF_CALL = f"SELECT seq, {_COLUMNS} FROM attempts WHERE id > ? AND id < ?"  # noqa: S608
_FLAGS = "SELECT flag FROM flags WHERE request_id = ?"
_LABELLED = (
    f"SELECT {_COLUMNS} FROM attempts WHERE seq > ? AND seq <= ? "  # noqa: S608
    "AND (session != '' OR request_id IN (SELECT request_id FROM flags))"
)


def add(driver: sqlite3.Connection, fresh: Iterable[Record]) -> None:
    """Add what these say of sessions."""
    found: dict[Place, Sums] = {}
    for row, sign in rows_in(fresh):
        if row.session:
            _count(found, row, [("session", row.session)], sign)
    _keep(driver, found)


def correct(driver: sqlite3.Connection, corrected: Iterable[Corrected]) -> None:
    """Put the row that a correction names in the place of the one it had."""
    found: dict[Place, Sums] = {}
    unfilled = _unfilled(driver)
    for record in corrected:
        (seq,) = driver.execute("SELECT seq FROM attempts WHERE id = ?", (record.row.id,)).fetchone()
        if seq not in unfilled:
            for row, sign in ((record.was, -1), (record.row, 1)):
                _count(found, row, _labels(driver, row), sign)
    _keep(driver, found)


def add_flags(driver: sqlite3.Connection, new: Iterable[tuple[str, str]]) -> None:
    """Add the attempts of these calls, each under a flag it had not before."""
    found: dict[Place, Sums] = {}
    unfilled = _unfilled(driver)
    for request_id, flag in new:
        for seq, *columns in driver.execute(_OF_CALL, (f"{request_id}.", f"{request_id}/")):
            if seq not in unfilled:
                _count(found, Row(*columns), [("flag", flag)], 1)
    _keep(driver, found)


def is_filled(driver: sqlite3.Connection) -> bool:
    """Whether every row of the ledger is in here."""
    return not _unfilled(driver)


def fill(driver: sqlite3.Connection) -> bool:
    """Add some of the rows that were there before; True when there are more."""
    unfilled = _unfilled(driver)
    if not unfilled:
        return False
    until = min(unfilled.start - 1 + _SCANNED_AT_ONCE, unfilled.stop - 1)
    found: dict[Place, Sums] = {}
    for columns in driver.execute(_LABELLED, (unfilled.start - 1, until)).fetchall():
        row = Row(*columns)
        _count(found, row, _labels(driver, row), 1)
    _keep(driver, found)
    driver.execute("UPDATE rollup_state SET labels_seq = ?", (until,))
    return until < unfilled.stop - 1


def _unfilled(driver: sqlite3.Connection) -> range:
    """The numbers of the rows that are still to come."""
    filled, until = driver.execute(_STATE).fetchone()
    return range(filled + 1, until + 1)


def _labels(driver: sqlite3.Connection, row: Row) -> list[Label]:
    flags = [("flag", flag) for (flag,) in driver.execute(_FLAGS, (row.request_id,))]
    return [("session", row.session), *flags] if row.session else flags


def _count(found: dict[Place, Sums], row: Row, labels: Iterable[Label], sign: int) -> None:
    for kind, label in labels:
        place = kind, row.at_ms // HOUR_MS, label, names_of(row)
        found.setdefault(place, Sums()).add_row(row, sign)


def _keep(driver: sqlite3.Connection, found: dict[Place, Sums]) -> None:
    rows = [(kind, hour, label, *names, *one.columns()) for (kind, hour, label, names), one in found.items()]
    driver.executemany(_ADD, rows)
