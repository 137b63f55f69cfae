"""Runs the lines of jobs: a few at a time, the higher priority first, keys in turn within one, each the way of every other call, under its key's budgets.

Before a line is sent, the database says which call it becomes. After a kill the journal tells whether that call went
out: then the line is `interrupted`, whatever it has cost is booked, and it is not sent again; else it waits as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from msgspec.structs import replace

from proxy.jobs.ending import fail, finish, sealed_result
from proxy.jobs.handing import Hander
from proxy.jobs.hooks import Hooks
from proxy.jobs.lines import MOST_LINES, Problem, body_of, read_lines
from proxy.jobs.messages import MOST_REQUESTS
from proxy.jobs.pacing import again_after, answered_by
from proxy.jobs.result_connection import Caller, ResultConnection
from proxy.jobs.shapes import Answered, is_batch, is_of_messages
from proxy.jobs.underway import Open
from proxy.jobs.work import TROUBLE, Work, as_often_as_it_takes
from proxy.stores.failures import StoreError
from proxy.stores.jobs.job_rows import Job, KeptFile, Task

_AT_ONCE = 64  # lines of one job in memory
_LONGEST_REST_SECONDS = 60.0
_LAST_SECONDS = 10.0  # for replies to come to the disk: the first one makes a database and a key before

log = structlog.get_logger()


class Runner:
    """`concurrent` lines at once, over all jobs."""

    def __init__(self, work: Work, calls: Caller, hooks: Hooks, hander: Hander, longest: Callable[[], int]) -> None:
        """`longest` is how many bytes a line's body may have."""
        self.concurrent = 8
        self._work = work
        self._calls = calls
        self._hooks = hooks
        self._hander = hander
        hander.enter = self._enter
        self._longest = longest
        self._open: dict[str, Open] = {}
        self._reading: dict[str, Job] = {}  # batches whose lines are read, as they are now
        self._came: set[str] | None = set()  # who came before what was left had been looked at
        self._running = 0
        self._line_seconds: float | None = None  # how long one takes, of late
        self._turns: dict[str, int] = {}  # by key, when it last had its turn
        self._turn = 0
        self._news = asyncio.Event()
        self._beside: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Until it is cancelled. What was interrupted before is looked at first."""
        await self._recover()
        while True:
            self._news.clear()
            wait = await self._begin_some()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """What runs beside has a moment to end; lines under way stay begun, for the next start to judge."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=_LAST_SECONDS)
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    def ahead(self, rank: int) -> int:
        """How many lines are to be sent, or under way, that come before a job of this rank."""
        return sum(entry.left for entry in self._open.values() if entry.rank <= rank)

    def expected_seconds(self, rank: int) -> float | None:
        """How long a job of this rank will wait for a place, whoever has it now; None where nothing tells how long a line takes."""
        rounds = max(self.ahead(rank), self._running) // self.concurrent
        return 0.0 if not rounds else None if self._line_seconds is None else rounds * self._line_seconds

    def look(self) -> None:
        """Something has changed: a place is free, or there are more of them."""
        self._news.set()

    def take(self, job: Job, file: KeptFile) -> None:
        """Run a job, once, however often it is named; a batch is read first."""
        if job.id in self._open or job.id in self._reading:
            return
        if self._came is not None:
            self._came.add(job.id)
        if job.status == "validating":
            self._reading[job.id] = job
            self.do(self._validate(job, file))
        else:
            self._enter(job, file)

    def _enter(self, job: Job, file: KeptFile) -> None:
        self._open[job.id] = Open(
            job, file, job.total - job.completed - job.failed, has_more=job.status == "in_progress"
        )
        self.look()

    async def cancel(self, job: Job) -> Job:
        """No further line is sent; what is under way is awaited. One that ends at this moment ends as it would have."""
        entry = self._open.get(job.id)
        now = self._reading.get(job.id) if entry is None else entry.job
        if now is None:
            if (handed := await self._hander.cancel(job)) is not None:
                return handed
            return await self._work.ask(self._work.store.job_of, None, job.id) or job
        cancelled = replace(now, status="cancelling", times={**now.times, "cancelling": int(time.time())})
        if entry is None:
            self._reading[job.id] = cancelled
        else:
            entry.job = cancelled
            entry.tasks.clear()
            entry.has_more = False
            for request_id in entry.running if not is_batch(job) else ():
                self._calls.cut(request_id)
            self.look()
        await self._work.ask(self._work.store.change, cancelled)
        return cancelled

    def do(self, what: Coroutine[Any, Any, None]) -> None:
        """Do something beside, until `close`; trouble is told in the log."""

        async def quietly() -> None:
            try:
                await what
            except (StoreError, *TROUBLE) as error:
                log.error("job_trouble", reason=str(error))

        task = asyncio.create_task(quietly())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _recover(self) -> None:
        """Take up what an earlier daemon left."""
        work = self._work
        await work.insist(work.tidy)
        for task in await work.insist(work.store.started):
            job = await work.insist(work.store.job_of, None, task.job)
            file = None if job is None else await work.insist(work.store.file, job.key, job.input_file)
            if job is None or file is None or job.is_handed:
                continue
            if await work.insist(self._calls.was_sent, task.request_id):
                lost = "Tollkeeper ended while this call was under way; it is not sent again unasked."
                await self._end(file, task, Answered(code="interrupted", message=lost))
            else:
                await work.insist(work.store.put_back, task)
        left = await work.insist(work.store.open_jobs)
        for job in [job for job in left if job.id not in (self._came or ())]:
            file = await work.insist(work.store.file, job.key, job.input_file)
            if file is None:
                await fail(
                    self._hooks, job, Problem("input_file_missing", "The batch's input file is not there any more.")
                )
            elif job.is_handed:
                await self._hander.resume(job, file)
            else:
                self.take(job, file)
        self._came = None
        self._hander.settle_strays()

    async def _validate(self, job: Job, file: KeptFile) -> None:
        try:
            await self._read(job, file)
        finally:
            del self._reading[job.id]

    async def _read(self, job: Job, file: KeptFile) -> None:
        """Read a batch's lines, and let them be run; or say why it is none."""
        work, most = self._work, MOST_REQUESTS if is_of_messages(job) else MOST_LINES
        try:
            lines, problems = await work.ask(lambda: read_lines(work.chunks(file), job.endpoint, self._longest(), most))
        except StoreError as error:
            unreadable = Problem("input_file_unreadable", f"The input file cannot be read: {error}.")
            await fail(self._hooks, job, unreadable)
            return
        if problems:
            await fail(self._hooks, job, *problems)
            return
        begun = replace(self._reading[job.id], total=len(lines))
        if begun.status == "validating":
            begun = replace(begun, status="in_progress", times={**begun.times, "in_progress": int(time.time())})
        self._reading[job.id] = begun
        tasks = [Task(job.id, line.number, line.custom_id, line.offset, line.length) for line in lines]
        await work.insist(work.store.change, begun, tasks)
        is_handed = await self._hander.take(self._reading[job.id], file, tasks)
        now = self._reading[job.id]  # which may have been cancelled meanwhile
        if not is_handed:
            self._enter(now, file)
        elif now.status == "cancelling":
            await self._hander.cancel(now)

    async def _begin_some(self) -> float | None:
        """Begin what there is room for; seconds until there may be more, None where only news can tell."""
        for entry in [entry for entry in self._open.values() if entry.is_done or self._is_late(entry)]:
            self._over(entry)
        while self._running < self.concurrent and not self._calls.is_closing:
            now = self._loop.time()
            ready = [e for e in self._open.values() if (e.tasks or e.has_more) and e.rests_until <= now]
            if not ready:
                return self._until_more(now)
            entry = min(ready, key=lambda entry: (entry.rank, self._turns.get(entry.job.key, 0)))
            if not entry.tasks:
                await self._fill(entry)
                if entry.is_done:
                    self._over(entry)
                continue
            self._turn += 1
            self._turns[entry.job.key] = self._turn
            await self._begin(entry, entry.tasks.popleft())
        return None

    def _until_more(self, now: float) -> float | None:
        waits = [entry.rests_until - now for entry in self._open.values() if entry.tasks or entry.has_more]
        ends = [entry.job.until_ms / 1000 - time.time() for entry in self._open.values()]
        return max(0.0, min(waits + ends)) if waits + ends else None

    def _is_late(self, entry: Open) -> bool:
        return not entry.running and time.time() * 1000 >= entry.job.until_ms

    async def _fill(self, entry: Open) -> None:
        found = await self._work.insist(self._work.store.waiting, entry.job.id, _AT_ONCE)
        entry.tasks.extend(found)
        entry.has_more = bool(found)

    async def _begin(self, entry: Open, task: Task) -> None:
        """Make the line's call; the database knows of it before a byte of it leaves."""
        work, request_id = self._work, self._calls.next_id()
        entry.running.add(request_id)
        self._running += 1
        task = replace(task, request_id=request_id)
        try:
            line = await work.ask(work.read, entry.file, task.offset, task.length)
            await work.insist(work.store.start, task, request_id)
            connection, body = ResultConnection(), body_of(line) if is_batch(entry.job) else line
            if not is_batch(entry.job):
                entry.job = replace(entry.job, times={**entry.job.times, "in_progress": int(time.time())})
                await work.insist(work.store.change, entry.job)
            is_known = self._calls.begin(entry.job, body, request_id, connection)
        except (StoreError, OSError) as error:
            self.do(self._ended(entry, task, Answered(code="input_file_unreadable", message=f"{error}.")))
            return
        if is_known:
            self.do(self._await(entry, task, connection))
        else:
            gone = "The key this was asked for with does not exist any more."
            await self._ended(entry, task, Answered(code="invalid_api_key", message=gone))

    async def _await(self, entry: Open, task: Task, connection: ResultConnection) -> None:
        began = self._loop.time()
        reply = await connection.reply
        if self._calls.is_closing and (not reply.status or reply.status == 503):
            return  # the next start sees what became of it
        seconds = again_after(reply, entry.rest_seconds)
        if seconds is not None and time.time() * 1000 < entry.job.until_ms and entry.job.status == "in_progress":
            await self._work.insist(self._work.store.put_back, task)
            entry.tasks.appendleft(task)
            entry.rests_until = self._loop.time() + seconds
            entry.rest_seconds = min(2 * entry.rest_seconds, _LONGEST_REST_SECONDS)
            self._left(entry, task)
            return
        entry.rest_seconds = 1.0
        took, before = self._loop.time() - began, self._line_seconds
        self._line_seconds = took if before is None else before + (took - before) / 8
        await self._ended(entry, task, answered_by(reply))

    async def _ended(self, entry: Open, task: Task, answered: Answered) -> None:
        entry.left -= 1
        try:
            await self._end(entry.file, task, answered)
        finally:
            self._left(entry, task)

    async def _end(self, file: KeptFile, task: Task, answered: Answered) -> None:
        work = self._work

        def keep() -> None:
            work.store.end(task, sealed_result(work, file, task, answered), is_good=answered.is_good)

        await work.insist(keep)

    def _left(self, entry: Open, task: Task) -> None:
        entry.running.discard(task.request_id)
        self._running -= 1
        self.look()

    def _over(self, entry: Open) -> None:
        del self._open[entry.job.id]
        self.do(as_often_as_it_takes(lambda: finish(self._work, self._hooks, entry.job, entry.file)))
