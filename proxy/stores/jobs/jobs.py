"""Jobs and their files, in a database beside the ledger: what is to be done, what was begun, what came of it.

Every function is one transaction, so that a kill leaves nothing half. Results lie here sealed until their files are
written. Plain SQL; whoever calls is in a thread of its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from proxy.stores.database import connect, marks
from proxy.stores.jobs.job_rows import OF_TENANTS, OPEN, Handed, Job, KeptFile, Task, Tenants, listed

_VERSION = 3
_TABLES = """
CREATE TABLE files (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, filename TEXT NOT NULL, purpose TEXT NOT NULL, size INTEGER NOT NULL,
  created_ms INTEGER NOT NULL, expires_ms INTEGER, sealed_key TEXT NOT NULL
) STRICT;
CREATE INDEX ix_files_key ON files (key, created_ms);
CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, endpoint TEXT NOT NULL, input_file TEXT NOT NULL,
  window_seconds INTEGER NOT NULL, keep_seconds INTEGER NOT NULL, metadata TEXT NOT NULL, head TEXT NOT NULL,
  status TEXT NOT NULL, created_ms INTEGER NOT NULL, times TEXT NOT NULL, errors TEXT NOT NULL,
  total INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL,
  output_file TEXT NOT NULL, error_file TEXT NOT NULL, rank INTEGER NOT NULL DEFAULT 1,
  handed TEXT NOT NULL DEFAULT 'null', cost_pusd INTEGER NOT NULL DEFAULT 0, saved_pusd INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_key ON jobs (key, seq);
CREATE TABLE lines (
  job TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  state INTEGER NOT NULL, request_id TEXT NOT NULL, is_good INTEGER NOT NULL, result BLOB,
  PRIMARY KEY (job, number)
) WITHOUT ROWID, STRICT;
CREATE TABLE secrets (name TEXT PRIMARY KEY, sealed TEXT NOT NULL) STRICT;
CREATE INDEX ix_lines_state ON lines (job, state, number);
"""
_SINCE_1 = "ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 1"
_SINCE_2 = [
    "ALTER TABLE jobs ADD COLUMN handed TEXT NOT NULL DEFAULT 'null'",
    "ALTER TABLE jobs ADD COLUMN cost_pusd INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN saved_pusd INTEGER NOT NULL DEFAULT 0",
]
_WAITING, _STARTED, _DONE = range(3)


_JSON = ("metadata", "times", "errors", "handed")
_COUNTED = ("completed", "failed", "cost_pusd", "saved_pusd")  # line by line
_FIELDS = ", ".join(Job.__struct_fields__)
_FILE_FIELDS = ", ".join(KeptFile.__struct_fields__)
_TASK_FIELDS = ", ".join(Task.__struct_fields__)


class JobStore:
    """One connection; one caller at a time."""

    def __init__(self, path: Path) -> None:
        """Opened, and made where there is none. Raises sqlite3.Error, OSError."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = connect(path)
        self._turn = threading.Lock()
        with self.writing() as driver:
            version = driver.execute("PRAGMA user_version").fetchone()[0]
            for statement in {0: _TABLES.split(";"), 1: [_SINCE_1, *_SINCE_2], 2: _SINCE_2}.get(version, ()):
                driver.execute(statement)
            driver.execute(f"PRAGMA user_version = {max(version, _VERSION)}")

    def close(self) -> None:
        """Nothing is asked any more."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, whole or not at all."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._turn:
            return self._connection.execute(sql, values).fetchall()

    def secret(self, name: str) -> str | None:
        """A sealed secret of the database's own."""
        rows = self._rows("SELECT sealed FROM secrets WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def add_secret(self, name: str, sealed: str) -> None:
        """Keep one, unless it has one."""
        with self.writing() as driver:
            driver.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, sealed))

    def add_file(self, file: KeptFile) -> None:
        """Keep a file that is written."""
        with self.writing() as driver:
            driver.execute(
                f"INSERT OR REPLACE INTO files ({_FILE_FIELDS}) VALUES ({marks(KeptFile.__struct_fields__)})",
                msgspec.structs.astuple(file),
            )

    def file(self, key: str, file_id: str) -> KeptFile | None:
        """The file of this id, if it is this key's."""
        rows = self._rows(f"SELECT {_FILE_FIELDS} FROM files WHERE id = ? AND key = ?", file_id, key)
        return KeptFile(*rows[0]) if rows else None

    def files(self, key: str) -> list[KeptFile]:
        """All of this key's, the newest first."""
        sql = f"SELECT {_FILE_FIELDS} FROM files WHERE key = ? ORDER BY created_ms DESC, id DESC"
        return [KeptFile(*row) for row in self._rows(sql, key)]

    def remove_file(self, file_id: str) -> None:
        """Forget it, and with it its key."""
        with self.writing() as driver:
            driver.execute("DELETE FROM files WHERE id = ?", (file_id,))

    def expired_files(self, now_ms: int) -> list[KeptFile]:
        """Those whose time is over."""
        sql = f"SELECT {_FILE_FIELDS} FROM files WHERE expires_ms <= ? LIMIT 1000"
        return [KeptFile(*row) for row in self._rows(sql, now_ms)]

    def add_job(self, job: Job, tasks: Iterable[Task] = ()) -> None:
        """Take a job on; the lines of a batch come once they are read."""
        with self.writing() as driver:
            driver.execute(f"INSERT INTO jobs ({_FIELDS}) VALUES ({marks(Job.__struct_fields__)})", _columns(job))
            _add_tasks(driver, tasks)

    def change(self, job: Job, tasks: Iterable[Task] = ()) -> None:
        """Put a job in the place of what it was; its lines are added. How many are done stays as counted here."""
        with self.writing() as driver:
            put_job(driver, job)
            _add_tasks(driver, tasks)

    def job(self, key: str, job_id: str) -> Job | None:
        """The job of this id, if it is this key's."""
        return self._one("id = ? AND key = ?", job_id, key)

    def job_of(self, tenants: Tenants, job_id: str) -> Job | None:
        """The same, if it is of one of these."""
        return self._one(f"id = ? {OF_TENANTS}", job_id, *listed(tenants))

    def jobs(self, key: str, prefix: str, after: str, most: int) -> list[Job]:
        """This key's whose id begins so, the newest first, behind the job `after` ("" for all)."""
        return self._behind("key = ? AND substr(id, 1, ?) = ?", (key, len(prefix), prefix), after, most)

    def jobs_before(self, key: str, prefix: str, before: str, most: int) -> list[Job]:
        """Those just before `before` in the same order, the nearest first."""
        where = "key = ? AND substr(id, 1, ?) = ? AND seq > (SELECT seq FROM jobs WHERE id = ?)"
        sql = f"SELECT {_FIELDS} FROM jobs WHERE {where} ORDER BY seq LIMIT ?"
        return [_job(row) for row in self._rows(sql, key, len(prefix), prefix, before, most)]

    def jobs_of(self, tenants: Tenants, after: str, most: int) -> list[Job]:
        """All of these, in the same order."""
        return self._behind(f"TRUE {OF_TENANTS}", listed(tenants), after, most)

    def _one(self, where: str, *values: str | None) -> Job | None:
        rows = self._rows(f"SELECT {_FIELDS} FROM jobs WHERE {where}", *values)
        return _job(rows[0]) if rows else None

    def _behind(self, where: str, values: tuple[str | int | None, ...], after: str, most: int) -> list[Job]:
        page = "(? = '' OR seq < (SELECT seq FROM jobs WHERE id = ?)) ORDER BY seq DESC LIMIT ?"
        rows = self._rows(f"SELECT {_FIELDS} FROM jobs WHERE {where} AND {page}", *values, after, after, most)
        return [_job(row) for row in rows]

    def open_jobs(self) -> list[Job]:
        """Those that are not over, the oldest first."""
        return [
            _job(row)
            for row in self._rows(f"SELECT {_FIELDS} FROM jobs WHERE status IN ({marks(OPEN)}) ORDER BY seq", *OPEN)
        ]

    def only_task(self, job_id: str) -> Task | None:
        """The one line of a job that is one call."""
        rows = self._rows(f"SELECT {_TASK_FIELDS} FROM lines WHERE job = ? LIMIT 1", job_id)
        return Task(*rows[0]) if rows else None

    def remove_job(self, job_id: str) -> None:
        """Forget a job that is over."""
        with self.writing() as driver:
            driver.execute("DELETE FROM lines WHERE job = ?", (job_id,))
            driver.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def remove_old_jobs(self, now_ms: int) -> None:
        """Forget jobs that are over and whose results nobody keeps any more."""
        old = (
            f"SELECT id FROM jobs WHERE status NOT IN ({marks(OPEN)}) AND "
            "created_ms + 1000 * (window_seconds + keep_seconds) <= ?"
        )
        with self.writing() as driver:
            driver.execute(f"DELETE FROM lines WHERE job IN ({old})", (*OPEN, now_ms))
            driver.execute(f"DELETE FROM jobs WHERE id IN ({old})", (*OPEN, now_ms))

    def uses(self, file_id: str) -> str | None:
        """The job under way that reads a file."""
        rows = self._rows(f"SELECT id FROM jobs WHERE input_file = ? AND status IN ({marks(OPEN)})", file_id, *OPEN)
        return str(rows[0][0]) if rows else None

    def waiting(self, job_id: str, most: int) -> list[Task]:
        """Its next lines that were not begun."""
        sql = f"SELECT {_TASK_FIELDS} FROM lines WHERE job = ? AND state = {_WAITING} ORDER BY number LIMIT ?"
        return [Task(*row) for row in self._rows(sql, job_id, most)]

    def started(self, job_id: str = "") -> list[Task]:
        """Lines that were begun and have no result: after a start, those a crash or an end of the daemon interrupted. Of one
        job, or of all."""
        sql = f"SELECT {_TASK_FIELDS} FROM lines WHERE state = {_STARTED} AND ? IN (job, '')"
        return [Task(*row) for row in self._rows(sql, job_id)]

    def start(self, task: Task, request_id: str) -> None:
        """The line becomes this call, in a moment."""
        self._set(task, f"state = {_STARTED}, request_id = ?", request_id)

    def hand_on(self, job: Job, tasks: Iterable[Task]) -> None:
        """A provider's own batch is to answer these lines, each under the id of the call it stands for."""
        sql = f"UPDATE lines SET state = {_STARTED}, request_id = ? WHERE job = ? AND number = ? AND state < {_DONE}"
        with self.writing() as driver:
            put_job(driver, job)
            driver.executemany(sql, [(task.request_id, task.job, task.number) for task in tasks])

    def take_back(self, job: Job) -> None:
        """It does not: its lines wait again."""
        with self.writing() as driver:
            put_job(driver, job)
            sql = f"UPDATE lines SET state = {_WAITING}, request_id = '' WHERE job = ? AND state = {_STARTED}"
            driver.execute(sql, (job.id,))

    def put_back(self, task: Task) -> None:
        """The line was not sent, or may be sent again: it waits."""
        self._set(task, f"state = {_WAITING}, request_id = ?", "")

    def end(self, task: Task, sealed: bytes, *, is_good: bool, pusd: tuple[int, int] = (0, 0)) -> None:
        """The line has its result; counted once, with what it has cost and saved."""
        done, failed = (1, 0) if is_good else (0, 1)
        sql = f"UPDATE lines SET state = {_DONE}, is_good = ?, result = ? WHERE job = ? AND number = ? AND state < {_DONE}"
        with self.writing() as driver:
            if driver.execute(sql, (done, sealed, task.job, task.number)).rowcount:
                adding = ", ".join(f"{name} = {name} + ?" for name in _COUNTED)
                driver.execute(f"UPDATE jobs SET {adding} WHERE id = ?", (done, failed, *pusd, task.job))

    def results(self, job_id: str, *, is_good: bool) -> Iterator[Task]:
        """Its lines that ended well, or all others, in order, some at a time; one that was never sent has no result."""
        sql = f"SELECT {_TASK_FIELDS} FROM lines WHERE job = ? AND is_good = ? AND number > ? ORDER BY number LIMIT 200"
        after = 0
        while rows := self._rows(sql, job_id, int(is_good), after):
            yield from (Task(*row) for row in rows)
            after = rows[-1][1]

    def forget_results(self, job_id: str) -> None:
        """They stand in its files now."""
        with self.writing() as driver:
            driver.execute("DELETE FROM lines WHERE job = ?", (job_id,))

    def _set(self, task: Task, what: str, request_id: str) -> None:
        sql = f"UPDATE lines SET {what} WHERE job = ? AND number = ? AND state < {_DONE}"
        with self.writing() as driver:
            driver.execute(sql, (request_id, task.job, task.number))


def put_job(driver: sqlite3.Connection, job: Job) -> None:
    """Within a transaction, as `change` does."""
    kept = [name for name in Job.__struct_fields__ if name not in ("id", *_COUNTED)]
    columns = dict(zip(Job.__struct_fields__, _columns(job), strict=True))
    setting = ", ".join(f"{name} = ?" for name in kept)
    driver.execute(f"UPDATE jobs SET {setting} WHERE id = ?", (*(columns[name] for name in kept), job.id))


def _add_tasks(driver: sqlite3.Connection, tasks: Iterable[Task]) -> None:
    sql = (
        "INSERT INTO lines (job, number, custom_id, offset, length, state, request_id, is_good) "
        f"VALUES (?, ?, ?, ?, ?, {_WAITING}, '', 0) ON CONFLICT (job, number) DO NOTHING"
    )
    driver.executemany(sql, [(task.job, task.number, task.custom_id, task.offset, task.length) for task in tasks])


def _columns(job: Job) -> tuple[Any, ...]:
    fields = msgspec.structs.asdict(job)
    return tuple(msgspec.json.encode(value).decode() if name in _JSON else value for name, value in fields.items())


def _job(row: tuple[Any, ...]) -> Job:
    fields = dict(zip(Job.__struct_fields__, row, strict=True))
    fields |= {name: msgspec.json.decode(fields[name]) for name in _JSON}
    return Job(**{**fields, "handed": msgspec.convert(fields["handed"], Handed | None)})
