"""Replies kept under the Idempotency-Keys of clients, in the database of jobs. One transaction a function."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from proxy.stores.jobs.jobs import JobStore

KEEP_MS = 24 * 3600 * 1000

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
  key TEXT NOT NULL, once TEXT NOT NULL, digest BLOB NOT NULL, request_id TEXT NOT NULL, created_ms INTEGER NOT NULL,
  state TEXT NOT NULL, size INTEGER NOT NULL, sealed BLOB,
  PRIMARY KEY (key, once)
) STRICT
"""


class KeptReply(Struct, frozen=True):
    """What is known of a request: `pending`, its reply is `kept`, or `gone`."""

    digest: bytes
    request_id: str
    state: Literal["pending", "kept", "gone"]
    sealed: bytes


class ReplyStore:
    """Over the database of jobs; one caller at a time."""

    def __init__(self, jobs: JobStore) -> None:
        """The table is made where there is none."""
        self._jobs = jobs
        with jobs.writing() as driver:
            driver.execute(_TABLE)
            driver.execute("CREATE INDEX IF NOT EXISTS ix_replies_created ON replies (created_ms)")

    def claim(self, key: str, once: str, digest: bytes, by: tuple[str, int]) -> KeptReply | None:
        """What there is, or None: then it is this one's. `by`: the request's id, and when (UTC epoch milliseconds)."""
        request_id, now_ms = by
        with self._jobs.writing() as driver:
            driver.execute("DELETE FROM replies WHERE created_ms < ?", (now_ms - KEEP_MS,))
            sql = "SELECT digest, request_id, state, sealed FROM replies WHERE key = ? AND once = ?"
            found = driver.execute(sql, (key, once)).fetchone()
            if found is None:
                row = (key, once, digest, request_id, now_ms)
                driver.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, 'pending', 0, NULL)", row)
        return None if found is None else KeptReply(found[0], found[1], found[2], found[3] or b"")

    def take_over(self, key: str, once: str, request_id: str, now_ms: int) -> None:
        """A request that was never sent is another one's now."""
        with self._jobs.writing() as driver:
            sql = "UPDATE replies SET request_id = ?, created_ms = ? WHERE key = ? AND once = ?"
            driver.execute(sql, (request_id, now_ms, key, once))

    def keep(self, key: str, once: str, sealed: bytes, most_bytes: int) -> None:
        """Its reply is there; of all together `most_bytes` are kept, the newest."""
        with self._jobs.writing() as driver:
            sql = "UPDATE replies SET state = 'kept', size = ?, sealed = ? WHERE key = ? AND once = ?"
            driver.execute(sql, (len(sealed), sealed, key, once))
            over = driver.execute("SELECT coalesce(sum(size), 0) FROM replies").fetchone()[0] - most_bytes
            while over > 0:
                oldest = "SELECT key, once, size FROM replies WHERE size > 0 ORDER BY created_ms LIMIT 1"
                first, second, size = driver.execute(oldest).fetchone()
                dropping = "UPDATE replies SET state = 'gone', size = 0, sealed = NULL WHERE key = ? AND once = ?"
                driver.execute(dropping, (first, second))
                over -= size

    def lose(self, key: str, once: str) -> None:
        """It was made, and there is no reply to give."""
        with self._jobs.writing() as driver:
            sql = "UPDATE replies SET state = 'gone', size = 0, sealed = NULL WHERE key = ? AND once = ?"
            driver.execute(sql, (key, once))

    def free(self, key: str, once: str) -> None:
        """It failed: the key may be used again."""
        with self._jobs.writing() as driver:
            driver.execute("DELETE FROM replies WHERE key = ? AND once = ?", (key, once))
