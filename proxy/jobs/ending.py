"""The end of a job: its results as files, or as they are for a single call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from proxy.jobs.hooks import Hooks
from proxy.jobs.lines import Problem
from proxy.jobs.shapes import BATCH_PREFIX, FILE_PREFIX, Answered, is_batch, result_line
from proxy.jobs.work import Work
from proxy.stores.job_rows import OUTPUT, Job, KeptFile, Task
from proxy.stores.sealed_files import seal, unseal

Ended = Literal["completed", "cancelled", "expired"]

# what stands for a line that was never sent
_NEVER: dict[str, Answered] = {
    "expired": Answered(code="batch_expired", message="This request could not be executed before the batch expired."),
    "cancelled": Answered(code="batch_cancelled", message="The batch was cancelled before this request was sent."),
}


async def fail(hooks: Hooks, job: Job, *problems: Problem) -> None:
    """The input is no batch: nothing is sent, and what is wrong is told."""
    failed = replace(
        job,
        status="failed",
        errors=[msgspec.to_builtins(problem) for problem in problems],
        times={**job.times, "failed": int(time.time())},
    )
    await hooks.end(failed)


async def finish(work: Work, hooks: Hooks, job: Job, file: KeptFile, ended: Ended | None = None) -> None:
    """Write what came of a job, and say so. Done again after a kill, it comes to the same. `ended` where that is known."""
    if ended is None or "cancelling" in job.times:
        is_short = bool(await work.ask(work.store.waiting, job.id, 1))
        ended = "cancelled" if "cancelling" in job.times else "expired" if is_short else "completed"
    if is_batch(job):
        job = replace(job, status="finalizing", times={**job.times, "finalizing": int(time.time())})
        await work.ask(work.store.change, job)
        output = await _written(work, job, file, ended, is_good=True)
        errors = await _written(work, job, file, ended, is_good=False)
        job = replace(job, output_file=output, error_file=errors)
    await hooks.end(replace(job, status=ended, times={**job.times, ended: int(time.time())}))
    if is_batch(job):
        await work.ask(work.store.forget_results, job.id)


def sealed_result(work: Work, file: KeptFile, task: Task, answered: Answered) -> bytes:
    """A line's end, sealed as its input is. Raises `Unreadable`."""
    return seal(work.key_of(file), _place(task), msgspec.msgpack.encode(answered))


def opened_result(work: Work, file: KeptFile, task: Task) -> Answered | None:
    """A line's end; None where it has none. Raises `StoreError`."""
    if task.result is None:
        return None
    return msgspec.msgpack.decode(unseal(work.key_of(file), _place(task), task.result), type=Answered)


async def _written(work: Work, job: Job, file: KeptFile, ended: Ended, *, is_good: bool) -> str:
    """The id of a file with all results of one kind; "" where there is none."""
    lines = _lines(work, job, file, ended, is_good=is_good)
    first = await work.ask(next, lines, None)
    if first is None:
        return ""
    now_ms, kind = int(time.time() * 1000), "output" if is_good else "error"
    expires_ms = now_ms + 1000 * job.keep_seconds
    made = KeptFile(
        FILE_PREFIX + job.id.removeprefix(BATCH_PREFIX) + kind[0],
        job.key,
        f"{job.id}_{kind}.jsonl",
        OUTPUT,
        0,
        now_ms,
        expires_ms,
        sealed_key="",
    )
    await work.keep(made, _all(first, lines))
    return made.id


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines(work: Work, job: Job, file: KeptFile, ended: Ended, *, is_good: bool) -> Iterator[bytes]:
    for task in work.store.results(job.id, is_good=is_good):
        answered = opened_result(work, file, task) or _NEVER[ended]
        yield result_line(
            f"batch_req_{job.id.removeprefix(BATCH_PREFIX)[:24]}{task.number:06x}", task.custom_id, answered
        )


def _place(task: Task) -> str:
    return f"{task.job}.{task.number}"
