"""What clients ask of jobs: `/files` and `/batches` as OpenAI has them. Ids that are not ours are a provider's."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from proxy.errors import InvalidValue, NothingThere, UnknownEndpoint
from proxy.exchange.client import Client
from proxy.jobs.answering import asked_of, limit_of, send, send_file
from proxy.jobs.calls import OF_A_LINE, head_place, head_text, marks_among
from proxy.jobs.lines import ENDPOINTS
from proxy.jobs.shapes import BATCH_PREFIX, FILE_PREFIX, batch_object, file_object
from proxy.jobs.taking import Taking
from proxy.jobs.upload import upload
from proxy.jobs.work import new_id
from proxy.policy.tenants import owner_of
from proxy.stores.jobs.job_rows import BATCH, CALL, OUTPUT, Job, KeptFile
from proxy.web.client.heads import Asked, body_of
from proxy.web.reading import in_words
from proxy.web.upload import Upload

_OURS = re.compile(rf"/(?:files/{FILE_PREFIX}[0-9a-z]+(?:/content)?|batches/{BATCH_PREFIX}[0-9a-z]+(?:/cancel)?)")
_READING = ("GET", "HEAD")
_DONE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("files",): (*_READING, "DELETE"),
    ("files", "content"): _READING,
    ("batches",): _READING,
    ("batches", "cancel"): ("POST",),
}
_SMALL_BODY = 256 * 1024
_MOST_FILES = 10_000
_HOURS = 3600

Metadata = dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]]


class _Expiry(Struct):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class _NewBatch(Struct):
    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Annotated[Metadata, Meta(max_length=16)] | None = None
    output_expires_after: _Expiry | None = None


class Surface(Taking):
    """`answer` says whether a request was ours."""

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer a request for files or batches; False where a provider is to. Raises `ProxyError`, `StoreError`."""
        head, key = asked.head, owner_of(asked.caller)
        if head.path == "/files" and head.method == "POST":
            return await self._upload(asked, client)
        reads = head.method in _READING
        if head.path == "/files" and reads:
            return await self._files(key, head.query, client)
        if head.path == "/batches" and head.method == "POST":
            return await self._create(asked, client)
        if head.path == "/batches" and reads:
            return await self._batches(key, head.query, client)
        if _OURS.fullmatch(head.path) is None:
            return False
        _, kind, identity, *what = head.path.split("/")
        if head.method not in _DONE[(kind, *what)]:
            raise UnknownEndpoint(f"{head.method} is nothing that can be done to {head.path}.")
        if kind == "batches":
            send(client, batch_object(await self._batch(key, identity, cancels=bool(what))))
        elif what:
            await send_file(client, self._work, await self._file(key, identity), "application/octet-stream")
        else:
            send(client, await self._told(await self._file(key, identity), head.method))
        return True

    async def _upload(self, asked: Asked, client: Client) -> bool:
        given = (asked.head.content_type, self.limits)
        assert not isinstance(asked.body, Upload)
        kept = await upload(self._work, owner_of(asked.caller), asked.body, given)
        if isinstance(kept, bytes):
            asked.body = kept
            return False
        send(client, file_object(kept))
        return True

    async def _file(self, key: str, file_id: str) -> KeptFile:
        file = None
        if self._work.was_used:
            file = await self._work.ask(lambda: self._work.store.file(key, file_id))
        if file is None or file.purpose == CALL:
            raise NothingThere(f"No such File object: {file_id}", param="id")
        return file

    async def _files(self, key: str, query: str, client: Client) -> bool:
        """This key's files of a purpose of ours; of any where none is named, and those at the provider where it has none here."""
        purpose = asked_of(query).get("purpose", "")
        if purpose not in ("", BATCH, OUTPUT):
            return False
        found: list[KeptFile] = []
        if self._work.was_used:
            wanted = (purpose,) if purpose else (BATCH, OUTPUT)
            found = [f for f in await self._work.ask(lambda: self._work.store.files(key)) if f.purpose in wanted]
        if not found and not purpose:
            return False
        send(client, _page([file_object(file) for file in found], query))
        return True

    async def _told(self, file: KeptFile, method: str) -> dict[str, Any]:
        if method != "DELETE":
            return file_object(file)
        if (job := await self._work.ask(self._work.store.uses, file.id)) is not None:
            raise InvalidValue(f"The file is being worked on by {job}; cancel that first.", param="id")
        await self._work.ask(self._work.remove, file)
        return {"id": file.id, "object": "file", "deleted": True}

    async def _create(self, asked: Asked, client: Client) -> bool:
        body = await body_of(asked, self.limits.most_body)
        if f'"{FILE_PREFIX}'.encode() not in body:
            return False
        if len(body) > _SMALL_BODY:
            raise InvalidValue("A batch is described in less than 256 KiB.")
        try:
            new = msgspec.json.decode(body, type=_NewBatch)
        except msgspec.ValidationError as error:
            raise InvalidValue(f"This is no batch: {in_words(error, _NewBatch)}.") from None
        except msgspec.DecodeError:
            raise InvalidValue("The body is no JSON object.") from None
        send(client, batch_object(await self._begin(asked, new)))
        return True

    async def _begin(self, asked: Asked, new: _NewBatch) -> Job:
        key = owner_of(asked.caller)
        if new.endpoint not in ENDPOINTS:
            raise InvalidValue(f"A batch is of one of these: {', '.join(ENDPOINTS)}.", param="endpoint")
        file = await self._file(key, new.input_file_id)
        if file.purpose != BATCH:
            raise InvalidValue("The input of a batch is a file with the purpose batch.", param="input_file_id")
        keep = self.limits.keep_seconds
        if new.output_expires_after is not None:
            keep = min(keep, new.output_expires_after.seconds)
        job_id, marks = new_id(BATCH_PREFIX), marks_among(asked.head.incoming.headers)
        head = head_text([*marks, *OF_A_LINE])
        job = Job(
            id=job_id,
            key=key,
            endpoint=new.endpoint,
            input_file=file.id,
            window_seconds=24 * _HOURS,
            keep_seconds=keep,
            metadata=dict(new.metadata) if new.metadata is not None else None,
            head=await self._work.seal(head_place(job_id), head) if marks else "",
            status="validating",
            created_ms=int(time.time() * 1000),
        )
        await self._hooks.add(key, job.id, None if asked.head.apart is None else asked.head.apart.hook)
        await self._work.ask(self._work.store.add_job, job)
        self._runner.take(job, file)
        return job

    async def _batches(self, key: str, query: str, client: Client) -> bool:
        """This key's batches; those at the provider where it has none here."""
        if not await self._work.jobs(key, BATCH_PREFIX, "", 1):
            return False
        asked = asked_of(query)
        most = limit_of(asked)
        found = await self._work.jobs(key, BATCH_PREFIX, asked.get("after", ""), most + 1)
        send(client, _list([batch_object(job) for job in found[:most]], has_more=len(found) > most))
        return True

    async def _batch(self, key: str, batch_id: str, *, cancels: bool) -> Job:
        job = await self._work.job(key, batch_id)
        if job is None:
            raise NothingThere(f"No batch found with id '{batch_id}'.", param="id")
        if not cancels or job.status == "cancelling":
            return job
        if job.status not in ("validating", "in_progress"):
            raise InvalidValue(f"A batch that is {job.status} cannot be cancelled.", param="id")
        return await self._runner.cancel(job)


def _page(objects: list[dict[str, Any]], query: str) -> dict[str, Any]:
    asked = asked_of(query)
    if asked.get("order") == "asc":
        objects = objects[::-1]
    if (after := asked.get("after")) is not None:
        objects = objects[next((at + 1 for at, found in enumerate(objects) if found["id"] == after), len(objects)) :]
    most = limit_of({"limit": str(_MOST_FILES), **asked}, _MOST_FILES)
    return _list(objects[:most], has_more=len(objects) > most)


def _list(objects: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    first, last = (objects[0]["id"], objects[-1]["id"]) if objects else (None, None)
    return {"object": "list", "data": objects, "first_id": first, "last_id": last, "has_more": has_more}
