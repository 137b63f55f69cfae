"""One HTTP/1.1 connection to a provider: a request goes out, its reply comes back as it arrives (RFC 9112).

A reply that comes in one piece behind a head that is known is taken as it is; any other is parsed (parsing.py). No task, timer
or queue is made for a call: whoever reads waits for one signal.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable
from typing import cast

from proxy.dialects.contract import Due
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.io.parsing import Parsing
from proxy.exchange.io.response import HIGH_WATER_BYTES, Broken, Response, Stale, parts_of
from proxy.exchange.io.stepper import Outbox, Signal
from proxy.stores.failures import JournalUnwritable
from proxy.wire.chunks import BEGINNINGS, END, LARGEST_CHUNK
from proxy.wire.outgoing import Pieces
from proxy.wire.reply_head import LENGTH_LINES, KnownHeads, ReplyHead, length_line

# A connection closed so soon after a request went out was about to be closed when it did.
STALE_SECONDS = 1.0
# Bodies below this go out with their head in one write.
JOIN_BELOW_BYTES = 256 * 1024  # a copy of so much takes less than to send it in two
LONG_SECONDS = 0.005  # for what came at once: chunks of a byte take six times as long

_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_NO_HEAD = ReplyHead({}, [])
_BRACE = ord("{")
# Bytes that wait to be read, too: nobody has asked for them, and the next call would take them for its reply.
_NEWS = getattr(select, "POLLRDHUP", 0) | select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL


def _lost(_: int) -> bool:
    return True


class Connection(asyncio.Protocol):
    """Takes one request at a time: `send`, wait for `news` until there is a `response`, take it when it is `answered`; or until
    there is `whole`, all of a reply that is small JSON, to be taken with `done`.

    It is lent out until that was released; then `free` gets it, None where it is of no more use. `idle_since`: 0 where it
    never was. `peek(0)`: whether the other side has closed its end, or said what nobody asked for; asked of the system, which
    knows before the loop does. `streaming`: the response, where what came last of it was all of a chunk.
    """

    __slots__ = (
        "_due", "_free_since_turn", "_is_fresh", "_loop", "_may_write", "_outbox", "_parsing", "_paused_reading", "_sent_at",
        "_transport", "_unsent", "free", "heads", "idle_since", "lost", "method", "news", "peek", "response", "streaming", "whole", "__weakref__"
    )  # fmt: skip

    def __init__(self, outbox: Outbox | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox or Outbox(self._loop)
        self._unsent = b""  # goes out at the end of this turn, once `_due` is done
        self._due: Due | None = None
        self._transport: asyncio.Transport
        self._parsing: Parsing | None = None  # it reads one reply after the other
        self._paused_reading = False
        self._is_fresh = False  # nothing has come of a reply that may come in one piece
        self.method = ""  # of the request under way
        self.response: Response | None = None
        self.streaming: Response | None = None
        self.whole: tuple[ReplyHead, bytes] | None = None
        self.news = Signal(self._loop)
        self._may_write = True
        self.lost = True  # or not there yet
        self.peek: Callable[[int], object] = _lost  # until it is free for the first time
        self._sent_at, self.idle_since, self._free_since_turn = 0.0, 0.0, -1
        self.free: list[Connection] | None = None
        self.heads = KnownHeads()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is open; TLS, where there is any, is up."""
        self._transport, self.lost = cast(asyncio.Transport, transport), False
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Read a reply, known as it is or by the parser; one that nobody asked for spoils the connection."""
        if (response := self.streaming) is not None:
            beginning, sink = BEGINNINGS[len(data)] if len(data) <= LARGEST_CHUNK else b"", response.sink
            if beginning:
                if sink is not None and sink.chunk(data, beginning):
                    return
                if data.startswith(beginning) and data.endswith(END):
                    self._read(data[len(beginning) : -2], is_chunk=True)
                    return
            if sink is not None and sink.chunks(data):
                return
        if not self.method or self._unsent:
            self.abort()
            return
        if is_first := self._is_fresh:
            self._is_fresh, heads = False, self.heads
            body = data.removeprefix(heads.begins)
            head = heads.last if len(body) == heads.body_size and body is not data else heads.of(data)
            if head is not None:
                body = data[head.size :] if body is data else body
                if head.kind == "json" and head.status < 300 and body and body[0] == _BRACE and len(body) <= LARGE:
                    self.whole = head, body
                else:
                    self.response = Response(None, head.status, head, [body] if body else [], True)
                self.news.fire()
                return
        began = time.monotonic() if len(data) > LARGE else 0.0
        self._read(data, is_first=is_first)
        if (
            began
            and time.monotonic() - began > LONG_SECONDS
            and self.method
            and not (self.lost or self._paused_reading)
        ):
            self.lag()  # so that others have a turn: uvloop goes on with what has come meanwhile, up to 8 MiB
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self.response is None or not self.response.is_full:
            self.flow()

    def _read(self, data: bytes, *, is_first: bool = False, is_chunk: bool = False) -> None:
        """Have it parsed, or past the parser what a chunk holds, all of it."""
        parsing = self._parsing = self._parsing or Parsing(self)
        parsing.has_news = False
        if is_chunk:
            parsing.on_body(data)
        else:
            parsing.feed(data)
        if parsing.has_news:
            if is_first and self.response is not None and self.response.ended and self.free is not None:
                self.heads.learn(data)
            self.news.fire()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end; for a reply without a length it is the end of its body."""
        self.lost, self.peek, self._due, self._unsent = True, _lost, None, b""
        response = self.response
        if response is None:
            if self.whole is None:
                self.response = Response(None, 0, _NO_HEAD, error=self._broken())
        elif not response.ended and response.error is None:
            if exc is None and not response.head.has_end:
                response.ended = True
            else:
                response.error = Broken()
        if self.free is not None and self in self.free:
            self.free.remove(self)
        self.free = None
        self.news.fire()

    def pause_writing(self) -> None:
        """The network is slower than we are."""
        self._may_write = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self._may_write = True
        self.news.fire()

    def send(self, method: str, head: bytes, pieces: Pieces, due: Due | None = None) -> Pieces:
        """Send a request, of which `head` is all but the length of the body and the blank line. Raises `Stale` where the
        connection was lost while we waited to.

        What is small goes out in one, in this turn of the loop; what comes back is still to be sent (`upload`).
        """
        if self.lost:
            raise Stale
        size = len(pieces[0]) + len(pieces[1]) if len(pieces) == 2 else sum(map(len, pieces))  # two are most often
        length = b"" if not size and method not in _WITH_LENGTH else LENGTH_LINES.get(size) or length_line(size)
        if is_small := size < JOIN_BELOW_BYTES:
            self._unsent, rest = b"".join([head, length, b"\r\n", *pieces]), []
        else:
            joined = int(len(pieces[0]) < JOIN_BELOW_BYTES)
            self._unsent, rest = b"".join([head, length, b"\r\n", *pieces[:joined]]), pieces[joined:]
        self.method, self._due, self._is_fresh = method, due, is_small and method != "HEAD"
        self.response = self.whole = None
        self._sent_at = self._loop.time()
        if due is not None:
            due.note()
        self._outbox.put(self)
        return rest

    def answered(self) -> Response:
        """The response, once it is there. Raises what kept it away. One all of which has come has no need of the connection."""
        response = self.response
        assert response is not None
        if response.connection is None:
            if response.error is not None:
                self.abort()
                raise response.error
            self.done()
        return response

    def go(self) -> None:
        """Send now what is to be sent in this turn."""
        data, self._unsent = self._unsent, b""
        if not data or self._transport.is_closing():
            return
        try:
            if self._due is not None:
                self._due.sending()
                self._due = None
            self._transport.write(data)
        except JournalUnwritable as error:
            self.fail(error)
            self.news.fire()

    def _broken(self) -> Broken:
        """How the connection ended before a head came."""
        nothing_came = self._parsing is None or not self._parsing.head_bytes
        is_stale = self.idle_since and nothing_came and self._loop.time() - self._sent_at <= STALE_SECONDS
        return Stale() if is_stale else Broken()

    async def upload(self, pieces: Pieces) -> None:
        """Send a large body as the network takes it. A reply that comes meanwhile ends that if it is an error (RFC 9112 9.5)."""
        self.go()
        for part in parts_of(pieces):
            while not (self._may_write or self.lost or self._refused()):
                await self.news
            if self.lost or self._refused():
                self.free = None
                return
            self._transport.write(part)

    def _refused(self) -> bool:
        response = self.response
        return response is not None and (response.status >= 400 or response.error is not None)

    def lag(self) -> None:
        """The reader lags."""
        if not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    def flow(self) -> None:
        """The reader has caught up."""
        if self._paused_reading and not self.lost:
            self._paused_reading = False
            self._transport.resume_reading()

    def done(self) -> None:
        """A reply was taken to its end: wait for the next request, or close."""
        if self.method == "HEAD":
            self._parsing = None  # which waits for a body
        if self._paused_reading:
            self.flow()
        self.method, self.response, self.whole = "", None, None
        if (free := self.free) is None:
            self.abort()
            return
        if not self.idle_since:
            self.peek = self._first_peek
        self.idle_since = self._loop.time()
        self._free_since_turn = self._outbox.turns
        free.append(self)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._parsing, self.method, self._unsent, self.streaming = None, "", b"", None
        if not self.lost:
            self._transport.abort()

    def stands(self) -> bool:
        """Whether it may be used. Where it was read to its end in this very turn of the loop, whose time stands still, the system
        has nothing to add."""
        was_read_now = self._free_since_turn == self._outbox.turns and self.idle_since == self._loop.time()
        return was_read_now or not self.peek(0)

    def _first_peek(self, milliseconds: int) -> object:
        poller, socket = select.poll(), self._transport.get_extra_info("socket")
        if socket is None or socket.fileno() < 0:
            return True
        poller.register(socket.fileno(), _NEWS)
        self.peek = poller.poll
        return self.peek(milliseconds)

    def fail(self, error: Exception) -> None:
        """Nothing comes of what is under way, but for a reply that is whole."""
        self.free = None
        if self.whole is not None:
            return
        if self.response is None:
            self.response = Response(None, 0, _NO_HEAD, error=error)
        elif self.response.ended:
            return
        self.response.error = error
        self.abort()


def standing(idle: list[Connection]) -> Connection | None:
    """Of connections that serve nobody the one used last, less those that the other side has closed."""
    while idle:
        connection = idle.pop()
        if connection.stands():
            return connection
        connection.abort()
    return None
