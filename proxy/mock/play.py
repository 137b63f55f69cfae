"""Steps onto a connection: the only file that writes replies, whole or broken."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import struct
import time
import zlib
from collections.abc import Iterator

from aiohttp import web

from proxy.mock.bill import Row
from proxy.mock.script import Step, body_pause

GARBAGE = b"\x16\x03\x01 this is not HTTP\x00\xff\r\n\r\n"

_UNFINISHED = ("cut", "hang", "truncated")


async def play_stream(
    request: web.Request, headers: dict[str, str], row: Row, steps: Iterator[Step]
) -> web.StreamResponse:
    """Send a stream. What a step emits is booked before its bytes leave, so no client can know of it earlier."""
    squeeze = _Gzip(row)
    response = web.StreamResponse(headers={**headers, **squeeze.headers})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for step in steps:
        await asyncio.sleep(step.pause)
        if step.effect == "hang":
            await forever()
        if step.effect in ("cut", "reset"):
            row.ended = True
            drop(request, reset=step.effect == "reset")
            return response
        _book(row, step)
        await response.write(squeeze.pack(step.data))
    row.ended = True
    if rest := squeeze.rest():
        await response.write(rest)
    await response.write_eof()
    return response


async def play_rest(
    request: web.Request, headers: dict[str, str], events: Iterator[tuple[float, bytes]]
) -> web.StreamResponse:
    """Send what is left of a stream to a client that comes back, each event at its monotonic second. It is booked already."""
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    for due, data in events:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await response.write(data)
    await response.write_eof()
    return response


async def play_body(request: web.Request, headers: dict[str, str], row: Row, body: bytes) -> web.StreamResponse:
    """Send a reply that is not streamed; it is billed in full whoever leaves, and however it breaks."""
    behaviour = row.turn.behaviour
    await asyncio.sleep(body_pause(row.turn))
    if not row.free and behaviour.name not in _UNFINISHED:
        row.complete()
    row.ended = behaviour.name != "hang"
    if behaviour.name == "truncated":
        body = body[: len(body) // 2]
    if behaviour.name == "gzip":
        headers = {**headers, "Content-Encoding": "gzip"}
        body = body if behaviour.lie else gzip.compress(body, mtime=0)
    if behaviour.name not in ("cut", "hang"):
        response = web.Response(body=body, headers=headers)
        if "X-Generation-Id" in headers:
            response.enable_chunked_encoding()
        return response
    part = body[: len(body) // 2] if behaviour.after else b""
    broken = web.StreamResponse(headers=headers)
    broken.content_length = len(body)
    await broken.prepare(request)
    await broken.write(part)
    if behaviour.name == "hang":
        await forever()
    drop(request, reset=behaviour.rst)
    return broken


def drop(request: web.Request, *, reset: bool = False) -> None:
    """End the connection without ending the reply: a clean close, or a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        _linger_zero(transport.get_extra_info("socket"))
        transport.abort()
    else:
        transport.close()


def send_garbage(request: web.Request) -> web.Response:
    """Answer with bytes that are not HTTP, and close."""
    if request.transport is not None:
        request.transport.write(GARBAGE)
    drop(request)
    return web.Response()


async def forever() -> None:
    """Wait for something that never comes; the client's leaving cancels it."""
    await asyncio.Event().wait()


def _book(row: Row, step: Step) -> None:
    row.output_tokens_emitted += step.tokens
    if step.effect == "complete":
        row.complete()
    elif step.effect == "forgive":
        row.forgive()


def _linger_zero(sock: object) -> None:
    """Make the close a reset. The option belongs to the open socket, so a duplicate may set it."""
    fileno = getattr(sock, "fileno", lambda: -1)()
    if fileno < 0:
        return
    with socket.socket(fileno=os.dup(fileno)) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Gzip:
    """Compression of a stream, each event flushed; or only the header that claims it."""

    def __init__(self, row: Row) -> None:
        claimed = row.turn.behaviour.name == "gzip"
        self.headers = {"Content-Encoding": "gzip"} if claimed else {}
        self._packer = zlib.compressobj(wbits=31) if claimed and not row.turn.behaviour.lie else None

    def pack(self, data: bytes) -> bytes:
        return data if self._packer is None else self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def rest(self) -> bytes:
        return b"" if self._packer is None else self._packer.flush()
