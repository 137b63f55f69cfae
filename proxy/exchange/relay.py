"""The only file that writes replies: status and headers once, then bytes, keep-alives, a last error."""

from __future__ import annotations

import asyncio
import contextlib
import time

from aiohttp import web
from multidict import CIMultiDict

from proxy.errors import ProxyError, UpstreamError, UpstreamReset
from proxy.exchange.aside import LARGE
from proxy.exchange.patience import Patience
from proxy.exchange.record import Record
from proxy.exchange.reply import Reply
from proxy.wire.endpoints import Shape
from proxy.wire.headers import Headers
from proxy.wire.reader import StreamReader, error_event

KEEP_ALIVE_SECONDS = 15.0
LAST_WORDS_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
FOLLOWS_SECONDS = 0.2
_KEEP_ALIVE = b": keep-alive\n\n"
STREAM_HEADERS: Headers = [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]


class Client:
    """The client's side of one call. Comments wait here until the first event or 15 s of silence.

    Once the client has gone, writing is a no-op: whoever reads on, reads for the usage.
    """

    __slots__ = (
        "_beat_task",
        "_held",
        "_loop",
        "_reader",
        "_record",
        "_response",
        "_says_events",
        "_spoke",
        "_timer",
        "gone",
        "request",
    )

    def __init__(self, request: web.BaseRequest, record: Record) -> None:
        self.request = request
        self.gone = False
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._response: web.StreamResponse | None = None
        self._held = b""
        self._spoke = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._beat_task: asyncio.Task[None] | None = None
        self._reader: StreamReader | None = None
        self._says_events = False

    @property
    def started(self) -> bool:
        """Whether status and headers are out."""
        return self._response is not None

    async def hold(self, comments: bytes) -> None:
        """Take comments that came before the first event."""
        self._held += comments
        if self._response is not None:
            await self._beat()

    def drop_held(self) -> None:
        """The attempt they came from failed before anything was sent."""
        self._held = b""

    def take_held(self) -> bytes:
        """The comments that are to go out before the first event."""
        held, self._held = self._held, b""
        return held

    def sent(self) -> None:
        """The first request went upstream: silence counts from here."""
        if self._timer is None and self._response is None:
            self._spoke = self._loop.time()

    def watch(self) -> None:
        """From now on, never be silent for 15 s: an upstream has begun a stream."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._spoke + KEEP_ALIVE_SECONDS, self._tick)

    async def begin(self, status: int, headers: Headers, reader: StreamReader | None = None) -> None:
        """Send status and headers, unless silence has sent them already."""
        if self._beat_task is not None:
            await self._beat_task
        self._reader = reader
        if self._response is None:
            self._record.status = status
            await self._prepare(web.StreamResponse(status=status, headers=CIMultiDict(headers)))

    async def _prepare(self, response: web.StreamResponse) -> None:
        self._response, self._says_events = response, response.content_type == "text/event-stream"
        try:
            await response.prepare(self.request)
        except ConnectionError:
            self.gone = True
        response.headers.clear()  # they are out; a long stream need not keep them

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client is slow."""
        if self.gone or self._response is None:
            return
        if self._record.first_byte_at is None:
            self._record.first_byte_at = time.monotonic()
        try:
            await self._response.write(data)
        except ConnectionError:
            self.gone = True
        self._spoke = self._loop.time()

    async def whole(self, status: int, headers: Headers, body: bytes) -> web.StreamResponse:
        """Send a reply in hand: one write, with its length."""
        self.rest()
        self._record.status = status
        self._record.first_byte_at = time.monotonic()
        response = web.Response(status=status, headers=CIMultiDict(headers), body=body)
        with contextlib.suppress(ConnectionError):
            await response.prepare(self.request)
            await response.write_eof()
        return response

    async def end(self) -> web.StreamResponse:
        """Finish the reply as complete."""
        self.rest()
        response = self._response or web.StreamResponse()
        if not self.gone:
            with contextlib.suppress(ConnectionError):
                await response.write_eof()
        return response

    async def cut(self, error: ProxyError, shape: Shape) -> web.StreamResponse:
        """Finish a reply that has begun as broken: an error event where the stream allows it, no final chunk."""
        self.rest()
        response = self._response or web.StreamResponse()
        transport = self.request.transport
        if transport is None or self.gone:
            return response
        if not self._says_events or (self._reader and not self._reader.at_boundary):
            transport.abort()
            return response
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await response.write(error_event(shape, error))
        transport.close()
        return response

    def rest(self) -> None:
        """Stop the keep-alives."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        due = self._spoke + KEEP_ALIVE_SECONDS
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._tick)
            return
        if self._response is None and self._record.phase == "waiting":  # what waits in line is not answered 200
            self._timer = self._loop.call_later(_LOOK_AGAIN_SECONDS, self._tick)
            return
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS, self._tick)
        if self._reader is None or self._reader.at_boundary:
            self._beat_task = self._loop.create_task(self._beat(), name=f"keep-alive {self._record.request_id}")

    async def _beat(self) -> None:
        """Say something: what was held, else a comment of our own."""
        if self._response is None:
            own = self._record.own_headers()
            self._record.status = 200
            headers = [("Content-Type", "text/event-stream"), *STREAM_HEADERS, *own]
            await self._prepare(web.StreamResponse(headers=CIMultiDict(headers)))
        if not self.gone and self._response is not None:
            with contextlib.suppress(ConnectionError):
                await self._response.write(self.take_held() or _KEEP_ALIVE)
        self._spoke = self._loop.time()


async def relay(client: Client, reply: Reply, record: Record, headers: Headers) -> web.StreamResponse:
    """Pass the reply on. Raises `ProviderError` when it breaks off under way."""
    if client.started and not reply.is_event_stream:
        raise UpstreamError(reply.error_message())
    if reply.whole:
        record.phase = "done"
        return await client.whole(reply.status, headers, reply.first)
    record.phase = "streaming"
    if reply.is_event_stream:
        await client.begin(reply.status, headers, reply.reader)
        client.watch()
    else:
        length = [("Content-Length", reply.content_length)] if reply.content_length is not None else []
        client.rest()
        await client.begin(reply.status, [*headers, *length])
    timeouts = reply.provider.timeouts
    try:
        async with Patience(timeouts.idle, asyncio.get_running_loop().time() + timeouts.total) as patience:
            await (_pass_events if reply.is_event_stream else _pass_bytes)(client, reply, record, patience)
    except (TimeoutError, UpstreamReset) as error:
        # what befalls the connection after the terminal event is no longer the client's concern
        if not (reply.is_event_stream and reply.reader.findings.complete):
            raise reply.silent() if isinstance(error, TimeoutError) else error from None
    record.phase = "done"
    await reply.settled()
    return await client.end()


async def _pass_events(client: Client, reply: Reply, record: Record, patience: Patience) -> None:
    """Events as they come; a stream that stops without saying that it is complete is an error."""
    reader = reply.reader
    findings = reader.findings
    ready, reply.first = client.take_held() + reply.first, b""
    while True:
        if ready:
            if findings.complete:
                record.phase = "done"
            if findings.terminal:
                await reply.settled()
            await _say(client, ready, patience)
            if reply.settler is not None and not findings.complete:
                reply.settler.afford(findings)
        ready = chunk = b""  # nothing is kept while nothing comes
        if findings.terminal:
            chunk = await _what_follows(reply)
        else:
            chunk = await reply.next_chunk()
        if not chunk:
            break
        patience.heard()
        size = reader.held + len(chunk)
        ready = reader.feed(chunk) if size <= LARGE else await reply.aside(size, reader.feed, chunk)
    if rest := reader.finish():
        await client.write(rest)
    if not findings.complete:
        record.phase = "streaming"
        raise UpstreamReset(f"{reply.provider.name} ended its answer in the middle.")


async def _what_follows(reply: Reply) -> bytes:
    """What comes at once behind the end of a stream; mostly nothing does, and the client is not kept waiting for it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FOLLOWS_SECONDS):
            return await reply.next_chunk()
    return b""


async def _pass_bytes(client: Client, reply: Reply, record: Record, patience: Patience) -> None:
    """Anything else, untouched."""
    left = int(reply.content_length or 0)
    chunk = reply.first or await reply.next_chunk()
    while chunk:
        left -= len(chunk)
        if left == 0:
            reply.end()
            await reply.settled()
        await _say(client, chunk, patience)
        chunk = await reply.next_chunk()
        patience.heard()


async def _say(client: Client, data: bytes, patience: Patience) -> None:
    """Write; a client that is slow to take it is not the upstream's silence."""
    patience.excused = True
    await client.write(data)
    patience.excused = False
    patience.heard()
