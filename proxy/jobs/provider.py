"""Batches at a provider that has them as OpenAI does: `/files` and `/batches` (https://platform.openai.com/docs/api-reference/batch).

Nothing is known here of money or of lines: what goes up, how it stands, what came of it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from proxy.dialects import DIALECTS, Incoming, UpstreamRequest
from proxy.errors import UpstreamBadResponse
from proxy.exchange.upstream import Upstream
from proxy.policy.values import Provider
from proxy.wire.call import Call, Pieces
from proxy.wire.endpoints import Endpoint
from proxy.wire.error_objects import message_of
from proxy.wire.headers import replaced

NAME = "tollkeeper_batch"  # in the batch's metadata there: by which it is found again
_LARGEST_LINE = 64 * 2**20
_MOST_PAGES = 100
_ASK_SECONDS, _TRANSFER_SECONDS = 60.0, 3600.0
_ASKING = Endpoint("batches")

_Counts = dict[str, int]
ShapeT = TypeVar("ShapeT", bound=Struct)


class Declined(Exception):
    """The provider takes no such batch, and surely made none. Its word for it is the message."""


class Standing(Struct, frozen=True):
    """A batch, as its provider tells of it."""

    id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None
    created_at: int = 0
    errors: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ("failed", "completed", "expired", "cancelled")

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines ended well, and how many did not."""
        told = self.request_counts or {}
        return told.get("completed", 0), told.get("failed", 0)


class _Page(Struct):
    data: list[Standing]
    has_more: bool = False


class _File(Struct):
    id: str


class ProviderBatches:
    """Raises `Declined` for a no that is one, `ProviderError` for whatever may be otherwise in a moment."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def upload(self, provider: Provider, name: str, lines: Pieces) -> str:
        """Send the input file up; its id there."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
            f'Content-Disposition: form-data; name="file"; filename="{name}.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        pieces: Pieces = [head.encode(), *lines, f"\r\n--{boundary}--\r\n".encode()]
        body = await self._ask(provider, "/files", pieces, f"multipart/form-data; boundary={boundary}")
        return _read(provider, body, _File).id

    async def create(self, provider: Provider, file_id: str, endpoint: str, name: str) -> Standing:
        """Have the lines of a file answered."""
        asked = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", "metadata": {NAME: name}}
        return _read(provider, await self._ask(provider, "/batches", [msgspec.json.encode(asked)]), Standing)

    async def find(self, provider: Provider, name: str, since: float) -> Standing | None:
        """The batch made under this name, not before `since` (UTC epoch seconds); None where there is none."""
        after = ""
        for _ in range(_MOST_PAGES):
            page = _read(provider, await self._ask(provider, f"/batches?limit=100{after}"), _Page)
            for found in page.data:
                if (found.metadata or {}).get(NAME) == name:
                    return found
            if not page.has_more or not page.data or page.data[-1].created_at < since:
                return None
            after = f"&after={quote(page.data[-1].id, safe='')}"
        return None

    async def see(self, provider: Provider, batch_id: str) -> Standing:
        """How it stands."""
        return _read(provider, await self._ask(provider, f"/batches/{quote(batch_id, safe='')}"), Standing)

    async def cancel(self, provider: Provider, batch_id: str) -> None:
        """Have it end early."""
        await self._ask(provider, f"/batches/{quote(batch_id, safe='')}/cancel", [])

    async def remove(self, provider: Provider, file_id: str) -> None:
        """Remove a file there."""
        await self._ask(provider, f"/files/{quote(file_id, safe='')}", None, "DELETE")

    async def lines(self, provider: Provider, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a result file, as they come."""
        request = _request(provider, f"/files/{quote(file_id, safe='')}/content", None, "")
        rest = b""
        async with self._upstream.asking(provider, request, _TRANSFER_SECONDS) as response:
            if response.status != 200:
                raise UpstreamBadResponse(f"{provider.name} answered {response.status} for the results of a batch.")
            while chunk := await response.read():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in filter(None, whole):
                    yield line
                if len(rest) > _LARGEST_LINE:
                    raise UpstreamBadResponse(f"{provider.name} sent a line of results that is larger than any.")
        if rest:
            yield rest

    async def _ask(self, provider: Provider, path: str, pieces: Pieces | None = None, kind: str = "") -> bytes:
        """The body of a good answer. `kind`: of what is sent, or the method where nothing is."""
        seconds = _ASK_SECONDS if pieces is None or not kind else _TRANSFER_SECONDS
        answered = await self._upstream.ask(provider, _request(provider, path, pieces, kind), seconds)
        if answered.status == 200:
            return answered.body
        said = _said(answered.body) or f"status {answered.status}"
        if 400 <= answered.status < 500 and answered.status not in (408, 409):
            raise Declined(f"{provider.name}: {said}")
        raise UpstreamBadResponse(f"{provider.name} answered {answered.status} for {path.partition('?')[0]}: {said}")


def _request(provider: Provider, path: str, pieces: Pieces | None, kind: str) -> UpstreamRequest:
    method = "POST" if pieces is not None else kind or "GET"
    headers = DIALECTS[provider.kind].headers(Call(_ASKING, path, "", method, b""), provider, Incoming(()))
    if pieces is not None:
        headers = replaced(headers, [("Content-Type", kind or "application/json")])
    return UpstreamRequest(method, provider.base_url + path, headers, pieces or [])


def _read(provider: Provider, body: bytes, shape: type[ShapeT]) -> ShapeT:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamBadResponse(f"{provider.name} told of a batch in words that cannot be read.") from None


def _said(body: bytes) -> str:
    try:
        return message_of(msgspec.json.decode(body)) or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
