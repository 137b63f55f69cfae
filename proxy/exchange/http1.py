"""One HTTP/1.1 connection to a provider: a request goes out, its reply comes back as it arrives (RFC 9112).

llhttp parses; here are the states around it. Nothing is decoded but heads, and no task, timer or queue is made
for a call: whoever reads waits for one signal.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.exchange.response import HIGH_WATER_BYTES, Broken, NotHttp, Response, Stale
from proxy.exchange.stepper import Signal
from proxy.wire.headers import ReplyHead, read_reply_head
from proxy.wire.outgoing import Pieces

LARGEST_HEAD_BYTES = 256 * 1024
MOST_HEADERS = 512
MOST_INTERIM_REPLIES = 64
# A connection closed so soon after a request went out was about to be closed when it did.
STALE_SECONDS = 1.0

# Bodies below this go out with their head in one write.
JOIN_BELOW_BYTES = 64 * 1024

_STATUSES = range(200, 600)
# Bytes that wait to be read, too: nobody has asked for them, and the next call would take them for its reply.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Connection(asyncio.Protocol):
    """Takes one request at a time. `lent_out` until its reply was released; `free` is told when it may serve again."""

    __slots__ = (
        "_head_bytes",
        "_has_news",
        "_headers",
        "_in_interim",
        "_interim",
        "_is_spoilt",
        "_loop",
        "_may_write",
        "_method",
        "_news",
        "_parser",
        "_paused_reading",
        "_poll",
        "_response",
        "_rested",
        "_sent_at",
        "_served",
        "_transport",
        "free",
        "idle_since",
        "lost",
        "__weakref__",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._rested: HttpResponseParser | None = None  # has read a reply to its end, and may read the next
        self._method = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._interim = 0
        self._response: Response | None = None
        self._news = Signal(self._loop)
        self._has_news = False
        self._paused_reading = False
        self._may_write = True
        self._in_interim = False
        self._is_spoilt = False
        self._served = 0
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None
        self._sent_at = 0.0
        self.lost = False
        self.idle_since = 0.0
        self.free: list[Connection] | None = None

    # what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is open; TLS, where there is any, is up."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a reply nobody asked for spoils the connection."""
        parser = self._parser
        if parser is None:
            self.abort()
            return
        self._has_news = False
        if self._response is None:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(NotHttp())
        if self._response is None and self._head_bytes > LARGEST_HEAD_BYTES:
            self._fail(NotHttp())
        if self._has_news:
            self._news.fire()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end; for a reply without a length it is the end of its body."""
        self.lost, self._rested = True, None
        response = self._response
        if response is not None and not response.ended and response.error is None:
            if exc is None and response.until_close:
                response.ended = True
            else:
                response.error = Broken()
        if self.free is not None and self in self.free:
            self.free.remove(self)
        self._news.fire()

    def pause_writing(self) -> None:
        """The network is slower than we are."""
        self._may_write = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self._may_write = True
        self._news.fire()

    # what the parser tells

    def on_message_begin(self) -> None:
        """A head begins: the first, one after an interim reply, or one nobody asked for."""
        if self._response is not None:
            self._is_spoilt = True
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if self._response is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole. Interim replies (RFC 9110 15.2) are passed over; 101 is an answer to nothing we ask."""
        if self._response is not None:
            return
        assert self._parser is not None
        status = self._parser.get_status_code()
        self._in_interim = 100 <= status < 200 and status != 101
        if self._in_interim:
            self._interim += 1
            if self._interim > MOST_INTERIM_REPLIES:
                raise NotHttp
            return
        if status not in _STATUSES or len(self._headers) > MOST_HEADERS:
            raise NotHttp
        self._response, self._has_news = Response(self, status, read_reply_head(self._headers)), True
        self._headers = []  # of no more use, however long the stream
        if self._method == "HEAD":
            self._response.ended = True
            self._is_spoilt = self._is_spoilt or not self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A piece of the body. Back-pressure: a reader that lags stops us reading."""
        response = self._response
        if response is not None and response.passes(body):
            return
        self._has_news = True
        if response is None or response.ended:
            self._is_spoilt = True
        elif response.receive(body) and not self._paused_reading and self._transport is not None:
            self._paused_reading = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The reply is whole, or an interim one has passed."""
        response = self._response
        if response is None or self._in_interim:
            return
        assert self._parser is not None
        response.ended = self._has_news = True
        self._is_spoilt = self._is_spoilt or not self._parser.should_keep_alive()

    # what callers do

    async def ask(self, method: str, head: bytes, pieces: Pieces) -> Response:
        """Send a request and wait for the head of its reply. Raises `Broken` or `NotHttp`; then it is closed.

        A reply that comes while the body still goes up ends the sending if it is an error (RFC 9112 9.5).
        """
        transport = self._transport
        try:
            if transport is None or self.lost:
                raise Broken
            self._parser, self._rested = self._rested or HttpResponseParser(self), None
            self._method, self._response, self._interim, self._head_bytes = method, None, 0, 0
            self._sent_at = self._loop.time()
            if sum(map(len, pieces)) < JOIN_BELOW_BYTES:
                transport.write(b"".join((head, *pieces)))
            else:
                await self._upload(transport, head, pieces)
            while self._response is None:
                if self.lost:
                    raise self._broken()
                await self._news
        except BaseException:
            self.abort()
            raise
        if self._response.status == 0 and self._response.error is not None:
            self.abort()
            raise self._response.error
        return self._response

    def _broken(self) -> Broken:
        """How the connection ended before a head came."""
        is_stale = self._served and not self._head_bytes and self._loop.time() - self._sent_at <= STALE_SECONDS
        return Stale() if is_stale else Broken()

    async def _upload(self, transport: asyncio.Transport, head: bytes, pieces: Pieces) -> None:
        transport.write(head)
        for part in _parts(pieces):
            while not self._may_write and not self.lost and not self._refused():
                await self.news()
            if self.lost or self._refused():
                self._is_spoilt = True
                return
            transport.write(part)

    def _refused(self) -> bool:
        return self._response is not None and (self._response.status >= 400 or self._response.error is not None)

    def news(self) -> Awaitable[None]:
        """Something to wait for: until something has happened here."""
        return self._news

    def flow(self) -> None:
        """The reader has caught up."""
        if self._paused_reading and self._transport is not None and not self.lost:
            self._paused_reading = False
            self._transport.resume_reading()

    def done(self, response: Response) -> None:
        """A reply was taken to its end: wait for the next request, or close."""
        parser, self._parser, self._response = self._parser, None, None
        if self.lost or self._is_spoilt or not response.ended or self.free is None:
            self.abort()
            return
        self._rested = None if self._method == "HEAD" else parser  # which waits for a body there
        self.flow()
        self._served += 1
        self.give_back()

    def give_back(self) -> None:
        """It may serve."""
        if self.free is None or self.lost:
            self.abort()
            return
        self.idle_since = self._loop.time()
        self.free.append(self)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._parser = self._rested = None
        if self._transport is not None and not self.lost:
            self._transport.abort()

    def is_gone(self) -> bool:
        """Whether the other side has closed its end, or said what nobody asked for; asked of the system, which knows before
        the loop does."""
        if self._poll is None:
            socket = None if self._transport is None else self._transport.get_extra_info("socket")
            if socket is None or socket.fileno() < 0:
                return True
            poller = select.poll()
            poller.register(socket.fileno(), _GONE)
            self._poll = poller.poll
        return bool(self._poll(0))

    def _fail(self, error: Exception) -> None:
        if self._response is None:
            self._response = Response(self, 0, ReplyHead({}, []))
        self._has_news = True
        if self._response.ended:
            self._is_spoilt = True
        else:
            self._response.error = error
            self._parser = None
            self.abort()


def _parts(pieces: Pieces) -> Iterator[memoryview]:
    """The body in parts no larger than what may wait for the network; nothing is copied."""
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), HIGH_WATER_BYTES):
            yield view[at : at + HIGH_WATER_BYTES]
