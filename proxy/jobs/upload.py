"""`POST /files`: a form of any size, kept sealed as it comes where it is for a batch; passed on as it came where not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import BodyPartReader, MultipartReader
from aiohttp.streams import StreamReader
from aiohttp.web_request import BaseRequest
from msgspec import Struct
from multidict import CIMultiDict

from proxy.errors import DuplicateKey, InvalidValue, RequestTooLarge
from proxy.jobs.shapes import FILE_PREFIX
from proxy.jobs.work import Work, new_id
from proxy.stores.jobs.job_rows import BATCH, KeptFile
from proxy.stores.secrets.sealed_files import SealedWriter
from proxy.web.body import read_chunks, size_text

_FORM_BYTES = 1024 * 1024  # what a form may have beside the file
_LONGEST_FIELD = 1024
_MOST_LINES = 8000  # of a thousand fields
_LONGEST_LINE = 16 * 1024
_PART = 256 * 1024


class Limits(Struct, frozen=True):
    """Bytes: of a file, and of a body that is passed on. `keep_seconds`: how long a file is kept."""

    most_file: int
    most_body: int
    keep_seconds: int


class _Content(StreamReader):
    """What comes, of which heads and boundaries are read line by line."""

    lines = 0

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """The next of them. Raises `RequestTooLarge` for one too many, HttpProcessingError where it is too long."""
        self.lines += 1
        if self.lines > _MOST_LINES:
            raise RequestTooLarge(f"The heads and boundaries of the form have more than {_MOST_LINES} lines.")
        return await super().readline(max_line_length=max_line_length or _LONGEST_LINE)


class _Form:
    """What was found in the form so far. A file is kept where it may be for a batch: its purpose may stand behind it."""

    def __init__(self, work: Work, most: int) -> None:
        self.purpose = ""
        self.filename = ""
        self.expires_after = ""
        self.file_id = new_id(FILE_PREFIX)
        self.sealed_key = ""
        self.writer: SealedWriter | None = None
        self._work = work
        self._most = most

    async def read(self, content_type: str, content: StreamReader) -> None:
        """All of its parts; what cannot be read is nothing to us unless it is for a batch."""
        try:
            async for part in MultipartReader(CIMultiDict({"Content-Type": content_type}), content):
                if not isinstance(part, BodyPartReader):
                    raise ValueError("a form in a form")
                if part.name == "file" and self.purpose in ("", BATCH):
                    await self._keep(part)
                else:
                    await self._take(part)
        except (ValueError, AssertionError, RuntimeError, HttpProcessingError):
            if self.purpose == BATCH:
                raise InvalidValue("The body is not the multipart form its Content-Type says.") from None

    async def _keep(self, part: BodyPartReader) -> None:
        if self.writer is not None:
            raise DuplicateKey("The form field 'file' stands twice.", param="file")
        self.filename = part.filename or "upload.jsonl"
        self.writer, self.sealed_key = await self._work.new_file(self.file_id)
        while chunk := await part.read_chunk(_PART):
            if self.writer.size + len(chunk) > self._most:
                raise RequestTooLarge(f"The file is larger than the {size_text(self._most)} of `jobs.max_file`.")
            self.writer.write(chunk)

    async def _take(self, part: BodyPartReader) -> None:
        text = (await part.read_chunk(_LONGEST_FIELD)).decode("utf-8", "replace")
        await part.release()
        if part.name == "purpose":
            self.purpose = text
        elif part.name == "expires_after[seconds]":
            self.expires_after = text

    def drop(self) -> None:
        """What was kept is not wanted."""
        if self.writer is not None:
            self.writer.drop()


async def upload(work: Work, key: str, request: BaseRequest | bytes, given: tuple[str, Limits]) -> KeptFile | bytes:
    """The file that was kept, or the body of a form that is for a provider. `given`: Content-Type, limits.

    Raises `InvalidValue`, `DuplicateKey`, `RequestTooLarge`, `StoreError`, OSError, and what reading a body raises.
    """
    content_type, limits = given
    form = _Form(work, limits.most_file)
    try:
        body = await _fed(form, content_type, request, limits)
        if form.purpose == BATCH:
            return await _kept(work, key, form, limits.keep_seconds)
    except BaseException:
        form.drop()
        raise
    form.drop()
    if body is None:
        raise RequestTooLarge(
            f"The request body is larger than the {size_text(limits.most_body)} allowed by `max_body`."
        )
    return body


async def _kept(work: Work, key: str, form: _Form, keep_seconds: int) -> KeptFile:
    if form.writer is None:
        raise InvalidValue("The form has no file.", param="file")
    now_ms = int(time.time() * 1000)
    expires_ms = now_ms + 1000 * _kept_for(form.expires_after, keep_seconds)
    await work.ask(form.writer.close)
    size = form.writer.size
    kept = KeptFile(form.file_id, key, form.filename, BATCH, size, now_ms, expires_ms, form.sealed_key)
    await work.ask(lambda: work.store.add_file(kept))
    return kept


async def _fed(form: _Form, content_type: str, request: BaseRequest | bytes, limits: Limits) -> bytes | None:
    """Read the form while its bytes come; the body, as long as it is small enough to be passed on."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())  # without one, the library takes it for closed
    most = max(limits.most_file + _FORM_BYTES, limits.most_body)
    content = _Content(protocol, most, loop=loop)  # which never pauses it
    reading = asyncio.create_task(form.read(content_type, content))
    raw: list[bytes] | None = []
    size = 0
    try:
        async for chunk in _chunks(request, most):
            size += len(chunk)
            raw = None if raw is None or size > limits.most_body else raw
            if raw is not None:
                raw.append(chunk)
            if not reading.done():
                content.feed_data(chunk)
                await asyncio.sleep(0)  # the form is read as far as it has come
            elif form.purpose == BATCH:
                break
        content.feed_eof()
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return None if raw is None else b"".join(raw)


async def _chunks(request: BaseRequest | bytes, most: int) -> AsyncIterator[bytes]:
    if isinstance(request, bytes):
        yield request
        return
    async for chunk in read_chunks(request, most, "jobs.max_file"):
        yield chunk


def _kept_for(asked: str, most_seconds: int) -> int:
    """How long a file is kept: as long as we do, or less where its owner wants that."""
    if not asked:
        return most_seconds
    if not asked.isascii() or not asked.isdigit() or not 3600 <= int(asked) <= 2_592_000:
        raise InvalidValue("expires_after.seconds must be between 3600 and 2592000.", param="expires_after")
    return min(int(asked), most_seconds)
