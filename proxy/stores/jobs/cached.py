"""Replies kept for calls to come, in the database of jobs. One transaction a function."""

from __future__ import annotations

import time

from msgspec import Struct
from msgspec.structs import astuple

from proxy.stores.jobs.jobs import JobStore

_TABLE = """
CREATE TABLE IF NOT EXISTS cached (
  owner TEXT NOT NULL, digest BLOB NOT NULL, scope TEXT NOT NULL, at_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
  size INTEGER NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (owner, digest)
) STRICT
"""
_INDEXES = ("(scope, at_ms)", "(expires_ms)")


class Entry(Struct, frozen=True):
    """A kept reply: whose, of what, the entry whose `max_bytes` it counts for, and until when (UTC epoch milliseconds)."""

    owner: str
    digest: bytes
    scope: str
    at_ms: int
    expires_ms: int
    size: int
    sealed: bytes


class CacheStore:
    """Over the database of jobs; one caller at a time."""

    def __init__(self, jobs: JobStore) -> None:
        """The table is made where there is none."""
        self._jobs = jobs
        self._sizes: dict[str, int] = {}  # of all in a scope
        with jobs.writing() as driver:
            driver.execute(_TABLE)
            for number, columns in enumerate(_INDEXES):
                driver.execute(f"CREATE INDEX IF NOT EXISTS ix_cached_{number} ON cached {columns}")

    def find(self, owner: str, digest: bytes) -> Entry | None:
        """What is kept, if its time is not over."""
        sql = "SELECT * FROM cached WHERE owner = ? AND digest = ? AND expires_ms > ?"
        with self._jobs.writing() as driver:
            found = driver.execute(sql, (owner, digest, _now_ms())).fetchone()
        return None if found is None else Entry(*found)

    def keep(self, entry: Entry, most_bytes: int) -> None:
        """Keep it in the place of what there was; of its scope `most_bytes`, the newest."""
        if entry.size > most_bytes:
            return
        self.expire()
        with self._jobs.writing() as driver:
            scope = entry.scope
            if scope not in self._sizes:
                sized = driver.execute("SELECT coalesce(sum(size), 0) FROM cached WHERE scope = ?", (scope,))
                self._sizes[scope] = sized.fetchone()[0]
            taken = "DELETE FROM cached WHERE owner = ? AND digest = ? RETURNING scope, size"
            for of, size in driver.execute(taken, (entry.owner, entry.digest)).fetchall():
                self._grow(of, -size)
            driver.execute("INSERT INTO cached VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(entry))
            self._grow(scope, entry.size)
            while self._sizes[scope] > most_bytes:
                oldest = "SELECT rowid, size FROM cached WHERE scope = ? ORDER BY at_ms LIMIT 1"
                rowid, size = driver.execute(oldest, (scope,)).fetchone()
                driver.execute("DELETE FROM cached WHERE rowid = ?", (rowid,))
                self._grow(scope, -size)

    def expire(self) -> None:
        """Remove those whose time is over."""
        with self._jobs.writing() as driver:
            gone = driver.execute("DELETE FROM cached WHERE expires_ms <= ? RETURNING scope, size", (_now_ms(),))
            for scope, size in gone.fetchall():
                self._grow(scope, -size)

    def _grow(self, scope: str, size: int) -> None:
        if scope in self._sizes:
            self._sizes[scope] += size


def _now_ms() -> int:
    return int(time.time() * 1000)
