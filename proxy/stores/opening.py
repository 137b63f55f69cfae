"""Making the ledger's file ready at start: created, migrated or refused, and never replaced."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from proxy.stores.database import engine_for, is_damage, raw, sentence_of
from proxy.stores.failures import LedgerDamaged, LedgerTooNew
from proxy.stores.schema import REVISIONS, alembic_version, metadata

MOST_CHECKED_BYTES = 64 * 2**20  # checking more would be felt at start
_OPERATIONS = 100_000  # of SQLite's machine, between two looks at the clock


def open_ledger(path: Path) -> None:
    """Raises `LedgerDamaged` or `LedgerTooNew`, and DBAPIError while another process has it locked."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its side files the same mode
    engine = engine_for(path)
    try:
        with engine.connect() as connection:
            if path.stat().st_size <= MOST_CHECKED_BYTES:
                _check(connection, path)
            with connection.begin():
                _make_current(connection, path)
    except DBAPIError as error:
        if is_damage(error):
            raise LedgerDamaged(str(path), sentence_of(error)) from error
        raise


def inspect_ledger(path: Path, seconds: float) -> bool:
    """Read all of it, changing nothing; False where that took longer.

    Raises `LedgerDamaged` or `LedgerTooNew`, and DBAPIError while it cannot be read.
    """
    until = time.monotonic() + seconds
    try:
        with engine_for(path, "ro").connect() as connection:
            with connection.begin():
                refuse_newer(path, revision_of(connection, path) or "")
            raw(connection).set_progress_handler(lambda: time.monotonic() > until, _OPERATIONS)
            _check(connection, path)
    except (DBAPIError, sqlite3.Error) as error:
        if is_damage(error):
            raise LedgerDamaged(str(path), sentence_of(error)) from error
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    return True


def revision_of(connection: Connection, path: Path) -> str | None:
    """The schema revision; "" where no migration ran yet, None for an empty file. Inside the caller's transaction."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if alembic_version.name not in tables:
        raise LedgerDamaged(str(path), "it is a database of something else")
    return connection.scalar(select(alembic_version.c.version_num)) or ""


def refuse_newer(path: Path, revision: str) -> None:
    """Raises `LedgerTooNew` for a revision this version has never heard of."""
    if revision and revision not in REVISIONS:
        raise LedgerTooNew(str(path), revision)


def _check(connection: Connection, path: Path) -> None:
    found = [str(line) for (line,) in raw(connection).execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise LedgerDamaged(str(path), "; ".join(found))


def _make_current(connection: Connection, path: Path) -> None:
    revision = revision_of(connection, path)
    if revision is None:
        metadata.create_all(connection)
        alembic_version.create(connection)
        connection.execute(insert(alembic_version), {"version_num": REVISIONS[-1]})
        return
    refuse_newer(path, revision)
    if revision != REVISIONS[-1]:
        from proxy.stores.upgrade import upgrade  # alembic is slow to import and rarely needed

        upgrade(connection)
