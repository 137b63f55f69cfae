"""One HTTP/1.1 connection to a provider: a request goes out, its reply comes back as it arrives (RFC 9112).

llhttp parses; here are the states around it. Nothing is decoded but heads, and no task, timer or queue is made
for a call: whoever reads waits for one signal.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.exchange.outbox import Outbox
from proxy.exchange.response import HIGH_WATER_BYTES, Broken, NotHttp, Response, Stale, parts_of
from proxy.exchange.stepper import Signal
from proxy.stores.failures import JournalUnwritable
from proxy.wire.outgoing import Pieces
from proxy.wire.reply_head import KnownHeads, ReplyHead, read_reply_head

LARGEST_HEAD_BYTES = 256 * 1024
MOST_HEADERS = 512
MOST_INTERIM_REPLIES = 64
# A connection closed so soon after a request went out was about to be closed when it did.
STALE_SECONDS = 1.0

_STATUSES = range(200, 600)
# Bytes that wait to be read, too: nobody has asked for them, and the next call would take them for its reply.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL


Due = Callable[[], object]


class Connection(asyncio.Protocol):
    """Takes one request at a time. `lent_out` until its reply was released; `free` is told when it may serve again."""

    __slots__ = (
        "_due", "_failure", "_has_news", "_head_bytes", "_headers", "_in_interim", "_interim", "_is_asked",
        "_is_spoilt", "_loop", "_may_write", "_method", "_news", "_outbox", "_parser", "_paused_reading", "_poll",
        "_response", "_sent_at", "_served", "_transport", "_unsent", "free", "heads", "idle_since", "lost",
        "__weakref__"
    )  # fmt: skip

    def __init__(self, outbox: Outbox | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox or Outbox(self._loop)
        self._unsent = b""  # goes out at the end of this turn, once `_due` is done
        self._due: Due | None = None
        self._failure: JournalUnwritable | None = None  # of what was due
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None  # it reads one reply after the other
        self._is_asked = self._has_news = self._paused_reading = self._in_interim = self._is_spoilt = False
        self._method = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._interim = self._served = 0
        self._response: Response | None = None
        self._news = Signal(self._loop)
        self._may_write = True
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None
        self._sent_at = self.idle_since = 0.0
        self.lost = False
        self.free: list[Connection] | None = None
        self.heads = KnownHeads()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is open; TLS, where there is any, is up."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Read a reply, known as it is or by the parser; one that nobody asked for spoils the connection."""
        if not self._is_asked or self._unsent:
            self.abort()
            return
        if self._response is None and not self._head_bytes and self._method != "HEAD":
            whole = self.heads.whole(data)
            if whole is not None:  # it is short, and its head is known
                body = whole.body
                self._response = Response(self, whole.status, whole.head, [body] if body else [], True, len(body))
                self._news.fire()
                return
        self._has_news, is_first = False, not self._head_bytes
        self._parse(data)
        if is_first and self._response is not None and self._response.ended and not self._is_spoilt:
            self.heads.learn(data)
        if self._has_news:
            self._news.fire()

    def _parse(self, data: bytes) -> None:
        self._parser = self._parser or HttpResponseParser(self)
        self._head_bytes += len(data) if self._response is None else 0
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(NotHttp())
        if self._response is None and self._head_bytes > LARGEST_HEAD_BYTES:
            self._fail(NotHttp())

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end; for a reply without a length it is the end of its body."""
        self.lost = True
        response = self._response
        if response is not None and not response.ended and response.error is None:
            if exc is None and not response.head.has_end:
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
        """A piece of the body, which may pass, but not by bytes that wait. A reader that lags stops us reading."""
        response = self._response
        if response is not None and (sink := response.sink) is not None and not response.chunks and sink(body):
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

    async def ask(self, method: str, head: bytes, pieces: Pieces, due: Due | None = None) -> Response:
        """Send a request and wait for the head of its reply. Raises `Broken` or `NotHttp`; then it is closed.

        What is small goes out with its head, in this turn of the loop; `pieces` follow as the network takes them. A reply that
        comes while the body still goes up ends the sending if it is an error (RFC 9112 9.5). `due` is called in the step in
        which the first bytes go out; where that raises `JournalUnwritable`, nothing goes out.
        """
        try:
            if (transport := self._transport) is None or self.lost:
                raise Broken
            self._is_asked, self._unsent, self._due = True, head, due
            self._method, self._response, self._interim, self._head_bytes = method, None, 0, 0
            self._sent_at = self._loop.time()
            self._outbox.put(self)
            if pieces:
                self.go()
                await self._upload(transport, pieces)
            while self._response is None:
                if self.lost or self._failure is not None:
                    raise self._failure or self._broken()
                await self._news
        except BaseException:
            self.abort()
            raise
        if self._response.status == 0 and self._response.error is not None:
            self.abort()
            raise self._response.error
        return self._response

    def go(self) -> None:
        """Send now what is to be sent in this turn."""
        data, due, self._unsent, self._due = self._unsent, self._due, b"", None
        if not data or self._transport is None or self._transport.is_closing():
            return
        try:
            if due is not None:
                due()
            self._transport.write(data)
        except JournalUnwritable as error:
            self._failure = error
            self._news.fire()

    def _broken(self) -> Broken:
        """How the connection ended before a head came."""
        is_stale = self._served and not self._head_bytes and self._loop.time() - self._sent_at <= STALE_SECONDS
        return Stale() if is_stale else Broken()

    async def _upload(self, transport: asyncio.Transport, pieces: Pieces) -> None:
        for part in parts_of(pieces):
            while not (self._may_write or self.lost or self._refused()):
                await self.news()
            if self.lost or self._refused():
                self._is_spoilt = True
                return
            transport.write(part)

    def _refused(self) -> bool:
        response = self._response
        is_error = response is not None and (response.status >= 400 or response.error is not None)
        return is_error or self._failure is not None

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
        self._is_asked, self._response = False, None
        if self._is_spoilt or not response.ended:
            self.abort()
            return
        if self._method == "HEAD":
            self._parser = None  # which waits for a body
        if self._paused_reading:
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
        self._parser, self._is_asked, self._unsent = None, False, b""
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
        self._has_news = self._is_spoilt = True
        if not self._response.ended:
            self._response.error = error
            self.abort()
