"""What clients are told of their jobs by webhook, in the database of jobs: made due in the transaction that ends a job.

An address is one path of a host, as one key asks for it. After `OFF_AFTER` messages in a row that were given up, or one
that was answered 410, nothing more goes there until one is sent again by hand and taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from proxy.stores.database import marks
from proxy.stores.jobs.job_rows import OF_TENANTS, Job, Tenants, listed
from proxy.stores.jobs.jobs import JobStore, put_job

OFF_AFTER = 3

_TABLE = """
CREATE TABLE IF NOT EXISTS deliveries (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, key TEXT NOT NULL, host TEXT NOT NULL,
  address TEXT NOT NULL, sealed TEXT NOT NULL, made_ms INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
  reason TEXT NOT NULL, tries INTEGER NOT NULL, ended_ms INTEGER
) STRICT
"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS ix_deliveries_job ON deliveries (job)",
    "CREATE INDEX IF NOT EXISTS ix_deliveries_state ON deliveries (state)",
    "CREATE INDEX IF NOT EXISTS ix_deliveries_address ON deliveries (address, ended_ms)",
)
State = Literal["pending", "waiting", "delivered", "given_up", "gone", "dropped", "off"]


class Delivery(Struct, frozen=True):
    """A message about a job. `pending`: the job is under way; `off`: nobody was asked to take it. `sealed` is its address
    with what signs. Times are UTC epoch milliseconds."""

    id: str
    job: str
    key: str
    host: str
    address: str
    sealed: str
    made_ms: int
    state: State = "pending"
    body: str = ""
    reason: str = ""
    tries: int = 0
    ended_ms: int | None = None


class Off(Struct, frozen=True):
    """An address that nothing is sent to any more, and why."""

    key: str
    host: str
    reason: str
    since_ms: int


_FIELDS = ", ".join(Delivery.__struct_fields__)


class Deliveries:
    """Over the database of jobs; one caller at a time."""

    def __init__(self, jobs: JobStore) -> None:
        """The table is made where there is none."""
        self._jobs = jobs
        with jobs.writing() as driver:
            for statement in (_TABLE, *_INDEXES):
                driver.execute(statement)

    def add(self, wanted: Delivery) -> None:
        """Somebody wants to be told of a job that comes now."""
        row = tuple(getattr(wanted, name) for name in Delivery.__struct_fields__)
        with self._jobs.writing() as driver:
            driver.execute(f"INSERT INTO deliveries ({_FIELDS}) VALUES ({marks(row)})", row)

    def end(self, job: Job, word: Callable[[Job, str], str], now_ms: int) -> Delivery | None:
        """The job is over; whoever wants to be told is now to be told `word` of it under the message's id. None: nobody."""
        with self._jobs.writing() as driver:
            put_job(driver, job)
            found = _found(driver, "job = ? AND state = 'pending'", job.id)
            if not found:
                return None
            wanted = found[0]
            counted = driver.execute("SELECT completed, failed FROM jobs WHERE id = ?", (job.id,)).fetchone()
            body = word(replace(job, completed=counted[0], failed=counted[1]), wanted.id)
            is_off = _is_off(driver, wanted.address)
            state, ended = ("off", now_ms) if is_off else ("waiting", None)
            setting = "UPDATE deliveries SET state = ?, body = ?, made_ms = ?, ended_ms = ? WHERE id = ?"
            driver.execute(setting, (state, body, now_ms, ended, wanted.id))
            return None if is_off else _found(driver, "id = ?", wanted.id)[0]

    def waiting(self) -> list[Delivery]:
        """What is to be sent, oldest first."""
        with self._jobs.writing() as driver:
            return _found(driver, "state = 'waiting' ORDER BY made_ms")

    def tried(self, message_id: str, tries: int) -> None:
        """It was not taken so often, and waits to be tried again."""
        with self._jobs.writing() as driver:
            driver.execute("UPDATE deliveries SET tries = ? WHERE id = ? AND state = 'waiting'", (tries, message_id))

    def over(self, message_id: str, outcome: str, about: tuple[str, int], now_ms: int) -> None:
        """It is not sent any more; `about`: why, and after how many tries."""
        with self._jobs.writing() as driver:
            sql = "UPDATE deliveries SET state = ?, reason = ?, tries = ?, ended_ms = ? WHERE id = ? AND state = 'waiting'"
            driver.execute(sql, (outcome, *about, now_ms, message_id))

    def again(self, message_id: str, tenants: Tenants, now_ms: int) -> Delivery | None:
        """Send it once more, whatever has become of it. None: there is none of these tenants that has a word."""
        with self._jobs.writing() as driver:
            if not _found(driver, f"id = ? {OF_TENANTS}", message_id, *listed(tenants)):
                return None
            sql = "UPDATE deliveries SET state = 'waiting', made_ms = ?, ended_ms = NULL, tries = 0 WHERE id = ? AND state != 'pending'"
            driver.execute(sql, (now_ms, message_id))
            found = _found(driver, "id = ? AND state = 'waiting'", message_id)
        return found[0] if found else None

    def newest(self, most: int, tenants: Tenants) -> list[Delivery]:
        """The last ones of these tenants, the newest first."""
        where = f"state != 'pending' {OF_TENANTS} ORDER BY made_ms DESC, seq DESC LIMIT ?"
        with self._jobs.writing() as driver:
            return _found(driver, where, *listed(tenants), most)

    def forget(self, before_ms: int) -> None:
        """Those that are over since before then, and those whose job is not there any more."""
        with self._jobs.writing() as driver:
            driver.execute("DELETE FROM deliveries WHERE ended_ms < ?", (before_ms,))
            gone = "DELETE FROM deliveries WHERE state = 'pending' AND job NOT IN (SELECT id FROM jobs) AND made_ms < ?"
            driver.execute(gone, (before_ms,))


def switched_off(driver: sqlite3.Connection) -> list[Off]:
    """The addresses that nothing is sent to any more."""
    found = []
    for (address,) in driver.execute("SELECT DISTINCT address FROM deliveries").fetchall():
        if _is_off(driver, address):
            last = _last(driver, address, 1)[0]
            found.append(Off(last.key, last.host, last.reason, last.ended_ms or 0))
    return found


def _is_off(driver: sqlite3.Connection, address: str) -> bool:
    last = [one.state for one in _last(driver, address, OFF_AFTER)]
    return last[:1] == ["gone"] or last == ["given_up"] * OFF_AFTER


def _last(driver: sqlite3.Connection, address: str, most: int) -> list[Delivery]:
    """How the last ones that were tried ended."""
    tried = "address = ? AND state IN ('delivered', 'given_up', 'gone') ORDER BY ended_ms DESC, seq DESC LIMIT ?"
    return _found(driver, tried, address, most)


def _found(driver: sqlite3.Connection, where: str, *values: object) -> list[Delivery]:
    rows = driver.execute(f"SELECT {_FIELDS} FROM deliveries WHERE {where}", values)
    return [Delivery(*row) for row in rows]
