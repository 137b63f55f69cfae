"""The client's side of a call, and the only file that writes replies: a head once, then bytes, keep-alives, a last error."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import floor
from typing import Protocol

from msgspec import Struct

from proxy.errors import ProxyError
from proxy.exchange.client_connection import ClientConnection, never
from proxy.exchange.io.deadlines import Deadlines
from proxy.exchange.io.stepper import Stepper
from proxy.exchange.record import Record
from proxy.exchange.takers import Kept, Taker
from proxy.policy.limits.limiter import pairs_of
from proxy.wire.endpoints import Shape
from proxy.wire.headers import Headers, lines_of
from proxy.wire.reader import error_event
from proxy.wire.reply_head import WITHOUT_BODY, reply_head, whole_reply
from proxy.wire.structs import often_set

KEEP_ALIVE_SECONDS = 15.0
LAST_WORDS_SECONDS = 5.0
_MOST_HELD_BYTES = 16 * 1024
_KEEP_ALIVE = b": keep-alive\n\n"
_LAST_CHUNK = b"0\r\n\r\n"
SERVER = ("Server", "tollkeeper")
STREAM_HEADERS: Headers = [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]


class Speaker(Protocol):
    """Whoever makes the events that the client gets."""

    @property
    def at_boundary(self) -> bool:
        """Whether something of ours may be written between events now."""

    def last_words(self, shape: Shape, error: ProxyError) -> bytes:
        """What an error of ours ends the stream on."""


@often_set
class Client(Struct, eq=False):
    """The client's side of one call. Comments wait here until the first event or 15 s of silence.

    Once the client has gone, writing is a no-op: whoever reads on, reads for the usage. `keeps`: when all is said, the
    connection may serve another call. `method` and `is_http_1_0` are how it asked: whether bodies may follow a head, and in
    what version of HTTP. `started`: status and headers stand. `stepper` runs the call, `left` is told if the client goes first.
    """

    connection: ClientConnection
    record: Record
    deadlines: Deadlines
    method: str
    is_http_1_0: bool
    keeps: bool
    stepper: Stepper
    left: Callable[[Client], None]
    gone: bool = False
    started: bool = False
    kept: Kept | None = None
    takers: tuple[Taker, ...] = ()
    spoke: float = 0.0
    _head: bytes = b""
    _held: bytes = b""
    _is_chunked: bool = False
    _is_watched: bool = False
    _says_events: bool = False
    _reader: Speaker | None = None

    def client_left(self) -> bool:
        """Tell whoever else takes the reply in; whether the call goes on for one of them."""
        return any([taker.client_left() for taker in self.takers])

    @property
    def has_begun(self) -> bool:
        """Whether bytes of a reply are out, or would be if the client were not gone: no other reply can follow."""
        return self.started and (self.gone or not self._head)

    async def hold(self, comments: bytes) -> None:
        """Take comments that came before the first event: of many the latest are kept."""
        held = self._held
        self._held = held + comments if len(held) + len(comments) <= _MOST_HELD_BYTES else comments
        if self.started:
            self._beat()
            await self.room()

    def drop_held(self) -> None:
        """The attempt they came from failed before anything was sent."""
        self._held = b""

    def take_held(self) -> bytes:
        """The comments that are to go out before the first event."""
        held, self._held = self._held, b""
        return held

    def opened(self) -> None:
        """Opening a connection to the provider has ended."""
        self.record.opened_at = time.monotonic()

    def watch(self) -> None:
        """From now on, never be silent for 15 s, since it was asked: an upstream is to stream, or has begun to."""
        if not self._is_watched:
            self._is_watched, self.spoke = True, max(self.spoke, self.record.sent_at)
            self.deadlines.watch(self)

    def begin(self, status: int, headers: Headers | bytes, reader: Speaker | None = None) -> None:
        """Status and headers (or their lines), unless silence has sent them already; they go out with the first bytes."""
        self._reader = reader
        if not self.started:
            self.record.status = status
            self._start(status, headers)

    def _start(self, status: int, headers: Headers | bytes) -> None:
        self.started = True
        lines = headers if isinstance(headers, bytes) else lines_of(headers)
        low = b"\r\n" + lines.lower()
        self._says_events = b"\r\ncontent-type: text/event-stream" in low
        if _has_body(self.method, status) and b"\r\ncontent-length:" not in low:
            self._is_chunked = not self.is_http_1_0
            self.keeps = self.keeps and self._is_chunked
            lines += b"Transfer-Encoding: chunked\r\n" if self._is_chunked else b""
        self._head = reply_head(status, lines + self._connection_line(), int(time.time()))

    def _connection_line(self) -> bytes:
        """What the head says of the connection, for which it may be the last time."""
        if not self.keeps or self.connection.is_last:
            self.keeps = False
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if self.is_http_1_0 else b""

    def say(self, data: bytes) -> None:
        """Send bytes of the body, with the head where that is not out yet."""
        if self.gone or not data:
            if self.kept is not None:
                self.kept.write(data)
            return
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        if not self.connection.send(data):
            self.gone = True
        self.spoke = self.deadlines.now

    def sends_chunks(self) -> Callable[[bytes], bool]:
        """What sends bytes that are a chunk already, once the head is out: False where they have to be said."""
        return self.connection.send_now if self._is_chunked else never

    @property
    def sends_bodies(self) -> bool:
        """Whether a body may follow the head."""
        return self.method != "HEAD"

    @property
    def is_slow(self) -> bool:
        """Whether the client has to catch up first."""
        return self.connection.writing_paused and not self.gone

    async def room(self) -> None:
        """Wait while the client is slower than we are."""
        if self.is_slow:
            try:
                await self.connection.drained()
            except ConnectionError:
                self.gone = True

    def whole(self, status: int, headers: Headers | bytes, body: bytes) -> None:
        """Send a reply in hand, with its headers or their lines: one write, with its length."""
        if self._is_watched:
            self.deadlines.forget(self)
        record, self.started, now = self.record, True, floor(time.time())
        record.status, record.first_byte_at = status, time.monotonic()
        lines = headers if isinstance(headers, bytes) else lines_of(headers)
        if not self.keeps or self.is_http_1_0 or self.connection.is_last:
            lines += self._connection_line()
        if self.method != "HEAD" and status not in WITHOUT_BODY:
            data = whole_reply(status, lines, body, now)
        else:
            lines += b"" if status in WITHOUT_BODY else b"Content-Length: %d\r\n" % len(body)
            data = reply_head(status, lines, now)
        self.gone = not self.connection.send(data)
        if self.gone and self.kept is not None:
            self.kept.write(body)
            self.kept.close()

    def end(self) -> None:
        """Finish the reply as complete."""
        self.rest()
        last = self._head + (_LAST_CHUNK if self._is_chunked else b"")
        self._head = b""
        if self.gone:
            if self.kept is not None:
                self.kept.close()
        elif last:
            self.gone = not self.connection.send(last)

    def keep(self, kept: Kept) -> None:
        """The client has left, and what it would have been sent is written down for it."""
        self.gone, self.kept = True, kept

    def cut(self, error: ProxyError, shape: Shape) -> None:
        """Finish a reply that has begun as broken: an error event where the stream allows it, no final chunk."""
        self.rest()
        self.keeps = False
        if self.gone:
            return
        if not self._says_events or (self._reader and not self._reader.at_boundary):
            self.connection.hang_up(0)
            return
        self.say(error_event(shape, error) if self._reader is None else self._reader.last_words(shape, error))
        self.connection.hang_up(LAST_WORDS_SECONDS)

    def break_off(self) -> None:
        """Finish a reply that has begun as broken, its last words said already."""
        self.rest()
        self.keeps = False
        self.connection.hang_up(LAST_WORDS_SECONDS)

    def own_headers(self, *, is_whole: bool = True) -> list[tuple[str, str]]:
        """What every reply of ours carries. `is_whole`: the head goes out with all of the reply."""
        name = self.record.request_id
        own = [("x-request-id", name), ("x-tollkeeper-request-id", name), SERVER]
        return own + other_headers(self.record, None, is_whole=is_whole)

    def refusal_headers(self) -> list[tuple[str, str]]:
        """The headers of an answer of our own that refuses: ids, and how far the call got."""
        record = self.record
        tried = [("x-tollkeeper-attempts", str(record.calls))] if record.calls else []
        return [*self.own_headers(), *tried, *pairs_of(record.limit_headers)]

    def rest(self) -> None:
        """Stop the keep-alives."""
        if self._is_watched:
            self.deadlines.forget(self)

    def over(self) -> None:
        """The call has ended."""
        if self._is_watched:
            self.deadlines.forget(self)
        if self.kept is not None:
            self.kept.discard()
        for taker in self.takers:
            taker.ended()

    def due(self) -> float:
        """When it has been silent for too long."""
        return self.spoke + KEEP_ALIVE_SECONDS

    def expire(self) -> None:
        """It has been silent for too long. What waits in line is not answered 200."""
        if not self.started and self.record.phase == "waiting":
            return
        if self._reader is None or self._reader.at_boundary:
            self._beat()
        self.spoke = self.deadlines.moment()

    def _beat(self) -> None:
        """Say something: what was held, else a comment of our own."""
        if not self.started:
            own = self.own_headers(is_whole=False)
            self.record.status = 200
            self._start(200, [("Content-Type", "text/event-stream"), *STREAM_HEADERS, *own])
        self.say(self.take_held() or _KEEP_ALIVE)


def other_headers(record: Record, began: float | None, *, is_whole: bool) -> list[tuple[str, str]]:
    """What only some replies carry. `began` (monotonic): when the upstream's reply did."""
    other = [*record.cors]
    if record.decision:
        other.append(("x-tollkeeper-decision", record.decision))
    if record.queued is not None:
        other += record.queued.headers()
    if record.cache:
        other.append(("x-tollkeeper-cache", record.cache))
    if record.timing:
        other.append(("Server-Timing", record.server_timing(time.monotonic(), began, is_whole=is_whole)))
    return other


def _has_body(method: str, status: int) -> bool:
    """Whether a body follows the head (RFC 9112 6.3)."""
    return method != "HEAD" and status not in WITHOUT_BODY
