"""Batches at a provider that has them as OpenAI does: `/files` and `/batches` (https://platform.openai.com/docs/api-reference/batch);
and what is the same wherever they are.

Nothing is known here of money: what goes up, how it stands, what came of it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from proxy.dialects import DIALECTS, Incoming, UpstreamRequest
from proxy.errors import ProviderError, UpstreamBadResponse, UpstreamError, UpstreamReset
from proxy.exchange.upstream import Upstream
from proxy.jobs.shapes import Answered
from proxy.policy.retries.retry import retry_after_seconds
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint
from proxy.wire.error_objects import message_of
from proxy.wire.headers import replaced
from proxy.wire.outgoing import Pieces

NAME = "tollkeeper_batch"  # in the batch's metadata there: by which it is found again
_LARGEST_LINE = 64 * 2**20
MOST_PAGES = 100
_ASK_SECONDS, TRANSFER_SECONDS = 60.0, 3600.0
_ASKING = Endpoint("batches")
_NOTHING = Incoming(())

_Counts = dict[str, int]
ShapeT = TypeVar("ShapeT", bound=Struct)


class Declined(Exception):
    """The provider takes no such batch, and surely made none. Its word for it is the message."""


class Busy(Declined):
    """It takes no more now, and made none. `seconds`: after which it may; None where it does not say."""

    def __init__(self, said: str, seconds: float | None) -> None:
        super().__init__(said)
        self.seconds = seconds


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
        return self.status in ("failed", "completed", "expired", "cancelled", "lost")  # the last one is our word

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


class Wanted(Struct):
    """A batch that is to be there: `name` is ours, `endpoint` that of its lines, `ids` stand for them; `lines` are there until they
    are sent. `incoming` is what came along with it."""

    name: str
    endpoint: str
    ids: list[str]
    lines: list[bytes] = []
    incoming: Incoming = _NOTHING


class Batches(Protocol):
    """Those of one kind of provider. Raises `Declined` for a no that is one, `ProviderError` for whatever may be otherwise in a
    moment."""

    def line(self, request_id: str, endpoint: str, body: bytes) -> bytes:
        """One line, as it is sent."""

    async def upload(self, provider: Provider, wanted: Wanted) -> str:
        """Send the input file up; its id there, "" where there is none."""

    async def create(self, provider: Provider, file_id: str, wanted: Wanted) -> Standing:
        """Have the lines answered."""

    async def find(self, provider: Provider, wanted: Wanted, since: float) -> Standing | None:
        """The batch made for these, not before `since` (UTC epoch seconds); None where there is none."""

    async def see(self, provider: Provider, batch_id: str) -> Standing:
        """How it stands."""

    async def cancel(self, provider: Provider, batch_id: str) -> None:
        """Have it end early."""

    async def remove(self, provider: Provider, file_id: str) -> None:
        """Remove a file there."""

    def results(self, provider: Provider, file_id: str) -> AsyncIterator[tuple[str, Answered]]:
        """How lines ended, by the ids they were sent under, as they come."""


class Asking:
    """How a provider is asked for its batches, which are at `batches`, and what goes into and comes out of them at `files`."""

    batches = "/batches"
    files = "/files"

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def cancel(self, provider: Provider, batch_id: str) -> None:
        """Have it end early."""
        await self.ask(provider, f"{at(self.batches, batch_id)}/cancel", [])

    async def remove(self, provider: Provider, file_id: str) -> None:
        """Remove a file there, or what stands for one."""
        await self.ask(provider, at(self.files, file_id), None, "DELETE")

    async def lines(self, provider: Provider, path: str) -> AsyncIterator[bytes]:
        """The lines of results, as they come."""
        rest = b""
        request = _request(provider, path, None, "")
        async with self._upstream.asking(provider, request, TRANSFER_SECONDS) as response:
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

    async def ask(
        self, provider: Provider, path: str, pieces: Pieces | None = None, kind: str = "", incoming: Incoming = _NOTHING
    ) -> bytes:
        """The body of a good answer. `kind`: of what is sent, or the method where nothing is."""
        seconds = _ASK_SECONDS if pieces is None or not kind else TRANSFER_SECONDS
        answered = await self._upstream.ask(provider, _request(provider, path, pieces, kind, incoming), seconds)
        if answered.status == 200:
            return answered.body
        said = _said(answered.body) or f"status {answered.status}"
        if answered.status == 429:
            raise Busy(f"{provider.name}: {said}", retry_after_seconds(None, answered.retry_after, datetime.now(UTC)))
        if 400 <= answered.status < 500 and answered.status not in (408, 409):
            raise Declined(f"{provider.name}: {said}")
        trouble = UpstreamError if answered.status >= 300 else UpstreamBadResponse
        raise trouble(f"{provider.name} answered {answered.status} for {path.partition('?')[0]}: {said}")


def is_final(error: Exception) -> bool:
    """Whether asking again would be answered alike."""
    return isinstance(error, Declined) and not isinstance(error, Busy)


def may_be_made(error: ProviderError) -> bool:
    """Whether what was asked for may have been done all the same: not where it was not reached, or says that it failed."""
    return isinstance(error, (UpstreamReset, UpstreamBadResponse))


class FileBatches(Asking):
    """OpenAI's."""

    def line(self, request_id: str, endpoint: str, body: bytes) -> bytes:
        """One line of the input file."""
        return b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n' % (
            request_id.encode(),
            endpoint.encode(),
            body,
        )

    async def upload(self, provider: Provider, wanted: Wanted) -> str:
        """Send the input file up; its id there."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
            f'Content-Disposition: form-data; name="file"; filename="{wanted.name}.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        pieces: Pieces = [head.encode(), *wanted.lines, f"\r\n--{boundary}--\r\n".encode()]
        body = await self.ask(provider, self.files, pieces, f"multipart/form-data; boundary={boundary}")
        wanted.lines = []
        return read(provider, body, _File).id

    async def create(self, provider: Provider, file_id: str, wanted: Wanted) -> Standing:
        """Have the lines of a file answered."""
        asked = {"input_file_id": file_id, "endpoint": wanted.endpoint, "completion_window": "24h"}
        body = msgspec.json.encode({**asked, "metadata": {NAME: wanted.name}})
        return read(provider, await self.ask(provider, self.batches, [body]), Standing)

    async def find(self, provider: Provider, wanted: Wanted, since: float) -> Standing | None:
        """The batch that has our name."""
        after = ""
        for _ in range(MOST_PAGES):
            page = read(provider, await self.ask(provider, f"{self.batches}?limit=100{after}"), _Page)
            for found in page.data:
                if (found.metadata or {}).get(NAME) == wanted.name:
                    return found
            if not page.has_more or not page.data or page.data[-1].created_at < since:
                return None
            after = f"&after={quote(page.data[-1].id, safe='')}"
        return None

    async def see(self, provider: Provider, batch_id: str) -> Standing:
        """How it stands."""
        return read(provider, await self.ask(provider, at(self.batches, batch_id)), Standing)

    async def results(self, provider: Provider, file_id: str) -> AsyncIterator[tuple[str, Answered]]:
        """The lines of a result file."""
        async for line in self.lines(provider, f"{at(self.files, file_id)}/content"):
            yield _told_by(line)


def at(path: str, identity: str) -> str:
    """Where the one of an id is."""
    return f"{path}/{quote(identity, safe='')}"


def _request(
    provider: Provider, path: str, pieces: Pieces | None, kind: str, incoming: Incoming = _NOTHING
) -> UpstreamRequest:
    method = "POST" if pieces is not None else kind or "GET"
    headers = DIALECTS[provider.kind].headers(Call(_ASKING, path, "", method, b""), provider, incoming)
    if pieces is not None:
        headers = replaced(headers, [("Content-Type", kind or "application/json")])
    return UpstreamRequest(method, provider.base_url + path, headers, pieces or [])


def read(provider: Provider, body: bytes, shape: type[ShapeT]) -> ShapeT:
    """A value in a provider's words."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamBadResponse(f"{provider.name} told of a batch in words that cannot be read.") from None


def _said(body: bytes) -> str:
    try:
        return message_of(msgspec.json.decode(body)) or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


class _Reply(Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(Struct):
    code: str | None = None
    message: str | None = None


class _Told(Struct):
    custom_id: str
    response: _Reply | None = None
    error: _Error | None = None


def _told_by(line: bytes) -> tuple[str, Answered]:
    """A line of a provider's results: the call it stands for ("": it is no such line), and how it ended."""
    try:
        told = msgspec.json.decode(line, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Told("")
    if told.response is not None and told.response.status_code:
        body, status = bytes(told.response.body), told.response.status_code
        return told.custom_id, Answered(status, told.custom_id, body, content_type="application/json")
    error = told.error or _Error()
    message = error.message or "The provider's batch has no answer to this line."
    return told.custom_id, Answered(code=error.code or "server_error", message=message)
