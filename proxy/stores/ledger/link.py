"""The writer thread's connection to the ledger's file: opened again when it fails, refused when it was replaced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from proxy.stores.database import connect, engine_for, is_damage, sentence_of, trouble
from proxy.stores.failures import LedgerDamaged, LedgerReplaced, LedgerUnavailable, StoreError
from proxy.stores.journal.records import Charge, Record
from proxy.stores.journal.segments import Position
from proxy.stores.ledger import asked_quarters, known, label_rollups, ledger, rollups, sums
from proxy.stores.ledger.asked_quarters import Asked
from proxy.stores.ledger.opening import check_before_writing
from proxy.stores.ledger.statements import no_pause
from proxy.stores.ledger.sums import Fresh, Unsummed

if TYPE_CHECKING:
    from sqlalchemy import Connection

ResultT = TypeVar("ResultT")
Batch = Sequence[tuple[Position, Record]]  # each with the position behind it
# is shown, within the transaction, which periods of budgets have spent another sum; what it returns is called behind it
Look = Callable[[sqlite3.Connection, Iterable[Charge]], Callable[[], object]]


class Link:
    """Every method opens the connection when there is none, and raises whatever the database says."""

    def __init__(self, path: Path, busy_seconds: float, pause: Callable[[], object] = no_pause) -> None:
        """`path` exists, made ready by `open_ledger`; one that is gone later is never made anew. `pause` lets other work in
        between what takes long."""
        self.look: Look = _nobody_looks
        self.looked_at: Container[str] = ()  # the budgets it looks for
        self.rejected = 0
        self._unsummed = Unsummed()
        self._asked: set[Asked] = set()  # that are in the file
        self._path = path
        self._busy_seconds = busy_seconds
        self._pause = pause
        self._open: sqlite3.Connection | None = None
        self._was_open = False
        self._file: tuple[int, int] | None = _identity(path)

    def position(self) -> Position:
        """Up to where the ledger has the journal."""
        return self._within(known.position)

    def add(self, records: Sequence[Record], end: Position, *, are_many: bool = True) -> Position:
        """Add records, all of them or none, and let somebody look, in one transaction; `end` is the position behind them.
        What many add to sums waits for `sum_up`."""
        unsummed = self._unsummed

        def work(driver: sqlite3.Connection) -> tuple[Callable[[], object], Fresh, bool]:
            changed, fresh = ledger.take(driver, records, end, self.looked_at if are_many else None, self._asked)
            is_kept = not are_many and unsummed.has_all_before(fresh)
            if is_kept:
                sums.keep(driver, fresh)
            return self.look(driver, changed), fresh, is_kept

        try:
            tell, fresh, is_kept = self._within(work)
        except BaseException:
            self._asked.clear()  # which may have what was taken back
            raise
        self._unsummed = Unsummed(fresh.until) if is_kept else unsummed.take(fresh)
        tell()
        return end

    @property
    def has_unsummed(self) -> bool:
        """Whether there may be rows that are not in the sums."""
        return not self._unsummed.is_empty

    def sum_up(self, *, at_once: bool = True) -> None:
        """Bring all there is into the sums, or only what has waited long enough."""
        while not self._unsummed.is_empty and (at_once or self._unsummed.is_due):
            self._unsummed = self._within(partial(sums.bring_up, unsummed=self._unsummed, pause=self._pause))

    def apply(self, batch: Batch, end: Position | None = None) -> Position:
        """Add a batch. A record the tables refuse does not hold up the others: it is counted in `rejected`."""
        end = end or batch[-1][0]
        try:
            return self.add([record for _, record in batch], end)
        except Exception as error:
            if isinstance(error, sqlite3.OperationalError | StoreError) or is_damage(error) or not batch:
                raise
            for single in batch:
                self._apply_single(*single)
        return end

    def checkpoint(self) -> bool:
        """Bring everything into the main file, on disk; False while a reader is in the way."""
        _, pages, done = self._driver().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(pages == done)

    def prune(self, before_ms: int | None) -> bool:
        """Remove some old rows, and minutes of roll-ups whatever is kept; True when there may be more."""
        self.sum_up()
        self._asked.clear()
        return self._within(lambda driver: ledger.prune(driver, before_ms))

    def fill(self) -> bool:
        """Bring some older rows into the roll-ups; True when there are more."""
        return self._within(
            lambda driver: rollups.fill(driver) or label_rollups.fill(driver) or asked_quarters.fill(driver)
        )

    def is_gone(self) -> bool:
        """Whether the file, or the log beside it, was removed or replaced since it was opened, or is out of reach."""
        try:
            return self._file is not None and (_identity(self._path) != self._file or self._has_lost_log())
        except LedgerUnavailable:
            return True

    def _has_lost_log(self) -> bool:
        return self._open is not None and not os.path.exists(f"{self._path}-wal")

    def run(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Any work of others, in a transaction. What the database says of it is raised as a `StoreError`."""
        from sqlalchemy.exc import DBAPIError

        try:
            with engine_for(self._driver()).begin() as connection:
                return work(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise trouble(self._path, error) from error

    def do(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """The same for plain SQL."""
        try:
            return self._within(work)
        except sqlite3.Error as error:
            raise trouble(self._path, error) from error

    def _within(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        driver = self._driver()
        driver.execute("BEGIN IMMEDIATE")
        with driver:  # commits, or rolls back
            return work(driver)

    def lost(self, error: Exception) -> StoreError:
        """Close the connection after `error`; what it is to whoever asked."""
        if not isinstance(error, LedgerReplaced):
            self.close()
            self._file = self._file if self._was_open else None  # one that was of no use from the start may be replaced
        if isinstance(error, StoreError):
            return error
        return trouble(self._path, error) if isinstance(error, sqlite3.Error) else LedgerUnavailable(sentence_of(error))

    def close(self) -> None:
        """Give the file back."""
        driver, self._open = self._open, None
        if driver is not None:
            with contextlib.suppress(sqlite3.Error):
                driver.close()

    def _driver(self) -> sqlite3.Connection:
        found = _identity(self._path)
        if found != (self._file or found):  # a stale -wal would be mixed into the new file
            raise LedgerReplaced(str(self._path))
        if self._has_lost_log():
            self.close()  # what it had comes into the file with that
        if self._open is None:
            try:
                self._open = self._connect()
            except (OSError, sqlite3.Error) as error:
                if _identity(self._path) != found:  # it went while it was opened
                    raise LedgerReplaced(str(self._path)) from error
                raise
            self._file, self._was_open = found, True
            self._unsummed, self._asked = Unsummed(), set()
        return self._open

    def _connect(self) -> sqlite3.Connection:
        driver = connect(self._path, "rw", self._busy_seconds)
        try:
            self._look(driver)
        except BaseException:
            driver.close()
            raise
        return driver

    def _look(self, driver: sqlite3.Connection) -> None:
        if known.revision_of(driver, self._path) != known.REVISIONS[-1]:
            raise LedgerDamaged(str(self._path), "its tables are not those the daemon started with")
        if not self._was_open:
            check_before_writing(driver, self._path)

    def _apply_single(self, position: Position, record: Record) -> None:
        try:
            self.add([record], position)
        except Exception as error:
            if isinstance(error, sqlite3.OperationalError | StoreError) or is_damage(error):
                raise
            self.rejected += 1
            self.add([], position)


def _nobody_looks(_: sqlite3.Connection, __: Iterable[Charge]) -> Callable[[], object]:
    return _nothing


def _nothing() -> None:
    """There is nothing to be told."""


def _identity(path: Path) -> tuple[int, int]:
    """Which file this is, whatever its name. Raises `LedgerUnavailable`."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    except OSError as error:
        raise LedgerUnavailable(f"{path}: {error.strerror or error}") from error
    return found.st_dev, found.st_ino
