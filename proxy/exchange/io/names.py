"""The addresses of host names, each name looked up in a thread of its own.

The threads that an event loop has for that are few, and a name whose server does not answer holds one for half a minute:
a few of them, and no other name is found, whosever it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from proxy.exchange.io.off_loop import in_a_thread

MOST_AT_ONCE = 64

Found = list[Any]  # as socket.getaddrinfo has it
LookUp = Callable[[str, int], Found]


def look_up(host: str, port: int) -> Found:
    """As the machine does it. Blocking; raises OSError, UnicodeError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Names:
    """Belongs to an event loop. Who asks for a name that is looked up already waits for that."""

    def __init__(self, ask: LookUp = look_up) -> None:
        self._ask = ask
        self._under_way: dict[tuple[str, int], Future[Found]] = {}

    async def addresses(self, host: str, port: int) -> Found:
        """Those to connect to. Raises `socket.gaierror`."""
        with contextlib.suppress(OSError, UnicodeError):  # an address stands for itself
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        asked = self._under_way.get((host, port))
        if asked is None:
            if len(self._under_way) >= MOST_AT_ONCE:
                raise socket.gaierror(socket.EAI_AGAIN, "too many names are looked up")
            asked = self._under_way[host, port] = in_a_thread("resolve", partial(self._look_up, host, port), OSError)
            asked.add_done_callback(lambda _: self._under_way.pop((host, port)))
        return await asyncio.wrap_future(asked)

    def _look_up(self, host: str, port: int) -> Found:
        try:
            return self._ask(host, port)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "it is no name") from None
