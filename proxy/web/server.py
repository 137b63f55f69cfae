"""The server of one listener: makes its connections, and knows what holds for all of them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web_server
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.exchange.io.stepper import Outbox
from proxy.web.connection import HEAD_SECONDS, Connection
from proxy.web.faults import LONGEST_HEADER, LONGEST_TARGET, MOST_HEADERS
from proxy.web.lane import Line

IDLE_SECONDS = 5.0  # where there are too many connections
LEAST_CONNECTIONS = 8

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


def _a_share(connections: int) -> bool:
    """Where nobody says how many there may be, as on the admin port: no more than leave the data port its own."""
    return connections <= max(LEAST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 16)


class Request(BaseRequest):
    """A request whose reply says `Connection: close` where its server is ending."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection lives on after the reply."""
        return super().keep_alive and not cast(Connection, self.protocol).is_last


def _request(message: RawRequestMessage, payload: StreamReader, protocol: RequestHandler, *rest: Any) -> BaseRequest:
    """A request, answered in HTTP/1.1 whatever version it claims (RFC 9110 2.5)."""
    connection = cast(Connection, protocol)
    if message.version not in (HttpVersion10, HttpVersion11) or not connection.is_http(message.path):
        message = message._replace(version=HttpVersion11, should_close=True)
        connection.speaks_http_1 = False
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
        self.takes: Callable[[int], bool] = _a_share
        self._made_room_at = 0.0

    def has_room(self) -> bool:
        """Whether there may be as many connections as there are; where not, idle ones are closed, once a second."""
        if self.takes(len(self._connections)):
            return True
        if self._loop.time() - self._made_room_at > 1:
            self._made_room_at = self._loop.time()
            self.close_idle(IDLE_SECONDS)
        return False

    def next_id(self) -> str | None:
        """The id of what is answered without becoming a call; None where calls have none."""
        return None if self.line is None else self.line.next_id()

    def end(self) -> None:
        """Every connection has one more reply at most."""
        self.ending = True
        for connection in self.connections:
            cast(Connection, connection).is_last = True

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
