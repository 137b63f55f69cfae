"""The end of a job: its results as files, or as they are for a single call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Literal

import msgspec
from msgspec.structs import replace

from proxy.jobs.hooks import Hooks
from proxy.jobs.lines import Problem
from proxy.jobs.messages import told_lines
from proxy.jobs.shapes import FILE_PREFIX, Answered, is_batch, is_of_messages, result_line
from proxy.jobs.work import Work
from proxy.stores.jobs.job_rows import CALL, OUTPUT, Job, KeptFile, Task
from proxy.stores.secrets.sealed_files import seal, unseal

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
        job = await _with_results(work, job, file, ended)
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


async def _with_results(work: Work, job: Job, file: KeptFile, ended: Ended) -> Job:
    """The job with its files: OpenAI has two of them, Anthropic one, and how many requests ended how."""
    good, bad = (_ends(work, job, file, ended, is_good=is_good) for is_good in (True, False))
    if is_of_messages(job):
        counts: dict[str, int] = {}
        ends = ((task.custom_id, answered) for task, answered in chain(good, bad))
        results = await _written(work, job, CALL, "results", told_lines(ends, counts))
        return replace(job, output_file=results, metadata=counts)
    output = await _written(work, job, OUTPUT, "output", _lines(job, good))
    errors = await _written(work, job, OUTPUT, "error", _lines(job, bad))
    return replace(job, output_file=output, error_file=errors)


async def _written(work: Work, job: Job, purpose: str, kind: str, lines: Iterator[bytes]) -> str:
    """The id of a file with these lines; "" where there is none."""
    first = await work.ask(next, lines, None)
    if first is None:
        return ""
    now_ms = int(time.time() * 1000)
    expires_ms = now_ms + 1000 * job.keep_seconds
    name = FILE_PREFIX + _number(job) + kind[0]
    made = KeptFile(name, job.key, f"{job.id}_{kind}.jsonl", purpose, 0, now_ms, expires_ms, sealed_key="")
    await work.keep(made, chain([first], lines))
    return made.id


def _ends(work: Work, job: Job, file: KeptFile, ended: Ended, *, is_good: bool) -> Iterator[tuple[Task, Answered]]:
    for task in work.store.results(job.id, is_good=is_good):
        yield task, opened_result(work, file, task) or _NEVER[ended]


def _lines(job: Job, ends: Iterator[tuple[Task, Answered]]) -> Iterator[bytes]:
    for task, answered in ends:
        yield result_line(f"batch_req_{_number(job)[:24]}{task.number:06x}", task.custom_id, answered)


def _number(job: Job) -> str:
    return job.id.rpartition("_")[2]


def _place(task: Task) -> str:
    return f"{task.job}.{task.number}"
