"""What takes jobs on: where they are kept, who runs them, and how one is begun that comes with all its lines."""

from __future__ import annotations

import time

from msgspec import Struct

from proxy.jobs.calls import head_place, head_text
from proxy.jobs.hooks import Hooks
from proxy.jobs.runner import Runner
from proxy.jobs.shapes import FILE_PREFIX
from proxy.jobs.upload import Limits
from proxy.jobs.work import Work, new_id
from proxy.policy.tenants import owner_of
from proxy.stores.jobs.job_rows import CALL, Job, KeptFile, Status, Task
from proxy.web.client.heads import Asked

DAY_SECONDS = 86400


class Order(Struct, frozen=True):
    """A job to be: how its id begins, where its lines go, and with which headers. `status`: a call has no lines to be read."""

    prefix: str
    endpoint: str
    lines: list[bytes]
    headers: list[tuple[str, str]]
    status: Status
    rank: int = 0


class Taking:
    """`limits` change with the configuration."""

    def __init__(self, work: Work, runner: Runner, hooks: Hooks, limits: Limits) -> None:
        self.limits = limits
        self._work = work
        self._runner = runner
        self._hooks = hooks

    async def _taken(self, asked: Asked, order: Order) -> tuple[Job, KeptFile]:
        """The job, as it is kept, with its lines in a file; it runs once the runner has it. Raises `StoreError`."""
        work, key, apart = self._work, owner_of(asked.caller), asked.head.apart
        now_ms, job_id, keep_seconds = int(time.time() * 1000), new_id(order.prefix), self.limits.keep_seconds
        await self._hooks.add(key, job_id, None if apart is None else apart.hook)
        expires_ms = now_ms + 1000 * (keep_seconds + DAY_SECONDS)
        file = await work.keep(KeptFile(new_id(FILE_PREFIX), key, "", CALL, 0, now_ms, expires_ms, ""), order.lines)
        job = Job(
            id=job_id,
            key=key,
            endpoint=order.endpoint,
            input_file=file.id,
            window_seconds=DAY_SECONDS,
            keep_seconds=keep_seconds,
            metadata=None,
            head=await work.seal(head_place(job_id), head_text(order.headers)),
            status=order.status,
            created_ms=now_ms,
            total=len(order.lines),
            rank=order.rank,
        )
        tasks = [Task(job_id, 1, "", 0, file.size)] if order.status == "in_progress" else []
        await work.ask(work.store.add_job, job, tasks)
        return job, file
