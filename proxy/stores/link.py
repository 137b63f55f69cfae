"""The writer thread's connection to the ledger's file: opened again when it fails, refused when it was replaced."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from proxy.stores.database import engine_for, is_damage, raw, sentence_of, trouble
from proxy.stores.failures import LedgerDamaged, LedgerReplaced, StoreError
from proxy.stores.known import REVISIONS, position, revision_of
from proxy.stores.records import Record
from proxy.stores.segments import Position

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

ResultT = TypeVar("ResultT")
Batch = Sequence[tuple[Position, Record]]


class Link:
    """Every method opens the connection when there is none, and raises whatever the database says."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """`path` exists, made ready by `open_ledger`; one that is gone later is never made anew."""
        self.rejected = 0
        self._path = path
        self._busy_seconds = busy_seconds
        self._engine: Engine | None = None
        self._open: Connection | None = None
        self._was_open = False
        self._file: tuple[int, int] | None = _identity(path)

    def position(self) -> Position:
        """Up to where the ledger has the journal."""
        return self._within(lambda connection: position(raw(connection)))

    def apply(self, batch: Batch, end: Position | None = None) -> Position:
        """Add a batch. A record the tables refuse does not hold up the others: it is counted in `rejected`."""
        from sqlalchemy.exc import OperationalError

        from proxy.stores import ledger

        try:
            self._within(lambda connection: ledger.apply(connection, batch, end))
        except Exception as error:
            if isinstance(error, OperationalError) or is_damage(error) or not batch:
                raise
            for single in batch:
                self._apply_single(single)
        return end or batch[-1][0]

    def checkpoint(self) -> bool:
        """Bring everything into the main file, on disk; False while a reader is in the way."""
        _, pages, done = raw(self._connection()).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(pages == done)

    def prune(self, before_ms: int) -> bool:
        """Remove some old rows; True when there may be more."""
        from proxy.stores import ledger

        return self._within(lambda connection: ledger.prune(connection, before_ms))

    def is_gone(self) -> bool:
        """Whether the file, or the log beside it, was removed or replaced since it was opened."""
        return self._file is not None and (_identity(self._path) != self._file or self._has_lost_log())

    def _has_lost_log(self) -> bool:
        return self._open is not None and not os.path.exists(f"{self._path}-wal")

    def run(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Any work of others, in a transaction. What the database says of it is raised as a `StoreError`."""
        from sqlalchemy.exc import DBAPIError

        try:
            return self._within(work)
        except (DBAPIError, sqlite3.Error) as error:
            raise trouble(self._path, error) from error

    def _within(self, work: Callable[[Connection], ResultT]) -> ResultT:
        connection = self._connection()
        with connection.begin():
            return work(connection)

    def lost(self, error: Exception) -> str:
        """Close the connection after `error`, and say what it was."""
        if not isinstance(error, LedgerReplaced):
            self.close()
            self._file = self._file if self._was_open else None  # one that was of no use from the start may be replaced
        if is_damage(error):
            return str(LedgerDamaged(str(self._path), sentence_of(error)))
        return str(error) if isinstance(error, StoreError) else sentence_of(error)

    def close(self) -> None:
        """Give the file back."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _connection(self) -> Connection:
        found = _identity(self._path)
        if found != (self._file or found):  # a stale -wal would be mixed into the new file
            raise LedgerReplaced(str(self._path))
        if self._has_lost_log():
            self.close()  # what it had comes into the file with that
        if self._open is None:
            self._engine = self._engine or engine_for(self._path, self._busy_seconds)
            connection = self._engine.connect()
            try:
                self._look(connection)
            except BaseException:
                connection.close()
                raise
            self._open, self._file, self._was_open = connection, found, True
        return self._open

    def _look(self, connection: Connection) -> None:
        with connection.begin():
            revision = revision_of(raw(connection), self._path)
        if revision != REVISIONS[-1]:
            raise LedgerDamaged(str(self._path), "its tables are not those the daemon started with")

    def _apply_single(self, single: tuple[Position, Record]) -> None:
        from sqlalchemy.exc import OperationalError

        from proxy.stores import ledger

        try:
            self._within(lambda connection: ledger.apply(connection, [single]))
        except Exception as error:
            if isinstance(error, OperationalError) or is_damage(error):
                raise
            self.rejected += 1
            self._within(lambda connection: ledger.apply(connection, [], single[0]))


def _identity(path: Path) -> tuple[int, int]:
    """Which file this is, whatever its name."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino
