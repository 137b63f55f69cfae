"""Opening the ledger's SQLite file: every setting in one place, real transactions, errors named."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

Access = Literal["rw", "ro"]

_BUSY_SECONDS = 5.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA cache_size = -8192",
)
_SETTINGS_OF: dict[Access, tuple[str, ...]] = {
    # NORMAL is enough: after a power cut the journal adds what the last commits had. That is why
    # segments are only removed behind a checkpoint.
    "rw": ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA journal_size_limit = 67108864"),
    "ro": ("PRAGMA query_only = ON",),
}
_BEGIN: dict[Access, str] = {"rw": "BEGIN IMMEDIATE", "ro": "BEGIN"}


def engine_for(path: Path, access: Access = "rw", busy_seconds: float = _BUSY_SECONDS) -> Engine:
    """An engine over an existing file; it never creates one."""

    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(str(path))}?mode={access}"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        try:
            for setting in _SETTINGS + _SETTINGS_OF[access]:
                connection.execute(setting)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_BEGIN[access])

    return engine


def raw(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection, for what must run outside a transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def is_damage(error: Exception) -> bool:
    """True when SQLite says that the file itself is broken."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return isinstance(code, int) and (code & 0xFF) in _DAMAGE


def sentence_of(error: Exception) -> str:
    """What the driver said, without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {cause}"
