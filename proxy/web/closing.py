"""How a connection ends that is of no more use, and what tells so."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import termios
from collections import deque
from typing import Any

from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.exchange.client import Client
from proxy.web.body import Misframed


def holds_part_of_a_head(parser: Any) -> bool:
    """Told by what it makes of the end: nothing, where nothing has begun. It is of no use afterwards if something has."""
    try:
        return parser.feed_eof() is not None
    except (HttpProcessingError, ValueError):  # part of a head, taken for all of it
        return True


def end_bad_body(messages: deque[Any], request: BaseRequest | None, client: Client | None) -> None:
    """Tell whoever reads a body what is wrong with its framing: the library keeps that as if it were another request."""
    if messages and not isinstance(messages[-1][0], RawRequestMessage):
        content = messages[-2][1] if len(messages) > 1 else None if request is None else request.content
        if content is not None and not content.is_eof():
            messages.pop()
            if client is not None:
                client.keeps = False
            content.set_exception(Misframed())


def say_goodbye(descriptor: int) -> bool:
    """End our side of a connection, unless bytes have come that nobody has read; say which.

    Closing takes the loop another round, and what a client sent meanwhile would be reset.
    """
    with contextlib.suppress(OSError), socket.socket(fileno=fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 0)) as same:
        if any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))):
            return False
        same.shutdown(socket.SHUT_WR)
    return True


class Answered(StreamResponse):
    """Tells the HTTP library that a reply was written, and whether its connection lives on."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self._keeps = keeps

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""
        return self._keeps

    async def prepare(self, request: BaseRequest) -> None:
        """It is out."""

    async def write_eof(self, data: bytes = b"") -> None:
        """All of it is."""
