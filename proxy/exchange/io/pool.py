"""Connections to providers, kept while they are of use: opened by name, through a proxy where one is set, verified."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import resource
import socket
import ssl
import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs
from msgspec import Struct

from proxy.dialects.contract import Due
from proxy.exchange.io.http1 import Connection, standing
from proxy.exchange.io.names import Names
from proxy.exchange.io.response import Broken, Response
from proxy.exchange.io.stepper import Outbox
from proxy.exchange.io.tls import BROKEN_OFF, client_context, why_failed
from proxy.wire.headers import Headers, head_bytes
from proxy.wire.outgoing import Pieces
from proxy.wire.reply_head import KnownHeads

IDLE_SECONDS = 15.0
# One in so many of this process's descriptors may be held by what is idle; beyond that it makes room.
IDLE_SHARE = 16
ADDRESSES_SECONDS = 30.0
# A second address is tried beside the first after so long (RFC 8305).
SECOND_ADDRESS_SECONDS = 0.25

_PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """No connection could be made; `reason` says why, in words. `is_tls`: there was one, but no handshake."""

    def __init__(self, reason: str, *, is_tls: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_tls = is_tls


class Origin(Struct, frozen=True, cache_hash=True):
    """Where a connection leads. `authority` is the Host header; `proxy` the URL of an HTTP proxy on the way,
    `ca_file` whom to believe there."""

    scheme: str
    host: str
    port: int
    authority: str
    proxy: str | None = None
    ca_file: str | None = None


class Request(Struct, frozen=True):
    """What is sent: `head` is all of it but the length of the body and the blank line."""

    method: str
    head: bytes
    pieces: Pieces


class Pool:
    """Lends connections and takes them back; to be used inside one event loop. What they say goes out by the `outbox`."""

    def __init__(self) -> None:
        self.outbox = Outbox(asyncio.get_running_loop())
        self._idle: dict[Origin, list[Connection]] = {}
        self._heads: dict[Origin, KnownHeads] = {}
        self._addresses: dict[tuple[str, int], tuple[float, list[Any]]] = {}
        self._names = Names()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: dict[str | None, tuple[tuple[int, ...], ssl.SSLContext]] = {}

    def close(self) -> None:
        """Close what is idle; what is lent out ends with its reply."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.close_idle()
        self._idle.clear()

    @property
    def idle_connections(self) -> int:
        """How many stand and serve nobody."""
        return sum(map(len, self._idle.values()))

    def close_idle(self) -> None:
        """Close those, whose descriptors others want."""
        for idle in self._idle.values():
            closing = idle[:]
            idle.clear()
            for connection in closing:
                connection.free = None
                connection.abort()

    async def ask(self, origin: Origin, request: Request, connect_seconds: float) -> Response:
        """Send a request and wait for the head of the reply. What makes something goes over a new connection: of one that stands
        and is closed in that moment, nobody would know whether it was made. Raises `Unreachable`, `Broken` or `NotHttp`."""
        stands = standing(self.idle(origin)) if request.method != "POST" else None
        connection = stands or await self.open(origin, connect_seconds)
        return await ask_over(connection, request)

    async def open(self, origin: Origin, connect_seconds: float) -> Connection:
        """A new connection. Raises `Unreachable`."""
        opening = asyncio.create_task(self._open(origin, connect_seconds), name=f"connect to {origin.host}")
        try:
            return await opening
        except BaseException:
            opening.add_done_callback(_unwanted)
            raise

    def idle(self, origin: Origin) -> list[Connection]:
        """The connections that stand and serve nobody, now and whenever there are others."""
        return self._idle.setdefault(origin, [])

    async def _open(self, origin: Origin, seconds: float) -> Connection:
        idle = self.idle(origin)
        if self.idle_connections > resource.getrlimit(resource.RLIMIT_NOFILE)[0] // IDLE_SHARE:
            self.close_idle()
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect(origin)
        except TimeoutError:
            raise Unreachable(f"no connection within {seconds:g} s") from None
        except socket.gaierror:
            raise Unreachable("its host name has no address") from None
        except (OSError, Broken):
            raise Unreachable("the connection was refused") from None
        connection.free, connection.heads = idle, self._heads.setdefault(origin, connection.heads)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)
        return connection

    def _connection(self) -> Connection:
        return Connection(self.outbox)

    async def _connect(self, origin: Origin) -> Connection:
        if origin.proxy is not None:
            return await self._through(origin, origin.proxy)
        sock = await self._dial(origin.host, origin.port)
        if origin.scheme == "https":
            return await self._secured(sock, origin)
        return (await asyncio.get_running_loop().create_connection(self._connection, sock=sock))[1]

    async def _secured(self, sock: socket.socket, origin: Origin) -> Connection:
        """TLS over a connection that stands. Raises `Unreachable`."""
        try:
            context = self._context(origin.ca_file)
        except OSError:
            sock.close()
            raise Unreachable("its `ca_file:` cannot be read as PEM certificates", is_tls=True) from None
        loop = asyncio.get_running_loop()
        try:
            return (
                await loop.create_connection(self._connection, sock=sock, ssl=context, server_hostname=origin.host)
            )[1]
        except ssl.SSLError as error:
            raise Unreachable(why_failed(error, origin.ca_file), is_tls=True) from None
        except OSError:
            raise Unreachable(BROKEN_OFF, is_tls=True) from None

    async def _dial(self, host: str, port: int) -> socket.socket:
        """A socket connected to the first of the host's addresses that answers."""
        addresses = await self._resolve(host, port)
        try:
            sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=SECOND_ADDRESS_SECONDS)
        except OSError:
            self._addresses.pop((host, port), None)
            raise
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    async def _resolve(self, host: str, port: int) -> list[Any]:
        known, now = self._addresses.get((host, port)), time.monotonic()
        if known is not None and now < known[0]:
            return known[1]
        found = await self._names.addresses(host, port)
        self._addresses[(host, port)] = (now + ADDRESSES_SECONDS, found)
        return found

    async def _through(self, origin: Origin, url: str) -> Connection:
        """By way of an HTTP proxy: plain requests name the whole URL, for TLS it digs a tunnel (RFC 9110 9.3.6)."""
        proxy, loop = urlsplit(url), asyncio.get_running_loop()
        sock = await self._dial(proxy.hostname or "", proxy.port or _PORTS.get(proxy.scheme, 80))
        if origin.scheme == "http":
            return (await loop.create_connection(self._connection, sock=sock))[1]
        tunnel = f"{_bracketed(origin.host)}:{origin.port}"
        head = head_bytes(f"CONNECT {tunnel} HTTP/1.1", [("Host", tunnel), *_proxy_credentials(url)])
        try:
            await loop.sock_sendall(sock, head)
            await _tunnel_opened(sock)
        except BaseException:
            sock.close()
            raise
        return await self._secured(sock, origin)

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        """Made once, and again where the file has changed. Raises OSError."""
        found = None if ca_file is None else os.stat(ca_file)
        stamp = () if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._tls.get(ca_file)
        if known is None or known[0] != stamp:
            known = self._tls[ca_file] = stamp, client_context(ca_file)
        return known[1]

    def _sweep(self) -> None:
        """Close what has been idle for too long, again and again: what is lent out now is idle later."""
        limit = time.monotonic() - IDLE_SECONDS
        for idle in list(self._idle.values()):
            for connection in [c for c in idle if c.idle_since <= limit]:
                idle.remove(connection)
                connection.abort()
        self._sweeper = asyncio.get_running_loop().call_later(IDLE_SECONDS / 3, self._sweep)


async def ask_over(connection: Connection, request: Request, due: Due | None = None) -> Response:
    """Send a request and wait for the head of its reply. Raises `Broken`, `NotHttp`, and what `due` raises; then it is closed."""
    try:
        if rest := connection.send(request.method, request.head, request.pieces, due):
            await connection.upload(rest)
        while connection.response is None and connection.whole is None:
            await connection.news
        if connection.whole is not None:
            known, body = connection.whole
            connection.response = Response(None, known.status, known, [body], True)
        return connection.answered()
    except BaseException:
        connection.abort()
        raise


@lru_cache(maxsize=256)
def origin_of(base: str, proxy: str | None, ca_file: str | None = None) -> Origin:
    """The origin of `scheme://host[:port]`. Raises ValueError for what is no such URL."""
    parts = urlsplit(base)
    host = (parts.hostname or "").encode("idna").decode()
    default = _PORTS[parts.scheme]
    port = parts.port or default
    authority = _bracketed(host) if port == default else f"{_bracketed(host)}:{port}"
    return Origin(parts.scheme, host, port, authority, proxy, ca_file)


def head_of(origin: Origin, method: str, target: str, headers: Headers) -> bytes:
    """The request line and every header but the framing; `target` is the path and query, exactly.

    Raises ValueError where a value would begin a line of its own.
    """
    through_proxy = origin.proxy is not None and origin.scheme == "http"
    own = [("Host", origin.authority)]
    if through_proxy:
        target = f"http://{origin.authority}{target}"
        own += _proxy_credentials(origin.proxy or "")
    headers = [*own, *headers]
    head = head_bytes(f"{method} {target} HTTP/1.1", headers)[:-2]
    if not head.count(b"\n") == head.count(b"\r") == len(headers) + 1 or b"\0" in head:
        raise ValueError("a header value holds a line end")
    return head


def _proxy_credentials(url: str) -> Headers:
    parts = urlsplit(url)
    if parts.username is None:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")]


async def _tunnel_opened(sock: socket.socket) -> None:
    """Read the proxy's answer to CONNECT; nothing follows it before we speak. Raises OSError on anything but 2xx."""
    loop, answer = asyncio.get_running_loop(), b""
    while not answer.endswith(b"\r\n\r\n"):
        data = await loop.sock_recv(sock, 4096)
        answer += data
        if not data or len(answer) > 2**16:
            raise OSError("the proxy did not open a tunnel")
    if not answer[9:10] == b"2":
        raise OSError("the proxy refused the tunnel")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unwanted(opening: asyncio.Task[Connection]) -> None:
    """Close a connection that nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
