"""How a connection ends that is of no more use, and what tells so."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import termios
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse


def holds_part_of_a_head(parser: Any) -> bool:
    """Told by what it makes of the end: nothing, where nothing has begun. It is of no use afterwards if something has."""
    try:
        return parser.feed_eof() is not None
    except (HttpProcessingError, ValueError):  # part of a head, taken for all of it
        return True


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
