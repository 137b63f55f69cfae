"""`Prefer: respond-async`: a call that is answered by a job, and what its key asks of its jobs at `/tollkeeper/jobs`."""

from __future__ import annotations

import re
import time
from typing import Any

from proxy.errors import NothingThere
from proxy.exchange.client import Client
from proxy.jobs.answering import asked_of, limit_of, send
from proxy.jobs.calls import head_place, head_text, kept_headers
from proxy.jobs.ending import opened_result
from proxy.jobs.hooks import Hooks
from proxy.jobs.runner import Runner
from proxy.jobs.shapes import CALL_PREFIX, FILE_PREFIX, status_url
from proxy.jobs.told import job_object
from proxy.jobs.work import Work, new_id
from proxy.policy.tenants import owner_of
from proxy.stores.job_rows import CALL, OPEN, Job, KeptFile, Task
from proxy.web.client.heads import Asked

_DAY_SECONDS = 24 * 3600
_PATH = re.compile(r"/tollkeeper/jobs(?:/([0-9a-z_]+))?")


class Later:
    """`defer` takes calls on, `answer` tells of them."""

    def __init__(self, work: Work, runner: Runner, hooks: Hooks) -> None:
        """`keep_seconds`: how long results are kept; it changes with the configuration."""
        self.keep_seconds = _DAY_SECONDS
        self._work = work
        self._runner = runner
        self._hooks = hooks

    async def defer(self, asked: Asked, client: Client) -> None:
        """Answer 202: the call is made once a place is free. Raises `InvalidValue`, `StoreError`."""
        work, head = self._work, asked.head
        assert isinstance(asked.body, bytes)
        now_ms, file_id, job_id = int(time.time() * 1000), new_id(FILE_PREFIX), new_id(CALL_PREFIX)
        expires_ms = now_ms + 1000 * (self.keep_seconds + _DAY_SECONDS)
        key = owner_of(asked.caller)
        await self._hooks.add(key, job_id, None if head.apart is None else head.apart.hook)
        file = await work.keep(KeptFile(file_id, key, "", CALL, 0, now_ms, expires_ms, ""), [asked.body])
        headers = kept_headers(head.incoming.headers)
        job = Job(
            id=job_id,
            key=key,
            endpoint=f"/v1{head.path}{head.query}",
            input_file=file_id,
            window_seconds=_DAY_SECONDS,
            keep_seconds=self.keep_seconds,
            metadata=None,
            head=await work.seal(head_place(job_id), head_text(headers)),
            status="in_progress",
            created_ms=now_ms,
            total=1,
            rank=head.rank,
        )
        await work.ask(work.store.add_job, job, [Task(job_id, 1, "", 0, file.size)])
        place, seconds = self._runner.ahead(head.rank) + 1, self._runner.expected_seconds(head.rank)
        self._runner.take(job, file)
        told = {"id": job_id, "object": "job", "status": "queued", "status_url": status_url(job_id)}
        headers = [("Preference-Applied", "respond-async"), ("Location", status_url(job_id))]
        headers += [("x-tollkeeper-queue-place", str(place))]
        headers += [] if seconds is None else [("x-tollkeeper-queue-seconds", f"{seconds:.3f}")]
        send(client, told, 202, headers)

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer what is asked of jobs; False where nothing of the kind is. Raises `ProxyError`, `StoreError`."""
        head, key = asked.head, owner_of(asked.caller)
        match = _PATH.fullmatch(head.path)
        if match is None or head.method not in ("GET", "HEAD", "DELETE") or (head.method == "DELETE" and not match[1]):
            return False
        if match[1] is None:
            told = await self._list(key, head.query)
        elif head.method == "DELETE":
            told = await self._delete(key, match[1])
        else:
            told = await self._told(await self._job(key, match[1]))
        send(client, told)
        return True

    async def _job(self, key: str, job_id: str) -> Job:
        job = await self._work.job(key, job_id)
        if job is None:
            raise NothingThere(f"There is no job {job_id} of this key.", param="id")
        return job

    async def _list(self, key: str, query: str) -> dict[str, Any]:
        asked = asked_of(query)
        most = limit_of(asked)
        found = await self._work.jobs(key, "", asked.get("after", ""), most + 1)
        data = [job_object(job, None, time.time()) for job in found[:most]]
        return {"object": "list", "data": data, "has_more": len(found) > most}

    async def _told(self, job: Job) -> dict[str, Any]:
        work, answered = self._work, None
        if job.id.startswith(CALL_PREFIX) and job.status not in OPEN:
            file = await work.ask(work.store.file, job.key, job.input_file)
            task = await work.ask(work.store.only_task, job.id)
            if file is not None and task is not None:
                answered = await work.ask(opened_result, work, file, task)
        return job_object(job, answered, time.time())

    async def _delete(self, key: str, job_id: str) -> dict[str, Any]:
        """Cancel a job under way; forget one that is over, with its result."""
        job = await self._job(key, job_id)
        if job.status == "cancelling":
            return job_object(job, None, time.time())
        if job.status in OPEN:
            return job_object(await self._runner.cancel(job), None, time.time())
        await self._work.ask(self._work.forget, job)
        return {"id": job.id, "object": "job", "deleted": True}
