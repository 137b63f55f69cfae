"""The only file that opens connections to providers and speaks over them (proxy/doctor/network.py only knocks).

`send` makes one attempt and comes back once there is something to judge: an error, a reply
read whole, or a stream whose first event has been seen.
"""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any, Protocol

import aiohttp
import multidict
from aiohttp.connector import Connection
from aiohttp.payload import Payload
from msgspec import Struct
from yarl import URL

from proxy.dialects import UpstreamRequest
from proxy.errors import UpstreamBadResponse, UpstreamReset, UpstreamTimeout, UpstreamUnreachable
from proxy.exchange.head import HeadWriter
from proxy.exchange.patience import Patience
from proxy.exchange.reply import LARGEST_WHOLE, Failure, Reply
from proxy.policy.retry import Trouble
from proxy.policy.values import Provider
from proxy.wire.call import Call, Pieces
from proxy.wire.headers import is_plain
from proxy.wire.reader import StreamReader

_JOIN_BELOW = 64 * 1024
_LARGEST_ERROR = 2**20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Listener(Protocol):
    """Who waits for the first event: told when a stream has begun, and given its early comments."""

    def watch(self) -> None:
        """A stream has begun."""

    async def hold(self, comments: bytes) -> None:
        """Comments came before the first event."""


class Wait(Struct, frozen=True):
    """How long the client will wait (monotonic `until`), and who it is."""

    until: float
    listener: Listener


class Answered(Struct, frozen=True):
    """A small document we asked for ourselves: whatever the status, with the `Date` of its head."""

    status: int
    date: str | None
    body: bytes


class Upstream:
    """Sends to providers over one pool of connections. Settings as trust.md section 2 has them."""

    def __init__(self) -> None:
        """Open the pool; must run inside the event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, keepalive_timeout=15),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=65536,
            max_field_size=65536,
            max_headers=512,
        )
        self._environment_proxies = urllib.request.getproxies()

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._session.close()

    async def send(
        self, provider: Provider, request: UpstreamRequest, reader: StreamReader, call: Call, wait: Wait
    ) -> Reply | Failure:
        """Make one attempt. Comments that come before the first event go to the listener."""
        until = min(wait.until, asyncio.get_running_loop().time() + provider.timeouts.total)
        silence = provider.timeouts.first_byte if call.stream else provider.timeouts.total
        response: aiohttp.ClientResponse | None = None
        try:
            async with Patience(silence, until) as patience:
                response = await self._request(provider, request)
                patience.heard()
                reply = Reply(response, provider, reader)
                return await _begin(reply, patience, wait)
        except TimeoutError as error:
            failure = _timed_out(provider, error, began=response is not None and call.stream)
        except aiohttp.ClientError as error:
            failure = _failed(provider, error, began=response is not None and call.stream)
        except BaseException:
            if response is not None:
                response.close()
            raise
        if response is not None:
            response.close()
        return failure

    async def get_json(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> bytes:
        """Fetch a small document for ourselves (the catalogue). Raises `ProviderError` on anything but 200."""
        answered = await self.get(provider, path, headers)
        if answered.status != 200:
            raise UpstreamBadResponse(f"{provider.name} answered {answered.status} for {path}.")
        return answered.body

    async def get(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> Answered:
        """The same with the answer as it came. Raises `UpstreamUnreachable` where there was none."""
        request = UpstreamRequest("GET", provider.base_url + path, headers, [])
        try:
            async with asyncio.timeout(60):
                response = await self._request(provider, request)
                async with response:
                    body = await response.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise UpstreamUnreachable(f"{provider.name} did not answer for {path}: {type(error).__name__}.") from None
        return Answered(response.status, response.headers.get("Date"), body)

    async def _request(self, provider: Provider, request: UpstreamRequest) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=multidict.CIMultiDict(request.headers),
            data=_payload(request),
            allow_redirects=False,
            proxy=self.proxy_for(provider),
            timeout=aiohttp.ClientTimeout(total=None, connect=provider.timeouts.connect),
        )

    def proxy_for(self, provider: Provider) -> str | None:
        """The HTTP proxy on the way. Environment proxies count only where the configuration says so (trust.md T20)."""
        if provider.proxy != "environment":
            return provider.proxy
        scheme, _, rest = provider.base_url.partition("://")
        if urllib.request.proxy_bypass(rest.partition("/")[0]):
            return None
        return self._environment_proxies.get(scheme)


async def _begin(reply: Reply, patience: Patience, wait: Wait) -> Reply | Failure:
    """Read as far as judging needs."""
    if not 200 <= reply.status <= 599:  # RFC 9110 15: 1xx are no answers (101 would end HTTP), the rest are no statuses
        reply.close()
        error = UpstreamBadResponse(f"{reply.provider.name} answered with a status that is none ({reply.status:03d}).")
        return Failure(error, "no_answer")
    if reply.status in _REDIRECTS:
        reply.close()
        error = UpstreamBadResponse(f"{reply.provider.name} answered with a redirect, which is never followed.")
        return Failure(error, "no_answer", reply.status)
    if reply.status >= 400:
        await reply.read_whole(_LARGEST_ERROR, patience)
        return reply
    if reply.is_event_stream:
        return await _first_event(reply, patience, wait)
    patience.silence_seconds = reply.provider.timeouts.idle
    if reply.is_json:
        await reply.read_whole(LARGEST_WHOLE, patience)
    return reply


async def _first_event(reply: Reply, patience: Patience, wait: Wait) -> Reply | Failure:
    """Read on to the first event with data. Comments are signs of life, not the first byte."""
    findings = reply.reader.findings
    wait.listener.watch()
    while not findings.events:
        chunk = await reply.read_chunk()
        patience.heard()
        if not chunk:
            reply.first += reply.reader.finish()
            if findings.events:
                break
            reply.close()
            error = UpstreamReset(f"{reply.provider.name} ended its stream before the first event.")
            return Failure(error, "no_event")
        ready = reply.reader.feed(chunk)
        if findings.events:
            reply.first = ready
        elif ready:
            await wait.listener.hold(ready)
    return reply


class _Request(aiohttp.ClientRequest):
    """A request whose header values go out as they came."""

    async def write_bytes(self, writer: Any, conn: Connection, content_length: int | None = None) -> None:
        """Write head and body; a request whose head needs this has a body, be it empty."""
        if not all(map(is_plain, self.headers.values())):
            assert conn.protocol is not None
            target = str(self.url) if self.proxy and not self.is_ssl() else self.url.raw_path_qs
            writer = HeadWriter(conn.protocol, self.loop)
            await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        await super().write_bytes(writer, conn, content_length)


class _PiecesPayload(Payload):
    """A large body sent as the pieces it is made of, without a copy."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(pieces)
        self._size = sum(len(piece) for piece in pieces)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        writer.send_headers()  # otherwise the library joins them with the first large piece into a copy
        for piece in self._value:
            if piece:
                await writer.write(piece)

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        await self.write(writer)


def _payload(request: UpstreamRequest) -> bytes | _PiecesPayload | None:
    pieces = request.pieces
    size = sum(len(piece) for piece in pieces)
    if size == 0:
        return None if all(is_plain(value) for _, value in request.headers) else _PiecesPayload([])
    if size < _JOIN_BELOW:
        return b"".join(pieces)
    return _PiecesPayload(pieces)


def _timed_out(provider: Provider, error: TimeoutError, *, began: bool) -> Failure:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreachable(provider, f"no connection within {provider.timeouts.connect:g} s")
    if began:
        return Failure(UpstreamTimeout(f"{provider.name} began to answer and then fell silent."), "no_event")
    return Failure(UpstreamTimeout(f"{provider.name} did not answer in time."), "no_answer")


def _failed(provider: Provider, error: aiohttp.ClientError, *, began: bool) -> Failure:
    """Map the library's errors; their text may quote headers, so only their kind is told."""
    trouble: Trouble = "no_event" if began else "no_answer"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return _unreachable(provider, "the TLS handshake failed")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unreachable(provider, "its host name has no address")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL | aiohttp.ClientHttpProxyError):
        return _unreachable(provider, "the connection was refused")
    if isinstance(error, aiohttp.ClientResponseError) or (
        isinstance(error, aiohttp.ClientPayloadError) and not isinstance(error.__cause__, ConnectionError | None)
    ):
        return Failure(UpstreamBadResponse(f"{provider.name} sent something that is not valid HTTP."), trouble)
    return Failure(UpstreamReset(f"{provider.name} broke the connection before its answer was complete."), trouble)


def _unreachable(provider: Provider, reason: str) -> Failure:
    return Failure(UpstreamUnreachable(f"{provider.name} cannot be reached: {reason}."), "unreachable")
