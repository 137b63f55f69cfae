"""Everybody's jobs, as operators see them: how far each is, and cancelling one. What was sent and answered is its key's alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from proxy.stores.jobs.job_rows import OPEN, Job, Tenants
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.admin_api import Declined, Unknown, instant
from proxy.web.operator.answers import Answer
from proxy.web.reading import read_ask

_ENDS = ("completed", "failed", "expired", "cancelled")


class JobsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """The last so many; `after` is the id of the last one of the page before."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""


class JobAnswer(Struct, frozen=True):
    """One job. `status` is that of a batch, also of a single call; of its `total` calls so many `completed` and `failed`.
    `errors` say why there is none; `expected_end_at`, if it goes on so."""

    id: str
    key: str
    kind: Literal["batch", "call"]
    endpoint: str
    status: str
    is_open: bool
    created_at: str
    ended_at: str | None
    expected_end_at: str | None
    total: int
    completed: int
    failed: int
    errors: list[str]


class JobsAnswer(Struct, frozen=True):
    """The newest first."""

    jobs: list[JobAnswer]
    has_more: bool


class Working(Protocol):
    """Whoever runs them."""

    async def newest(self, tenants: Tenants, after: str, most: int) -> list[Job]:
        """The last ones of these tenants."""

    async def cancel(self, tenants: Tenants, job_id: str) -> Job | None:
        """Cancel one of theirs, if it is under way; None where there is none."""


class JobOrders:
    """`by_name` are the orders."""

    def __init__(self, working: Working, bounds: Callable[[], Bounds], key_name: Callable[[str], str]) -> None:
        """`bounds` are those of whoever gives the order; `key_name` says what the owner of a job is called."""
        self._working = working
        self._bounds = bounds
        self._key_name = key_name
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "jobs": self._jobs,
            "cancel_job": self._cancel,
        }

    async def _jobs(self, params: dict[str, Any]) -> Answer:
        ask = read_ask(params, JobsAsk, strict=False)
        found, now = await self._working.newest(self._bounds().tenants, ask.after, ask.limit + 1), time.time()
        return JobsAnswer([self._told(one, now) for one in found[: ask.limit]], len(found) > ask.limit)

    async def _cancel(self, params: dict[str, Any]) -> Answer:
        job_id = str(params.get("name"))
        job = await self._working.cancel(self._bounds().tenants, job_id)
        if job is None:
            raise Unknown(f"there is no job {job_id}; /jobs has them")
        if job.status not in ("cancelling", "cancelled"):
            raise Declined(f"the job {job_id} is over ({job.status}), and cannot be cancelled")
        return self._told(job, time.time())

    def _told(self, job: Job, now: float) -> JobAnswer:
        return job_answer(job, self._key_name(job.key), now)


def job_answer(job: Job, key: str, now: float) -> JobAnswer:
    """It at this moment (UTC epoch seconds); `key` is what its owner is called."""
    ended = next((job.times[name] for name in _ENDS if name in job.times), None)
    done, began = job.completed + job.failed, job.times.get("in_progress", now)
    is_known = bool(done) and job.total > 1 and job.status == "in_progress"
    expected = now + (now - began) * (job.total - done) / done if is_known else None
    return JobAnswer(
        id=job.id,
        key=key,
        kind="batch" if job.id.startswith(("batch_", "msgbatch_")) else "call",
        endpoint=job.endpoint,
        status=job.status,
        is_open=job.status in OPEN,
        created_at=instant(job.created_ms),
        ended_at=None if ended is None else instant(1000 * ended),
        expected_end_at=None if expected is None else instant(int(1000 * expected)),
        total=job.total,
        completed=job.completed,
        failed=job.failed,
        errors=[str(error.get("message", "")) for error in job.errors],
    )
