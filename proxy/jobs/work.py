"""The place of jobs: their database, their sealed files, and the thread that works on both."""

from __future__ import annotations

import asyncio
import base64
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog
from msgspec.structs import replace

from proxy.stores.jobs.deliveries import Deliveries
from proxy.stores.jobs.job_rows import CALL, Job, KeptFile
from proxy.stores.jobs.jobs import JobStore
from proxy.stores.secrets.safe import Safe
from proxy.stores.secrets.sealed_files import SealedWriter, chunks, new_file_key, read

Asking = ParamSpec("Asking")
AnswerT = TypeVar("AnswerT")

TROUBLE = (sqlite3.Error, OSError)  # of the database or the disk: it may pass
_SMALL = "replies"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 30.0
_KEEP_TOLD_MS = 30 * 86400 * 1000  # how long it can be seen what became of webhooks

log = structlog.get_logger()


class Work:
    """Opened when it is first needed. Methods that are not async are for the thread: `await work.ask(method, …)`."""

    def __init__(self, state_dir: Path, safe: Safe) -> None:
        """Nothing is opened or made."""
        self.folder = state_dir / "jobs"
        self.open = safe.open
        self._since = time.time()
        self._database = self.folder / "jobs.db"
        self._safe = safe
        self._thread = ThreadPoolExecutor(1, "jobs")
        self._store: JobStore | None = None
        self._deliveries: Deliveries | None = None
        self._small_key: bytes | None = None

    @property
    def was_used(self) -> bool:
        """Whether there ever was a job or a file."""
        return self._database.exists()

    @property
    def store(self) -> JobStore:
        """The database; opened by the first who asks, in the thread."""
        if self._store is None:
            self._store = JobStore(self._database)
        return self._store

    @property
    def deliveries(self) -> Deliveries:
        """What is told of jobs, in the same database."""
        if self._deliveries is None:
            self._deliveries = Deliveries(self.store)
        return self._deliveries

    async def ask(self, do: Callable[Asking, AnswerT], *args: Asking.args, **kwargs: Asking.kwargs) -> AnswerT:
        """Do something in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(do, *args, **kwargs))

    async def insist(self, do: Callable[Asking, AnswerT], *args: Asking.args, **kwargs: Asking.kwargs) -> AnswerT:
        """The same, as often as it takes."""
        return await as_often_as_it_takes(lambda: self.ask(do, *args, **kwargs))

    async def job(self, key: str, job_id: str) -> Job | None:
        """One of this key's; None where it has none of that id."""
        return await self.ask(lambda: self.store.job(key, job_id)) if self.was_used else None

    async def jobs(self, key: str, prefix: str, after: str, most: int) -> list[Job]:
        """Those of this key whose ids begin so, the newest first, behind `after` ("": from the newest on)."""
        return await self.ask(lambda: self.store.jobs(key, prefix, after, most)) if self.was_used else []

    async def close(self) -> None:
        """Finish what the thread is at, and close the database."""
        if self._store is not None:
            await self.ask(self._store.close)
        self._thread.shutdown(wait=False)

    async def seal(self, place: str, text: str) -> str:
        """Seal a text under everybody's data key, which is in the ledger before this returns. Raises `StoreError`."""
        sealed, kept = self._safe.seal(place, text)
        for future in kept:
            await asyncio.wrap_future(future)
        return sealed

    def path(self, file_id: str) -> Path:
        """Where a file lies."""
        return self.folder / file_id

    def key_of(self, file: KeptFile) -> bytes:
        """What opens a file. Raises `Unreadable`."""
        return base64.b64decode(self.open(_place(file.id), file.sealed_key))

    async def new_file(self, file_id: str) -> tuple[SealedWriter, str]:
        """A file to write in, and its sealed key. Raises `StoreError`, OSError."""
        key = new_file_key()
        sealed = await self.seal(_place(file_id), base64.b64encode(key).decode())
        return SealedWriter(self.path(file_id), key), sealed

    async def keep(self, file: KeptFile, content: Iterable[bytes]) -> KeptFile:
        """Write a whole file that was made here; with its size and its key."""
        writer, sealed = await self.new_file(file.id)
        await self.ask(_write_all, writer, content)
        kept = replace(file, size=writer.size, sealed_key=sealed)
        await self.ask(lambda: self.store.add_file(kept))
        return kept

    async def make_small_key(self) -> None:
        """See to it that there is a key for what lies in the database itself. Raises `StoreError`."""
        if self._small_key is None:
            if await self.ask(lambda: self.store.secret(_SMALL)) is None:
                sealed = await self.seal(_place(_SMALL), base64.b64encode(new_file_key()).decode())
                await self.ask(lambda: self.store.add_secret(_SMALL, sealed))
            self._small_key = await self.ask(self._opened_small_key)

    def small_key(self) -> bytes:
        """The key for what lies in the database itself, once it was made."""
        assert self._small_key is not None
        return self._small_key

    def _opened_small_key(self) -> bytes:
        return base64.b64decode(self.open(_place(_SMALL), self.store.secret(_SMALL) or ""))

    def chunks(self, file: KeptFile) -> Iterable[bytes]:
        """All of a file. Raises `StoreError`."""
        return chunks(self.path(file.id), self.key_of(file))

    def read(self, file: KeptFile, offset: int, length: int) -> bytes:
        """A part of a file. Raises `StoreError`."""
        return read(self.path(file.id), self.key_of(file), offset, length)

    def tidy(self) -> None:
        """Remove what a kill has left unfinished, and what nobody may read any more."""
        for unfinished in self.folder.glob(".*"):
            if unfinished.stat().st_mtime < self._since:  # what is newer is being written
                unfinished.unlink(missing_ok=True)
        self.expire()

    def expire(self) -> None:
        """Remove files and jobs whose time is over."""
        now_ms = int(time.time() * 1000)
        for file in self.store.expired_files(now_ms):
            self.remove(file)
        self.store.remove_old_jobs(now_ms)
        self.deliveries.forget(now_ms - _KEEP_TOLD_MS)

    def forget(self, job: Job) -> None:
        """Remove a job that is over, and what it was made of; files that its client may read stay."""
        self.store.remove_job(job.id)
        for file_id in (job.input_file, job.output_file):
            file = self.store.file(job.key, file_id)
            if file is not None and file.purpose == CALL:
                self.remove(file)

    def remove(self, file: KeptFile) -> None:
        """Remove a file: first from the database, so that nothing names what is not there."""
        self.store.remove_file(file.id)
        self.path(file.id).unlink(missing_ok=True)


def new_id(prefix: str) -> str:
    """An id that nobody guesses."""
    return prefix + secrets.token_hex(16)


def _place(file_id: str) -> str:
    return f"jobs.files.{file_id}"


async def as_often_as_it_takes(do: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Again and again while the database is locked or the disk full: nobody else does what jobs leave undone. Raises `StoreError`
    at once."""
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            return await do()
        except TROUBLE as error:
            log.error("job_trouble", reason=str(error))
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


def _write_all(writer: SealedWriter, content: Iterable[bytes]) -> None:
    try:
        for chunk in content:
            writer.write(chunk)
    except BaseException:
        writer.drop()
        raise
    writer.close()
