"""`Prefer: respond-async`: a call that is answered by a job, and what its key asks of its jobs at `/tollkeeper/jobs`."""

from __future__ import annotations

import re
import time
from typing import Any

from proxy.errors import NothingThere
from proxy.exchange.client import Client
from proxy.jobs.answering import asked_of, limit_of, send
from proxy.jobs.calls import kept_headers
from proxy.jobs.ending import opened_result
from proxy.jobs.shapes import CALL_PREFIX, status_url
from proxy.jobs.taking import Order, Taking
from proxy.jobs.told import job_object
from proxy.policy.tenants import owner_of
from proxy.stores.jobs.job_rows import OPEN, Job
from proxy.web.client.heads import Asked

_PATH = re.compile(r"/tollkeeper/jobs(?:/([0-9a-z_]+))?")


class Later(Taking):
    """`defer` takes calls on, `answer` tells of them."""

    async def defer(self, asked: Asked, client: Client) -> None:
        """Answer 202: the call is made once a place is free. Raises `InvalidValue`, `StoreError`."""
        head = asked.head
        assert isinstance(asked.body, bytes)
        url, headers = f"/v1{head.path}{head.query}", kept_headers(head.incoming.headers)
        job, file = await self._taken(
            asked, Order(CALL_PREFIX, url, [asked.body], headers, "in_progress", rank=head.rank)
        )
        place, seconds = self._runner.ahead(head.rank) + 1, self._runner.expected_seconds(head.rank)
        self._runner.take(job, file)
        told = {"id": job.id, "object": "job", "status": "queued", "status_url": status_url(job.id)}
        headers = [("Preference-Applied", "respond-async"), ("Location", status_url(job.id))]
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
