"""The writer thread's connection to the ledger's file: opened again when it fails, refused when it was replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from proxy.stores import ledger
from proxy.stores.database import engine_for, is_damage, raw, sentence_of
from proxy.stores.failures import LedgerDamaged, LedgerReplaced, StoreError
from proxy.stores.opening import refuse_newer, revision_of
from proxy.stores.records import Record
from proxy.stores.schema import REVISIONS
from proxy.stores.segments import Position

ResultT = TypeVar("ResultT")
Batch = Sequence[tuple[Position, Record]]


class Link:
    """Every method opens the connection when there is none, and raises whatever the database says."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """`path` exists, made ready by `open_ledger`; one that is gone later is never made anew."""
        self.rejected = 0
        self._path = path
        self._engine = engine_for(path, "rw", busy_seconds)
        self._open: Connection | None = None
        self._file: tuple[int, int] | None = None

    def position(self) -> Position:
        """Up to where the ledger has the journal."""
        return self.run(ledger.position)

    def apply(self, batch: Batch, position: Position | None = None) -> Position:
        """Add a batch. A record the tables refuse does not hold up the others: it is counted in `rejected`."""
        try:
            self.run(lambda connection: ledger.apply(connection, batch, position))
        except Exception as error:
            if isinstance(error, OperationalError) or is_damage(error) or not batch:
                raise
            for single in batch:
                self._apply_single(single)
        return position or batch[-1][0]

    def checkpoint(self) -> bool:
        """Bring everything into the main file, on disk; False while a reader is in the way."""
        _, pages, done = raw(self._connection()).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(pages == done)

    def prune(self, before_ms: int) -> bool:
        """Remove some old rows; True when there may be more."""
        return self.run(lambda connection: ledger.prune(connection, before_ms))

    def is_gone(self) -> bool:
        """Whether the file, or the log beside it, was removed or replaced since it was opened."""
        return self._file is not None and (_identity(self._path) != self._file or self._has_lost_log())

    def _has_lost_log(self) -> bool:
        return self._open is not None and not os.path.exists(f"{self._path}-wal")

    def run(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Any work, in a transaction."""
        connection = self._connection()
        with connection.begin():
            return work(connection)

    def lost(self, error: Exception) -> str:
        """Close the connection after `error`, and say what it was."""
        if not isinstance(error, LedgerReplaced):
            self.close()
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
            connection = self._engine.connect()
            try:
                self._look(connection)
            except BaseException:
                connection.close()
                raise
            self._open, self._file = connection, found
        return self._open

    def _look(self, connection: Connection) -> None:
        with connection.begin():
            revision = revision_of(connection, self._path)
        refuse_newer(self._path, revision or "")
        if revision != REVISIONS[-1]:
            raise LedgerDamaged(str(self._path), "its tables are not those the daemon started with")

    def _apply_single(self, single: tuple[Position, Record]) -> None:
        try:
            self.run(lambda connection: ledger.apply(connection, [single]))
        except Exception as error:
            if isinstance(error, OperationalError) or is_damage(error):
                raise
            self.rejected += 1
            self.run(lambda connection: ledger.apply(connection, [], single[0]))


def _identity(path: Path) -> tuple[int, int]:
    """Which file this is, whatever its name."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino
