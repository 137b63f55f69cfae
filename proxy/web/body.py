"""Reads a request body: bounded in size and in time, held once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp.client_exceptions import ClientError
from aiohttp.http import HttpVersion10
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from proxy.errors import InvalidValue, RequestTooLarge
from proxy.web.faults import ExpectationFailed, RequestTimeout, UnsupportedEncoding

SILENCE_SECONDS = 30.0
SLOW_AFTER_SECONDS = 10.0
LEAST_BYTES_PER_SECOND = 1024
# A body up to this size is always read, whatever else is.
SMALL = 64 * 1024


class Misframed(TimeoutError):
    """Nothing more can be read of a body. To the library it is as if nothing came."""


class Room(Protocol):
    """Keeps account of what is being read."""

    def grow(self, size: int) -> None:
        """The body has come to `size` bytes; raises where that is too much beside others."""


async def read_body(request: BaseRequest, most: int, room: Room | None = None) -> bytes:
    """Return the body. Raises `RequestTooLarge` over `most` bytes, `UnsupportedEncoding`, `RequestTimeout`, and what
    `room` raises.

    A client that asked first (`Expect: 100-continue`) is told to go on only once its size is known to be fine.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in read_chunks(request, most, "" if room is None else "max_body"):
        chunks.append(chunk)
        size += len(chunk)
        if room is not None and size > SMALL:
            room.grow(size)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_chunks(request: BaseRequest, most: int, setting: str) -> AsyncIterator[bytes]:
    """The same as it comes. `setting` is what says how much may come; "" where none does."""
    if not _words(request, "Content-Encoding") <= {"", "identity"}:
        raise UnsupportedEncoding("Request bodies must not be compressed; send this one without Content-Encoding.")
    declared = request.content_length
    if declared is not None and declared > most:
        raise _too_large(most, setting)
    # HTTP/1.0 has no interim replies (RFC 9110 10.1.1)
    if "Expect" in request.headers and request.version != HttpVersion10:
        await _go_on(request)
    if request.can_read_body:
        async for chunk in _read(request, most, setting):
            yield chunk


async def _read(request: BaseRequest, most: int, setting: str) -> AsyncIterator[bytes]:
    loop, content = asyncio.get_running_loop(), request.content
    size = 0
    began = time.monotonic()
    try:
        while True:
            if content.is_eof() and content.total_bytes == size:
                break
            late = loop.call_later(
                patience_seconds(size, time.monotonic() - began), content.set_exception, TimeoutError()
            )
            try:
                # of a body whose length is known, one piece as it came: joining what has come would be a copy more
                chunk = await content.readany() if request.content_length is None else (await content.readchunk())[0]
            finally:
                late.cancel()
            if not chunk:
                break
            size += len(chunk)
            if size > most:
                raise _too_large(most, setting)
            yield chunk
    except (Misframed, HTTPException, ClientError, RequestPayloadError):
        raise InvalidValue("The request body is not framed as HTTP/1.1 has it.") from None
    except TimeoutError:
        raise too_slow() from None


def _words(request: BaseRequest, name: str) -> set[str]:
    """What a header lists, which may stand on several lines (RFC 9110 5.3)."""
    return {word.strip().lower() for word in ",".join(request.headers.getall(name, ())).split(",")}


def patience_seconds(size: int, seconds: float) -> float:
    """How long to wait for more of a body that has come to `size` bytes in so many seconds."""
    return min(SILENCE_SECONDS, max(0.0, SLOW_AFTER_SECONDS + size / LEAST_BYTES_PER_SECOND - seconds))


def too_slow() -> RequestTimeout:
    """The error for a body that does not keep coming."""
    return RequestTimeout(f"The request body stopped arriving for {SILENCE_SECONDS:g} s, or came at less than 1 KiB/s.")


async def _go_on(request: BaseRequest) -> None:
    if _words(request, "Expect") != {"100-continue"}:
        raise ExpectationFailed("Only 'Expect: 100-continue' is understood.")
    with contextlib.suppress(ClientError):  # it may have gone, which whoever reads hears
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # what was sent is no part of the reply; aiohttp resets this in the same place
    request.writer.output_size = 0


def size_text(size: int) -> str:
    """Bytes for people: 64 MiB, 1.5 KiB."""
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"


def _too_large(most: int, setting: str) -> RequestTooLarge:
    where = f"by `{setting}`" if setting else "here"
    return RequestTooLarge(f"The request body is larger than the {size_text(most)} allowed {where}.")
