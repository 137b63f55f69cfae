"""`/messages/batches` as Anthropic has them: what comes inline is kept as a file of lines, and run like every batch."""

from __future__ import annotations

import re
import time
from typing import Any

from proxy.errors import InvalidValue, NothingThere, UnknownEndpoint
from proxy.exchange.client import Client
from proxy.jobs.answering import asked_of, limit_of, send, send_file
from proxy.jobs.calls import kept_headers
from proxy.jobs.messages import message_batch, read_requests
from proxy.jobs.shapes import MESSAGES_PREFIX
from proxy.jobs.taking import Order, Taking
from proxy.policy.tenants import owner_of
from proxy.stores.jobs.job_rows import OPEN, Job, KeptFile
from proxy.web.client.heads import Asked, body_of
from proxy.wire.headers import PRIORITY, root_of

_ALL = "/messages/batches"
_OURS = re.compile(rf"{_ALL}/({MESSAGES_PREFIX}[0-9a-z]+)(?:/(results|cancel))?")
_MOST_LISTED = 1000


class MessageSurface(Taking):
    """`answer` says whether a request was ours."""

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer a request for batches of messages; False where a provider is to. Raises `ProxyError`, `StoreError`."""
        head, key = asked.head, owner_of(asked.caller)
        root = root_of(head.incoming.headers)
        if head.path == _ALL and head.method == "POST":
            send(client, message_batch(await self._begin(asked), root, time.time()))
            return True
        if head.path == _ALL and head.method in ("GET", "HEAD"):
            return await self._list(key, asked, client)
        if (match := _OURS.fullmatch(head.path)) is None:
            return False
        job, did = await self._job(key, match[1]), (head.method.replace("HEAD", "GET"), match[2])
        if did == ("GET", "results"):
            await send_file(client, self._work, await self._results(job), "application/x-jsonl")
        elif did == ("DELETE", None):
            send(client, await self._delete(job))
        elif did in (("GET", None), ("POST", "cancel")):
            job = await self._cancel(job) if match[2] else job
            send(client, message_batch(job, root, time.time()))
        else:
            raise UnknownEndpoint(f"{head.method} is nothing that can be done to {head.path}.")
        return True

    async def _begin(self, asked: Asked) -> Job:
        head = asked.head
        body, url = await body_of(asked, self.limits.most_body), f"/v1/messages{head.query}"
        lines = await self._work.ask(read_requests, body, url)
        headers = [
            pair for pair in kept_headers(head.incoming.headers) if pair[0].lower() not in ("content-type", PRIORITY)
        ]
        headers += [("Content-Type", "application/json"), (PRIORITY, "batch")]
        job, file = await self._taken(asked, Order(MESSAGES_PREFIX, url, lines, headers, "validating"))
        self._runner.take(job, file)
        return job

    async def _job(self, key: str, job_id: str) -> Job:
        job = await self._work.job(key, job_id)
        if job is None:
            raise NothingThere(f"Message Batch {job_id} not found.", param="id")
        return job

    async def _list(self, key: str, asked: Asked, client: Client) -> bool:
        """This key's batches; those at the provider where it has none here."""
        work, query = self._work, asked_of(asked.head.query)
        most, before = limit_of(query, _MOST_LISTED), query.get("before_id")
        if not await work.jobs(key, MESSAGES_PREFIX, "", 1):
            return False
        if before is None:
            found = await work.jobs(key, MESSAGES_PREFIX, query.get("after_id", ""), most + 1)
            page, has_more = found[:most], len(found) > most
        else:
            found = await work.ask(work.store.jobs_before, key, MESSAGES_PREFIX, before, most + 1)
            page, has_more = found[:most][::-1], len(found) > most
        root, now = root_of(asked.head.incoming.headers), time.time()
        ends: dict[str, Any] = {"first_id": page[0].id, "last_id": page[-1].id} if page else {}
        told = {"data": [message_batch(job, root, now) for job in page], "has_more": has_more}
        send(client, {**told, "first_id": None, "last_id": None, **ends})
        return True

    async def _results(self, job: Job) -> KeptFile:
        file = await self._work.ask(self._work.store.file, job.key, job.output_file) if job.output_file else None
        if file is None or job.status in OPEN:
            why = "it is still being processed" if job.status in OPEN else "none came of it, or their time is over"
            raise NothingThere(f"Message Batch {job.id} has no available results: {why}.", param="id")
        return file

    async def _cancel(self, job: Job) -> Job:
        if job.status not in OPEN:
            raise InvalidValue(f"The message batch '{job.id}' has ended, and cannot be canceled.", param="id")
        return await self._runner.cancel(job) if job.status in ("validating", "in_progress") else job

    async def _delete(self, job: Job) -> dict[str, Any]:
        if job.status in OPEN:
            raise InvalidValue(
                "In progress batches cannot be deleted. Consider canceling the batch instead.", param="id"
            )
        await self._work.ask(self._work.forget, job)
        return {"id": job.id, "type": "message_batch_deleted"}
