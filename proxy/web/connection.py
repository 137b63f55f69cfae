"""One client connection: deadlines on heads, news of its end, errors that repeat nothing of the input.

aiohttp answers a broken head with text that quotes it, and logs it; both may hold a key. And by
default it neither limits how long a head may take nor tells a handler that its client left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import StreamReader, web_server
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.errors import Overloaded
from proxy.exchange.client import Client
from proxy.exchange.outbox import Outbox
from proxy.web.closing import holds_part_of_a_head, say_goodbye
from proxy.web.errors import error_bytes, head_refused
from proxy.web.faults import LONGEST_HEADER, LONGEST_TARGET, MOST_HEADERS, BadRequest, fault_of
from proxy.web.lane import Lane, Line

HEAD_SECONDS = 10.0
IDLE_SECONDS = 5.0  # where there are too many connections
KEEP_ALIVE_SECONDS = 75.0
HIGH_WATER_BYTES = 256 * 1024  # that wait for a client
MOST_UNSENT_BYTES = 64 * 1024  # that wait for the end of the loop's turn

_TOO_MANY = Overloaded("Too many connections are open here; try again in a moment.", retry_after=1)

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


class Connection(RequestHandler):
    """`begin` and `finish` frame each call; `on_lost` is called once if the client goes in between."""

    __slots__ = (
        "_begun", "_head_timer", "_idle_since", "_in_call", "_lane", "_on_lost", "_outbox", "_unsent", "speaks_http_1"
    )  # fmt: skip

    def __init__(self, manager: web_server.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._outbox = manager.outbox if isinstance(manager, Server) else Outbox(self._loop)
        self._unsent = b""  # goes out at the end of this turn
        self._on_lost: Callable[[], None] | None = None
        self._head_timer: Any = None
        self._in_call = False
        self._begun = b""  # how the head that came last begins
        self._idle_since = self._loop.time()
        self.speaks_http_1 = True
        line = manager.line if isinstance(manager, Server) else None
        self._lane = None if line is None else Lane(self, line, line.key)

    @property
    def digest(self) -> bytes | None:
        """What the head of the request under way is known by; None where it is not to be known again."""
        return None if self._lane is None else self._lane.digest

    @property
    def is_last(self) -> bool:
        """Whether the reply under way is to be the connection's last: its server is ending."""
        return isinstance(self._manager, Server) and self._manager.ending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turn the client away where there are too many."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=HIGH_WATER_BYTES)
        if isinstance(self._manager, Server) and not self._manager.has_room():
            cast(asyncio.Transport, transport).write(error_bytes(_TOO_MANY))
            self.force_close()

    def begin(self, on_lost: Callable[[], None]) -> None:
        """A call has been read off the wire."""
        self._in_call, self._on_lost = True, on_lost
        self._disarm()

    def finish(self) -> None:
        """The call is over; what arrives next is a new head. The library, which has it now, writes past us."""
        self.go()
        self._in_call, self._on_lost = False, None
        self._idle_since = self._loop.time()
        if self._lane is not None:
            self._lane.returned()

    def answered(self, client: Client) -> None:
        """A call of the quick lane is over."""
        self._in_call, self._on_lost = False, None
        self._idle_since = self._loop.time()
        if not client.keeps or client.gone:
            self.go()
            if self.transport is not None and (client.gone or self._lane is None or not self._lane.let_pass()):
                self.transport.close()
        elif self._lane is not None:
            self._lane.go_on()

    def send(self, data: bytes) -> bool:
        """Send bytes, in this turn of the loop, and at once where they are many: only what has been written is known to wait
        for the client. False where that has gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        is_first = not self._unsent
        self._unsent += data
        if len(self._unsent) > MOST_UNSENT_BYTES:
            self.go()
        elif is_first:
            self._outbox.put(self)
        return True

    def go(self) -> None:
        """Send now what is to be sent in this turn."""
        data, self._unsent = self._unsent, b""
        if data and (transport := self.transport) is not None and not transport.is_closing():
            transport.write(data)

    def force_close(self) -> None:
        """Close, once what was sent is out."""
        self.go()
        super().force_close()

    def drained(self) -> Awaitable[None]:
        """Until the client has caught up. Raises ConnectionError where it goes instead."""
        return self._drain_helper()

    def hang_up(self, last_words_seconds: float) -> None:
        """Close: at once, or once what was sent is out, so many seconds later at most."""
        self.go()
        transport = self.transport
        if transport is None:
            return
        if last_words_seconds:
            transport.close()
            self._loop.call_later(last_words_seconds, transport.abort)
        else:
            transport.abort()

    @property
    def is_sending(self) -> bool:
        """Whether its client has not taken all of a reply."""
        return bool(self._unsent or (self.transport is not None and self.transport.get_write_buffer_size()))

    def close_if_idle(self, seconds: float) -> None:
        """Close once no request has come for so long, unless bytes are on their way in or out."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.is_sending:
            return
        if self._is_busy() or self._loop.time() - self._idle_since < seconds:
            return
        if say_goodbye(transport.get_extra_info("socket").fileno()):
            self.force_close()

    def _is_busy(self) -> bool:
        """Whether a request is under way, or has begun to come."""
        return self._in_call or self._head_timer is not None or (self._lane is not None and self._lane.is_waiting)

    def data_received(self, data: bytes) -> None:
        """Take what is plain by the quick lane, and give any other head that has begun ten seconds to be complete."""
        if self._lane is None:
            self.pass_on(data)
        elif not self._force_close:
            self._lane.receive(data)

    def pass_on(self, data: bytes) -> None:
        """Let the HTTP library read it, which answers past us what is no request."""
        self.go()
        super().data_received(data)
        if not self._in_call and self._head_timer is None:
            self._begun = data[:256]
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the call under way that its client has gone."""
        on_lost, self._on_lost = self._on_lost, None
        self._disarm()
        super().connection_lost(exc)
        if on_lost is not None:
            on_lost()

    def _process_keepalive(self) -> None:
        """Ten seconds without a call: what has begun a head is too slow; else there is time until the connection is idle.

        The parser alone knows whether a head came behind the last request, in the same bytes.
        """
        self._keepalive_handle = None
        if self._force_close or self._parser is None:
            return
        if self._is_busy():
            self._keepalive_handle = self._loop.call_later(KEEP_ALIVE_SECONDS, self._process_keepalive)
            return
        idle_until = self._idle_since + KEEP_ALIVE_SECONDS
        if self._loop.time() >= idle_until or holds_part_of_a_head(self._parser):
            self.force_close()
        else:
            self._keepalive_handle = self._loop.call_at(idle_until, self._process_keepalive)

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self._in_call:
            self.force_close()

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def check_version(self) -> None:
        """Raise `BadRequest` when the head named a version of HTTP we do not speak; aiohttp lets some through."""
        if not self.speaks_http_1:
            raise BadRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """Answer what never became a call: a broken head. Nothing of it is repeated or logged."""
        if request.writer.output_size > 0:
            raise ConnectionError("a reply is under way already")
        return head_refused(fault_of(exc), self._begun)


def _any_number(connections: int) -> bool:
    return True


class Request(BaseRequest):
    """A request whose reply says `Connection: close` where its server is ending."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection lives on after the reply."""
        return super().keep_alive and not cast(Connection, self.protocol).is_last


def _request(message: RawRequestMessage, payload: StreamReader, protocol: RequestHandler, *rest: Any) -> BaseRequest:
    """A request, answered in HTTP/1.1 whatever version it claims (RFC 9110 2.5)."""
    if message.version not in (HttpVersion10, HttpVersion11):
        message = message._replace(version=HttpVersion11, should_close=True)
        cast(Connection, protocol).speaks_http_1 = False
    loop, (_, task) = asyncio.get_running_loop(), rest
    return Request(message, payload, protocol, StreamWriter(protocol, loop), task, loop)


class Server(web_server.Server):
    """Makes `Connection`s, set up as the table of trust.md section 2 has it. `ending`: each has one more reply at most.
    `line` takes plain requests past the HTTP library, where there is one."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(
            handler,
            request_factory=_request,
            handler_cancellation=False,
            keepalive_timeout=HEAD_SECONDS,
            lingering_time=2.0,
            auto_decompress=False,
            access_log=None,
            max_line_size=LONGEST_TARGET,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )
        self.outbox = Outbox(self._loop)
        self.ending = False
        self.line: Line | None = None
        self.takes: Callable[[int], bool] = _any_number
        self._made_room_at = 0.0

    def has_room(self) -> bool:
        """Whether there may be as many connections as there are; where not, idle ones are closed, once a second."""
        if self.takes(len(self._connections)):
            return True
        if self._loop.time() - self._made_room_at > 1:
            self._made_room_at = self._loop.time()
            self.close_idle(IDLE_SECONDS)
        return False

    @property
    def is_sending(self) -> bool:
        """Whether a client has not taken all of its reply."""
        return any(cast(Connection, connection).is_sending for connection in self.connections)

    def close_idle(self, seconds: float) -> None:
        """Close the connections that have had no request for so long."""
        for connection in self.connections:
            cast(Connection, connection).close_if_idle(seconds)

    def __call__(self) -> RequestHandler:
        """One connection."""
        return Connection(self, loop=self._loop, **self._kwargs)
