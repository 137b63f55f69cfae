"""Batches at Anthropic: `/messages/batches` (https://docs.claude.com/en/api/creating-message-batches), requests and results inline.

A batch has no name there by which it is found again. What is ours are the ids of its requests, and its results tell them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from proxy.errors import UpstreamBadResponse
from proxy.jobs.provider import MOST_PAGES, Asking, Standing, Wanted, at, read
from proxy.jobs.shapes import Answered
from proxy.policy.values import Provider
from proxy.wire.endpoints import split_path
from proxy.wire.error_objects import status_of

_NEVER = {
    "canceled": Answered(code="batch_cancelled", message="The batch was canceled before this request was sent."),
    "expired": Answered(code="batch_expired", message="This request could not be executed before the batch expired."),
}


class _Batch(Struct, frozen=True):
    id: str
    processing_status: str
    request_counts: dict[str, int]
    created_at: datetime

    @property
    def standing(self) -> Standing:
        counts = self.request_counts
        status = "in_progress"
        if self.processing_status == "ended":
            status = "cancelled" if counts.get("canceled") else "expired" if counts.get("expired") else "completed"
        told = {"completed": counts.get("succeeded", 0), "failed": counts.get("errored", 0)}
        return Standing(self.id, status, output_file_id=self.id, request_counts=told)


class _Page(Struct):
    data: list[_Batch]
    has_more: bool = False


class _Result(Struct):
    type: str
    message: Raw = Raw(b"null")
    error: Raw = Raw(b"null")


class _Told(Struct):
    custom_id: str
    result: _Result


class MessageBatches(Asking):
    """Anthropic's: a batch is removed with its requests and results, so that it stands for their files, too."""

    batches = files = "/messages/batches"

    def line(self, request_id: str, endpoint: str, body: bytes) -> bytes:
        """One request."""
        return b'{"custom_id":"%b","params":%b}' % (request_id.encode(), body)

    async def upload(self, provider: Provider, wanted: Wanted) -> str:
        """Nothing goes before the batch."""
        return ""

    async def create(self, provider: Provider, file_id: str, wanted: Wanted) -> Standing:
        """Have the requests answered."""
        pieces = [piece for line in wanted.lines for piece in (b",", line)]
        pieces[0] = b'{"requests":['
        path, kind = f"{self.batches}{split_path(wanted.endpoint)[1]}", "application/json"
        body = await self.ask(provider, path, [*pieces, b"]}"], kind, wanted.incoming)
        wanted.lines = []
        return read(provider, body, _Batch).standing

    async def find(self, provider: Provider, wanted: Wanted, since: float) -> Standing | None:
        """The one whose results are those of our requests. Raises `UpstreamBadResponse` while one that might be it is under way."""
        after, open_ones, ids = "", 0, set(wanted.ids)
        for _ in range(MOST_PAGES):
            page = read(provider, await self.ask(provider, f"{self.batches}?limit=100{after}"), _Page)
            for found in page.data:
                if found.created_at.timestamp() < since or sum(found.request_counts.values()) != len(ids):
                    continue
                if found.processing_status != "ended":
                    open_ones += 1
                elif await self._is_of(provider, found.id, ids):
                    return found.standing
            if not page.has_more or not page.data or page.data[-1].created_at.timestamp() < since:
                break
            after = f"&after_id={quote(page.data[-1].id, safe='')}"
        if open_ones:
            raise UpstreamBadResponse(
                f"{provider.name} has {open_ones} batches under way that may be this one; their results will tell."
            )
        return None

    async def _is_of(self, provider: Provider, batch_id: str, ids: set[str]) -> bool:
        async for custom_id, _ in self.results(provider, batch_id):
            return custom_id in ids
        return False

    async def see(self, provider: Provider, batch_id: str) -> Standing:
        """How it stands."""
        return read(provider, await self.ask(provider, at(self.batches, batch_id)), _Batch).standing

    async def results(self, provider: Provider, file_id: str) -> AsyncIterator[tuple[str, Answered]]:
        """The results of a batch."""
        async for line in self.lines(provider, f"{at(self.files, file_id)}/results"):
            yield _told_by(line)


def _told_by(line: bytes) -> tuple[str, Answered]:
    """A line of results: the call it stands for ("": it is no such line), and how it ended."""
    try:
        told = msgspec.json.decode(line, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", Answered(code="server_error")
    result, custom_id = told.result, told.custom_id
    if result.type in _NEVER:
        return custom_id, _NEVER[result.type]
    if result.type == "succeeded":
        return custom_id, Answered(200, custom_id, bytes(result.message), content_type="application/json")
    error = msgspec.json.decode(result.error)
    status = status_of(error.get("error") if isinstance(error, dict) else None)
    return custom_id, Answered(status, custom_id, bytes(result.error), content_type="application/json")
