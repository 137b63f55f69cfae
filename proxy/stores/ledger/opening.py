"""Making the ledger's file ready at start: created, migrated or refused, and never replaced."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from proxy.stores.database import connect, engine_for, trouble
from proxy.stores.failures import LedgerDamaged
from proxy.stores.ledger.known import REVISIONS, revision_of

TABLES = Path(__file__).with_name("tables.sql")  # written by tools/make_tables.py
MOST_CHECKED_BYTES = 2 * 2**20  # as a whole, at start: more would be felt
MOST_CHECKED_LATER_BYTES = 64 * 2**20  # before the first row is written
_OPERATIONS = 100_000  # of SQLite's machine, between two looks at the clock
_NEW = "BEGIN IMMEDIATE; {tables} INSERT INTO alembic_version VALUES ('{revision}'); INSERT INTO rollup_state VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0); COMMIT;"
_ASKED_AT_START = ("alembic_version", "journal_position", "budget_spent", "keys", "configured_keys")


def open_ledger(path: Path) -> None:
    """Raises `LedgerDamaged` or `LedgerTooNew`, and `LedgerUnavailable` while another process has it locked."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its side files the same mode
    try:
        with closing(connect(path)) as driver:
            revision = _revision_of_sound(driver, path)
            if revision is None:
                driver.executescript(_NEW.format(tables=TABLES.read_text(), revision=REVISIONS[-1]))
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    if revision not in (None, REVISIONS[-1]):
        _upgrade(path)


def inspect_ledger(path: Path, seconds: float) -> bool:
    """Read all of it, changing nothing; False where that took longer.

    Raises `LedgerDamaged` or `LedgerTooNew`, and `LedgerUnavailable` while it cannot be read.
    """
    until = time.monotonic() + seconds
    try:
        with closing(connect(path, "ro")) as driver:
            revision_of(driver, path)
            driver.set_progress_handler(lambda: time.monotonic() > until, _OPERATIONS)
            _check(driver, path)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return False
        raise trouble(path, error) from error
    return True


def check_before_writing(driver: sqlite3.Connection, path: Path) -> None:
    """What a start has left out, for whoever has the time. Raises `LedgerDamaged` or sqlite3.Error."""
    if MOST_CHECKED_BYTES < path.stat().st_size <= MOST_CHECKED_LATER_BYTES:
        _check(driver, path)


def _upgrade(path: Path) -> None:
    from sqlalchemy.exc import DBAPIError

    from proxy.stores.ledger.upgrade import upgrade  # alembic is slow to import and rarely needed

    try:
        with engine_for(path).begin() as connection:
            upgrade(connection)
    except DBAPIError as error:
        raise trouble(path, error) from error


def _revision_of_sound(driver: sqlite3.Connection, path: Path) -> str | None:
    """Small files are checked as a whole, of large ones what a start reads."""
    if path.stat().st_size <= MOST_CHECKED_BYTES:
        _check(driver, path)
        return revision_of(driver, path)
    revision = revision_of(driver, path)
    for table in _ASKED_AT_START if revision else ():
        _check(driver, path, f"'{table}'")
    return revision


def _check(driver: sqlite3.Connection, path: Path, what: str = "1") -> None:
    """`what`: a table, or how many problems of the whole file are looked for."""
    found = [str(line) for (line,) in driver.execute(f"PRAGMA quick_check({what})")]
    if found != ["ok"]:
        raise LedgerDamaged(str(path), "; ".join(found))
