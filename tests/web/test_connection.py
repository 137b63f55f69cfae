"""What is said to a client: at the end of the loop's turn, but not where it is so much that the client has to keep up."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.web.connection import MOST_UNSENT_BYTES, Connection
from proxy.web.server import Server


class Wire(asyncio.Transport):
    """Keeps what is written, each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """It stays open."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The network takes everything."""


async def _never(_: object) -> Any:
    raise AssertionError


async def test_little_waits_for_the_end_of_the_turn_and_much_does_not() -> None:
    connection, wire = Server(_never)(), Wire()
    assert isinstance(connection, Connection)
    connection.connection_made(wire)
    assert connection.send(b"a")
    assert connection.send(b"b")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"ab"]
    much = b"x" * MOST_UNSENT_BYTES
    assert connection.send(b"c")
    assert connection.send(much)
    assert wire.sent == [b"ab", b"c" + much]  # whether the client keeps up is known before more is read for it
    assert connection.send(b"d")
    await asyncio.sleep(0)
    assert wire.sent == [b"ab", b"c" + much, b"d"]
    connection.connection_lost(None)
