"""A large body read straight into its memory: whole, bounded in room and in time, and the connection given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from harness.clock import run

from proxy.errors import InvalidValue, Overloaded
from proxy.web.faults import RequestTimeout
from proxy.web.upload import FIRST_BYTES, GROWTH, Upload

BODY = bytes(range(256)) * 8192  # 2 MiB


class Transport:
    def __init__(self) -> None:
        self.reads = True
        self.closed = False
        self.protocol: Any = None

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def close(self) -> None:
        self.closed = True


class Door:
    def __init__(self) -> None:
        self.transport: Any = Transport()
        self.lost = False

    def go(self) -> None:
        """Nothing waits to be sent."""

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True


class Room:
    """Takes note of what is taken, up to `most`."""

    def __init__(self, most: int = 2**30) -> None:
        self.most = most
        self.taken = 0

    def grow(self, size: int) -> None:
        if size > self.most:
            raise Overloaded("Too much.")
        self.taken = size


def send(transport: Transport, data: bytes) -> int:
    """What the loop does with bytes that have come, how much room for them there is at most included; how many it took."""
    done = 0
    while done < len(data) and transport.reads and isinstance(transport.protocol, Upload):
        buffer = transport.protocol.get_buffer(-1)
        taken = min(len(buffer), len(data) - done)
        assert taken
        assert len(buffer) <= max(FIRST_BYTES, GROWTH * transport.protocol.size)
        buffer[:taken] = data[done : done + taken]
        del buffer
        transport.protocol.buffer_updated(taken)
        done += taken
    return done


@pytest.mark.parametrize("piece", [1000, 65_536, 10**7])
@pytest.mark.parametrize("begun", [0, 1, 300_000])
async def test_a_body_comes_whole_and_the_connection_back(begun: int, piece: int) -> None:
    connection, room = Door(), Room()
    upload = Upload(connection, len(BODY), BODY[:begun])
    assert not connection.transport.reads, "nothing is read before its turn"
    reading = asyncio.ensure_future(upload.read(room))
    await asyncio.sleep(0)
    for at in range(begun, len(BODY), piece):
        assert connection.transport.reads
        assert send(connection.transport, BODY[at : at + piece]) == len(BODY[at : at + piece])
        assert room.taken == min(at + piece, len(BODY))
    assert await reading == BODY
    assert (connection.transport.protocol, connection.transport.reads, upload.unread) == (connection, True, False)


async def test_nothing_behind_the_body_is_taken() -> None:
    connection = Door()
    reading = asyncio.ensure_future(Upload(connection, len(BODY), b"").read(Room()))
    await asyncio.sleep(0)
    assert send(connection.transport, BODY + b"POST /") == len(BODY)
    assert await reading == BODY


@pytest.mark.parametrize("most", [50, 2**20])
async def test_where_there_is_no_room_the_rest_passes_by_and_the_connection_ends(most: int) -> None:
    connection = Door()
    upload = Upload(connection, len(BODY), BODY[:100])
    reading = asyncio.ensure_future(upload.read(Room(most)))
    await asyncio.sleep(0)
    taken = 100 + send(connection.transport, BODY[100:])
    with pytest.raises(Overloaded):
        await reading
    assert (upload.unread, connection.transport.reads) == (True, False)
    upload.let_pass()
    assert connection.transport.closed is (taken == len(BODY))
    assert send(connection.transport, BODY[taken:]) == len(BODY) - taken
    await asyncio.sleep(0)
    assert connection.transport.closed


def test_what_passes_by_has_two_seconds() -> None:
    async def main() -> None:
        connection = Door()
        upload = Upload(connection, len(BODY), b"")
        upload.let_pass()
        await asyncio.sleep(1.9)
        assert not connection.transport.closed
        await asyncio.sleep(0.2)
        assert connection.transport.closed

    run(main())


@pytest.mark.parametrize(
    ("every_seconds", "piece", "ends_after"), [(9.0, 100, 10), (2.0, 1024, 20), (29.0, 2**19, None)]
)
def test_a_body_that_does_not_keep_coming_is_not_waited_for(
    every_seconds: float, piece: int, ends_after: int | None
) -> None:
    async def main() -> None:
        connection, loop = Door(), asyncio.get_running_loop()
        upload, began = Upload(connection, len(BODY), b""), loop.time()
        reading = asyncio.ensure_future(upload.read(Room()))
        await asyncio.sleep(0)
        at = send(connection.transport, BODY[:piece])
        while not reading.done():
            await asyncio.wait([reading], timeout=every_seconds)
            at += send(connection.transport, BODY[at : at + piece])
        if ends_after is None:
            assert reading.result() == BODY
            return
        with pytest.raises(RequestTimeout):
            await reading
        assert ends_after <= loop.time() - began < ends_after + 3

    run(main())


async def test_a_client_that_goes_ends_it() -> None:
    connection = Door()
    reading = asyncio.ensure_future(Upload(connection, len(BODY), b"").read(Room()))
    await asyncio.sleep(0)
    send(connection.transport, BODY[:1000])
    connection.transport.protocol.connection_lost(None)
    with pytest.raises(InvalidValue):
        await reading
    assert connection.lost
