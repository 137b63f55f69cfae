"""What is said to a client: at the end of the loop's turn, but not where it is so much that the client has to keep up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from proxy.web.connection import MOST_UNSENT_BYTES, Connection
from proxy.web.lane import Line
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


class Book:
    """Something that is written down before a byte goes out; `wire` shows when."""

    def __init__(self, wire: Wire) -> None:
        self.turn: list[str] = []
        self._wire = wire

    def flush(self) -> None:
        self._wire.sent += [line.encode() for line in self.turn]
        self.turn.clear()


async def test_what_is_to_be_written_down_is_before_anything_goes_out() -> None:
    wire = Wire()
    book = Book(wire)
    server = Server(_never)
    server.line = cast(Line, SimpleNamespace(ahead=book, hasher=None, outbox=server.outbox))
    connection = server()
    assert isinstance(connection, Connection)
    connection.connection_made(wire)
    book.turn.append("settled")
    assert connection.send(b"reply")
    await asyncio.sleep(0)
    book.turn.append("settled too")
    assert connection.send(b"x" * (MOST_UNSENT_BYTES + 1))  # which goes at once
    book.turn.append("and the last")
    assert connection.send(b"bye")
    connection.hang_up(1.0)
    assert [data[:12] for data in wire.sent] == [
        b"settled",
        b"reply",
        b"settled too",
        b"x" * 12,
        b"and the last",
        b"bye",
    ]
    connection.connection_lost(None)
