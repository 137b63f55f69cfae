"""Opening the ledger's SQLite file: every setting in one place, real transactions, errors named.

What every call writes, and all that is read, is plain SQL over the driver. SQLAlchemy is for migrations, and for changes
put together; it takes as long to import as all else a start does, and a fifth of the memory, so that it comes when it is
first used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sized
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from proxy.stores.failures import LedgerDamaged, LedgerUnavailable, StoreError
from proxy.stores.ledger.histogram import merged

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Access = Literal["rw", "ro"]

_BUSY_SECONDS = 5.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CLOSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
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


def connect(path: Path, access: Access = "rw", busy_seconds: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """A connection to an existing file, which is never created; transactions begin by BEGIN. Raises sqlite3.Error."""
    uri = f"file:{quote(str(path))}?mode={access}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS + _SETTINGS_OF[access]:
            connection.execute(setting)
        connection.create_function("merged", 2, merged, deterministic=True)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


_AS_IT_IS: dict[None, None] = {}
# The driver asks whatever is no plain number or text how to be kept: of None and bool, of which every row has some, it
# takes longer over that than over everything else. Both are kept as what they are.
sqlite3.register_adapter(type(None), _AS_IT_IS.get)
sqlite3.register_adapter(bool, int)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One moment of the file, changing nothing. Raises `LedgerDamaged` or `LedgerUnavailable`."""
    try:
        with closing(connect(path, "ro")) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def marks(values: Sized) -> str:
    """What stands in a statement for each of so many values."""
    return ", ".join("?" * len(values))


def engine_for(file: Path | sqlite3.Connection, busy_seconds: float = _BUSY_SECONDS) -> Engine:
    """SQLAlchemy over an existing file, to write in, which is never created; or over a connection that stays open."""
    from sqlalchemy import NullPool, StaticPool, create_engine, event

    def opened() -> sqlite3.Connection:
        return connect(file, "rw", busy_seconds) if isinstance(file, Path) else file

    pool = NullPool if isinstance(file, Path) else StaticPool
    engine = create_engine("sqlite+pysqlite://", creator=opened, poolclass=pool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def raw(connection: Connection | sqlite3.Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    if isinstance(connection, sqlite3.Connection):
        return connection
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def is_busy(error: Exception) -> bool:
    """True when another process has the file locked."""
    return _code_of(error) in _BUSY


def is_damage(error: Exception) -> bool:
    """True when SQLite says that the file itself is broken."""
    return _code_of(error) in _DAMAGE


def sentence_of(error: Exception) -> str:
    """What the driver said, without the statement and its parameters."""
    cause = _cause(error)
    return f"{type(cause).__name__}: {cause}"


def trouble(path: Path, error: Exception) -> StoreError:
    """What an error of the driver's or SQLAlchemy's is to whoever asked."""
    if is_damage(error):
        return LedgerDamaged(str(path), sentence_of(error))
    also = (
        f"; even to be read, it needs a folder this user can write to: {path.parent}"
        if _code_of(error) in _CLOSED
        else ""
    )
    return LedgerUnavailable(f"{_cause(error)}{also}")


def _code_of(error: Exception) -> int:
    """SQLite's primary code; 0 where it is none of its errors."""
    code = getattr(_cause(error), "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


def _cause(error: Exception) -> object:
    """SQLAlchemy's errors hold the driver's."""
    return getattr(error, "orig", None) or error
