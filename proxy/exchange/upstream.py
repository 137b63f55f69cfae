"""Speaks to providers: makes one attempt over a connection of the pool (proxy/exchange/io/pool.py), and asks for ourselves.

`send` comes back once there is something to judge: an error, a whole reply, or a stream whose first event was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Generator
from types import coroutine
from typing import Any, Protocol

from msgspec import Struct

from proxy.dialects import UpstreamRequest
from proxy.dialects.contract import Due
from proxy.errors import UpstreamBadResponse, UpstreamReset, UpstreamTimeout, UpstreamUnreachable
from proxy.exchange.failure import Failure
from proxy.exchange.io.http1 import Connection, standing
from proxy.exchange.io.off_loop import LARGE, OffLoop
from proxy.exchange.io.pool import Origin, Pool, Request, Unreachable, head_of, origin_of
from proxy.exchange.io.response import Broken, NotHttp, Response, Stale, see_if_events
from proxy.exchange.io.stepper import Timeout
from proxy.exchange.job import Job
from proxy.exchange.reply import LARGEST_WHOLE, Reply, reply_of, whole_json
from proxy.policy.retries.retry import Trouble
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.outgoing import Pieces
from proxy.wire.sse import is_silent

_LARGEST_ERROR = 2**20
LARGEST_HELD = 2**20  # of pictures, which pass as they come: many may come at once
_LARGEST_DOCUMENT = 64 * 2**20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Where a request goes, the connections that stand there, its head but for the framing, how long the call may take, how
# long its provider may be silent, and whether a stream of text is to come.
_Way = tuple[Origin, list[Connection], bytes, float, float, bool]
_Sending = Generator[Any, Any, "Reply | Failure"]


class Listener(Protocol):
    """Who waits for the first event: told when a stream has begun, and given its early comments."""

    @property
    def stepper(self) -> Timeout:
        """Who bears a deadline, whatever it waits for."""

    def opened(self) -> None:
        """Opening a new connection has ended, well or not."""

    def watch(self) -> None:
        """A stream is to come, or has begun to."""

    async def hold(self, comments: bytes) -> None:
        """Comments came before the first event."""


class Answered(Struct, frozen=True):
    """A small document we asked for ourselves: whatever the status, with the `Date` and `Retry-After` of its head."""

    status: int
    date: str | None
    body: bytes
    retry_after: str | None = None


class Upstream:
    """Sends to providers over one pool of connections. Settings as trust.md section 2 has them."""

    def __init__(self, told: Callable[[str, str], None] | None = None) -> None:
        """Open the pool; must run inside the event loop. `told` gets (event, reason)."""
        self._told = told or (lambda event, reason: None)
        self._untrusted: dict[str, str] = {}
        self.pool = Pool()
        self.outbox = self.pool.outbox
        self._environment_proxies = urllib.request.getproxies()
        self.off_loop = OffLoop()

    async def close(self) -> None:
        """Close every pooled connection."""
        self.pool.close()
        self.off_loop.close()

    @coroutine
    def send(self, job: Job, request: UpstreamRequest, pieces: Pieces, due: Due | None, listener: Listener) -> _Sending:
        """Make the attempt that the job's route and record tell of. Comments before the first event go to the listener. To be awaited."""
        call, route, findings = job.call, job.route, job.record.findings
        assert route is not None and findings is not None
        provider = route.provider
        way = request.wire.get(call.stream) or self._way(provider, request, call)
        origin, idle, head, whole_seconds, silence_seconds, is_to_stream = way
        until = job.record.sent_at + whole_seconds
        if job.until < until and not call.endpoint.draws:
            until = job.until  # a picture is made, and paid for, whether its client waits or not
        connection, response, timeout = None, None, listener.stepper.within(silence_seconds, until)
        try:
            connection = None if request.is_anew else standing(idle)
            if connection is None:
                opened: Connection = yield from self._opened(provider, origin, listener)
                connection = opened
            if due is not None and due.waits:
                yield from due.durable()
            if is_to_stream:
                listener.watch()
            if rest := connection.send(request.method, head, pieces, due):
                yield from connection.upload(rest)
            while (whole := connection.whole) is None and connection.response is None:
                yield connection.news
            if whole is not None:
                connection.done()
                return whole_json(whole, provider, findings, self.off_loop)
            response = connection.answered()
            begun: Reply | Failure = yield from self._begun(job, request, response, listener)
            return begun
        except (TimeoutError, Unreachable, Broken, NotHttp) as error:
            _let_go(connection, response)
            return _failed(provider, error, began=response is not None and call.stream)
        except BaseException:
            _let_go(connection, response)
            raise
        finally:
            timeout.rest()

    async def _begun(
        self, job: Job, request: UpstreamRequest, response: Response, listener: Listener
    ) -> Reply | Failure:
        """Of a reply whose head has come what judging needs."""
        call, route, findings, timeout = job.call, job.route, job.record.findings, listener.stepper
        assert route is not None and findings is not None
        if call.stream and response.head.kind != "events" and response.status < 300:
            await see_if_events(response, timeout)
        reply = reply_of(response, route.provider, findings, self.off_loop, hides_usage=request.hides_usage)
        timeout.heard()
        return await _begin(reply, timeout, listener, LARGEST_HELD if call.endpoint.draws else LARGEST_WHOLE)

    async def get_json(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> bytes:
        """Fetch a small document for ourselves (the catalogue). Raises `ProviderError` on anything but 200."""
        answered = await self.get(provider, path, headers)
        if answered.status != 200:
            raise UpstreamBadResponse(f"{provider.name} answered {answered.status} for {path}.")
        return answered.body

    async def get(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> Answered:
        """The same with the answer as it came. Raises `UpstreamUnreachable` or `UpstreamReset` where there was none."""
        return await self.ask(provider, UpstreamRequest("GET", provider.base_url + path, headers, []), 60)

    async def ask(self, provider: Provider, request: UpstreamRequest, seconds: float) -> Answered:
        """The same for any request of our own."""
        async with self.asking(provider, request, seconds) as response:
            body = await response.read_whole(_LARGEST_DOCUMENT)
        return Answered(response.status, response.header("date"), body, response.header("retry-after"))

    @contextlib.asynccontextmanager
    async def asking(self, provider: Provider, request: UpstreamRequest, seconds: float) -> AsyncIterator[Response]:
        """The same, to be read within: of any size. Raises `UpstreamReset` where it was asked, and its answer did not come."""
        try:
            async with asyncio.timeout(seconds):
                origin, head = self._addressed(provider, request)
                sent = Request(request.method, head, request.pieces)
                response = await self.pool.ask(origin, sent, provider.timeouts.connect)
                try:
                    yield response
                finally:
                    response.release()
        except (TimeoutError, Unreachable, Broken, NotHttp) as error:
            path, was_asked = request.url.removeprefix(provider.base_url), not isinstance(error, (Unreachable, Stale))
            kind = UpstreamReset if was_asked else UpstreamUnreachable
            raise kind(f"{provider.name} did not answer for {path}: {_reason(error)}.") from None

    async def _opened(self, provider: Provider, origin: Origin, listener: Listener) -> Connection:
        """A new connection; why there is no TLS is told once. Raises `Unreachable`."""
        try:
            connection = await self.pool.open(origin, provider.timeouts.connect)
        except Unreachable as error:
            if error.is_tls and self._untrusted.get(provider.name) != error.reason:
                self._untrusted[provider.name] = error.reason
                self._told("tls_handshake_failed", f"{provider.name}: {error.reason}")
            raise
        finally:
            listener.opened()
        self._untrusted.pop(provider.name, None)
        return connection

    def _way(self, provider: Provider, request: UpstreamRequest, call: Call) -> _Way:
        """What calls have in common that ask for the same, if all or none of them for a stream; worked out once."""
        draws, timeouts = call.endpoint.draws, provider.timeouts
        whole = timeouts.whole_call(stream=call.stream, draws=draws)
        silence = timeouts.first_byte if call.stream and not draws else whole
        origin, head = self._addressed(provider, request)
        is_to_stream = call.stream and call.endpoint.shape != "other"
        way = request.wire[call.stream] = origin, self.pool.idle(origin), head, whole, silence, is_to_stream
        return way

    def _addressed(self, provider: Provider, request: UpstreamRequest) -> tuple[Origin, bytes]:
        """Where it goes, and its head but for the framing."""
        scheme, _, rest = request.url.partition("://")
        place = rest.partition("/")[0].partition("?")[0]
        origin = origin_of(f"{scheme}://{place}", self.proxy_for(provider), provider.ca_file)
        return origin, head_of(origin, request.method, rest[len(place) :], request.headers)

    def proxy_for(self, provider: Provider) -> str | None:
        """The HTTP proxy on the way. Environment proxies count only where the configuration says so (trust.md T20)."""
        if provider.proxy != "environment":
            return provider.proxy
        scheme, _, rest = provider.base_url.partition("://")
        if urllib.request.proxy_bypass(rest.partition("/")[0]):
            return None
        return self._environment_proxies.get(scheme)


def _let_go(connection: Connection | None, response: Response | None) -> None:
    """Nothing more is wanted of what was asked."""
    if response is not None:
        response.close()
    elif connection is not None:
        connection.abort()


async def _begin(reply: Reply, timeout: Timeout, listener: Listener, most: int) -> Reply | Failure:
    """Read as far as judging needs, and of a JSON reply that much."""
    if reply.whole:
        return reply
    if reply.status in _REDIRECTS:
        reply.close()
        error = UpstreamBadResponse(f"{reply.provider.name} answered with a redirect, which is never followed.")
        return Failure(error, "no_answer", reply.status)
    if reply.status >= 400:
        await reply.read_whole(_LARGEST_ERROR, timeout)
        return reply
    if reply.is_event_stream:
        return await _first_event(reply, timeout, listener)
    timeout.expect(reply.provider.timeouts.idle)
    if reply.is_json:
        await reply.read_whole(most, timeout)
    return reply


async def _first_event(reply: Reply, timeout: Timeout, listener: Listener) -> Reply | Failure:
    """Read on to the first event with data. Comments are signs of life, not the first byte."""
    findings, reader = reply.findings, reply.reader
    listener.watch()
    while not findings.events:
        chunk = await reply.read_chunk()
        timeout.heard()
        if not chunk:
            reply.first += reader.finish()
            if findings.events or not is_silent(reply.first):
                reply.ended = True
                break
            reply.close()
            error = UpstreamReset(f"{reply.provider.name} ended its stream before the first event.")
            return Failure(error, "no_event")
        size = len(chunk) + reader.held
        ready = reader.feed(chunk) if size <= LARGE else await reply.off_loop(size, reader.feed, chunk)
        if findings.events:
            reply.first = ready
        elif ready and is_silent(ready):
            await listener.hold(ready)
        elif ready:
            reply.first = ready + reader.finish()
            break
    if findings.events:
        reply.first_byte_at = time.monotonic()
    else:
        reply.is_no_stream()
    return reply


def _failed(provider: Provider, error: TimeoutError | Unreachable | Broken | NotHttp, *, began: bool) -> Failure:
    error.__traceback__ = None  # the response keeps it, and its frames the call
    trouble: Trouble = "no_event" if began else "no_answer"
    if isinstance(error, TimeoutError):
        silence = "began to answer and then fell silent" if began else "did not answer in time"
        return Failure(UpstreamTimeout(f"{provider.name} {silence}."), trouble)
    if isinstance(error, Unreachable):
        message = f"{provider.name} cannot be reached: {error.reason}."
        return Failure(UpstreamUnreachable(message), "unreachable")
    if isinstance(error, Stale):
        return Failure(
            UpstreamReset(f"{provider.name} closed its connection as the call went out."), "stale_connection"
        )
    if isinstance(error, NotHttp):
        return Failure(UpstreamBadResponse(f"{provider.name} sent something that is not valid HTTP."), trouble)
    return Failure(UpstreamReset(f"{provider.name} broke the connection before its answer was complete."), trouble)


def _reason(error: Exception) -> str:
    if isinstance(error, Unreachable):
        return error.reason
    return "no answer in time" if isinstance(error, TimeoutError) else "its answer broke off"
