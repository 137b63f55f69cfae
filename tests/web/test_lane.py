"""What the quick lane takes, what it lends to the HTTP library, and when it has the connection back."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import Any

import pytest
from harness.clock import run

from proxy.web.lane import LARGEST_BODY, PATIENCE_SECONDS, Lane
from proxy.web.upload import Upload
from proxy.wire.request_head import HeadParts

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nA: b\r\n\r\n"


class Line:
    """Knows every head that was taught; `begun` has what it was asked to answer."""

    hasher = blake2b(digest_size=16, key=b"k" * 32)

    def __init__(self) -> None:
        self.taught: set[bytes] = set()
        self.begun: list[bytes | Upload] = []
        self.credentials: list[bytes] = []
        self.remembered: dict[bytes, Any] = {}

    def known(self, digest: bytes, body_bytes: int) -> Any:
        return self.remembered.get(digest)

    def recognised(self, digest: bytes, of_all: bytes, parts: HeadParts, body_bytes: int, begins: bool) -> Any:
        self.credentials.append(parts.credential)
        if digest not in self.taught:
            return None
        self.remembered[of_all] = digest
        return digest

    def begin(self, connection: Any, sender: Any, body: bytes | Upload) -> None:
        self.begun.append(body)


class Transport:
    def __init__(self) -> None:
        self.paused = False
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        """Nobody asks for it before the end of a test."""


class Door:
    """`library` is what the HTTP library was given."""

    def __init__(self) -> None:
        self.transport: Any = Transport()
        self.library: list[bytes] = []

    def go(self) -> None:
        """Nothing waits to be sent."""

    def pass_on(self, data: bytes) -> None:
        self.library.append(data)


class Bench:
    """A lane with both sides of it."""

    def __init__(self) -> None:
        self.line, self.connection = Line(), Door()
        self.lane = Lane(self.connection, self.line)

    def teach(self, request: bytes) -> None:
        """Have the library serve a request once, whose head is then known."""
        self.lane.receive(request)
        if self.lane.outline is not None:
            self.line.taught.add(self.lane.outline[0])
        self.lane.returned()
        self.connection.library.clear()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


def request(body: bytes = b"{}") -> bytes:
    return HEAD % len(body) + body


async def test_a_head_is_the_librarys_once_and_the_lanes_from_then_on(bench: Bench) -> None:
    bench.teach(request(b"first"))
    bench.lane.receive(request(b"the second"))
    assert (bench.line.begun, bench.connection.library) == ([b"the second"], [])


async def test_the_length_of_the_body_is_no_part_of_what_a_head_is_known_by(bench: Bench) -> None:
    bench.teach(request(b""))
    for body in (b"", b"1", b"x" * LARGEST_BODY):
        bench.lane.receive(request(body))
        bench.lane.go_on()
    assert bench.line.begun == [b"", b"1", b"x" * LARGEST_BODY]


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"Content-length"])
async def test_however_clients_spell_it(bench: Bench, name: bytes) -> None:
    bench.teach(request(b"first").replace(b"Content-Length", name))
    bench.lane.receive(request(b"the second").replace(b"Content-Length", name))
    assert bench.line.begun == [b"the second"]


@pytest.mark.parametrize("name", ["Authorization", "authorization", "x-api-key", "X-Api-Key", "X-api-key", "api-key"])
async def test_nor_is_the_credential(bench: Bench, name: str) -> None:
    def by(secret: str) -> bytes:
        return request().replace(b"A: b", f"{name}: {secret}\r\nA: b".encode())

    bench.teach(by("one"))
    bench.lane.receive(by("another"))
    assert bench.line.begun == [b"{}"]
    assert bench.line.credentials == [f"{name}: one".encode(), f"{name}: another".encode()]


async def test_nor_is_what_only_passes(bench: Bench) -> None:
    bench.teach(request())
    for value in (b"c", b"", b"a: b", b"x" * 4096):
        bench.lane.receive(request(value).replace(b"A: b", b"A: " + value))
        bench.lane.go_on()
    assert bench.line.begun == [b"c", b"", b"a: b", b"x" * 4096]


@pytest.mark.parametrize(
    "line", [b"A: b\x00", b"A: \xe4", b"A : b", b"a: b", b"A: b\r\n c", b"B: b", b"A: " + b"x" * 4097, b"Host: x"]
)
async def test_what_may_be_read_otherwise_is_the_librarys(bench: Bench, line: bytes) -> None:
    bench.teach(request())
    bench.lane.receive(request(b"odd").replace(b"A: b", line))
    assert bench.line.begun == []
    assert len(bench.connection.library) == 1


async def test_a_second_credential_is_part_of_what_a_head_is_known_by(bench: Bench) -> None:
    both = request().replace(b"A: b", b"Authorization: Bearer one\r\nx-api-key: two")
    bench.teach(both)
    bench.lane.receive(both.replace(b"two", b"other"))
    assert bench.line.begun == []


@pytest.mark.parametrize("cut", [1, 20, 60, len(HEAD % 4), len(HEAD % 4) + 2])
async def test_what_comes_in_pieces_is_put_together(bench: Bench, cut: int) -> None:
    bench.teach(request())
    whole = request(b"1234")
    bench.lane.receive(whole[:cut])
    assert bench.line.begun == []
    assert bench.lane.is_waiting
    bench.lane.receive(whole[cut:])
    assert bench.line.begun == [b"1234"]
    assert not bench.lane.is_waiting


async def test_requests_that_come_at_once_are_answered_one_after_the_other(bench: Bench) -> None:
    bench.teach(request())
    bench.lane.receive(request(b"1") + request(b"2") + request(b"3")[:30])
    assert bench.line.begun == [b"1"]
    bench.lane.receive(request(b"3")[30:])
    for expected in ([b"1", b"2"], [b"1", b"2", b"3"]):
        bench.lane.go_on()
        await asyncio.sleep(0)
        assert bench.line.begun == expected


async def test_who_sends_on_and_on_is_not_read_on_and_on(bench: Bench) -> None:
    bench.teach(request())
    bench.lane.receive(request(b"1"))
    bench.lane.receive(request(b"x" * (LARGEST_BODY - 200)))
    assert not bench.connection.transport.paused
    bench.lane.receive(request(b"y" * 1000))
    assert bench.connection.transport.paused
    bench.lane.go_on()
    await asyncio.sleep(0)
    assert not bench.connection.transport.paused
    assert len(bench.line.begun) == 2


ODD = {
    "chunked": HEAD.replace(b"A: b", b"Transfer-Encoding: chunked") % 1 + b"x",
    "asks first": HEAD.replace(b"A: b", b"Expect: 100-continue") % 1 + b"x",
    "upgrades": HEAD.replace(b"A: b", b"upgrade: websocket") % 1 + b"x",
    "two lengths": HEAD.replace(b"A: b", b"Content-Length: 1") % 1 + b"x",
    "a length with a space before its colon": HEAD.replace(b"A: b", b"Content-Length : 1") % 1 + b"x",
    "HTTP/1.2": request().replace(b"HTTP/1.1", b"HTTP/1.2"),
    "no method": b"\r\n" + request(),
    "more than one request": request() + b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_is_the_librarys_for_good(bench: Bench, name: str) -> None:
    bench.lane.receive(ODD[name])
    assert bench.lane.outline is None
    bench.lane.returned()
    bench.line.taught.add(b"nothing")
    bench.lane.receive(request())
    assert bench.connection.library == [ODD[name], request()]
    assert bench.line.begun == []


async def test_a_length_that_is_no_number_is_odd(bench: Bench) -> None:
    bench.lane.receive(HEAD.replace(b"%d", b"+1") + b"x")
    assert bench.lane.outline is None


async def test_a_body_the_library_reads_on_is_passed_on(bench: Bench) -> None:
    whole = request(b"1234")
    bench.lane.receive(whole[:-2])
    bench.lane.receive(whole[-2:])
    assert bench.connection.library == [whole[:-2], whole[-2:]]
    assert bench.lane.outline is not None
    bench.lane.returned()
    bench.line.taught.add(b"other")
    bench.lane.receive(request(b"plain"))
    assert bench.connection.library[-1] == request(b"plain")


async def test_one_answered_before_its_body_had_come_leaves_the_connection_to_the_library(bench: Bench) -> None:
    whole = request(b"1234")
    bench.lane.receive(whole[:-2])
    bench.lane.returned()
    bench.lane.receive(whole[-2:])
    bench.lane.receive(request())
    assert bench.connection.library == [whole[:-2], whole[-2:], request()]


async def test_a_large_body_is_read_by_whoever_answers(bench: Bench) -> None:
    bench.teach(request())
    large = request(b"x" * (LARGEST_BODY + 1))
    bench.lane.receive(large[:-1])
    (upload,) = bench.line.begun
    assert isinstance(upload, Upload)
    assert (upload.content_length, upload.size, upload.unread) == (LARGEST_BODY + 1, LARGEST_BODY, True)
    assert bench.connection.transport.protocol is upload
    bench.lane.go_on()
    assert bench.connection.transport.protocol is upload, (
        "what is still to come passes by, and then the connection ends"
    )
    assert not bench.connection.transport.paused


async def test_a_large_body_that_came_whole_is_in_hand(bench: Bench) -> None:
    bench.teach(request())
    bench.lane.receive(request(b"x" * (LARGEST_BODY + 1)) + request())
    assert bench.line.begun == [b"x" * (LARGEST_BODY + 1)]
    assert not bench.lane.let_pass()
    bench.lane.go_on()
    await asyncio.sleep(0)
    assert bench.line.begun[1:] == [b"{}"]


async def test_half_a_request_is_the_librarys_after_a_while(bench: Bench) -> None:
    bench.teach(request())
    bench.lane.receive(request(b"1234")[:-2])
    while not bench.connection.library:
        await asyncio.sleep(0.05)
    assert bench.connection.library == [request(b"1234")[:-2]]
    bench.lane.receive(b"34")
    assert bench.connection.library[-1] == b"34"


def test_each_request_has_a_second_to_come_whatever_the_one_before_it_took() -> None:
    async def main() -> None:
        bench, loop = Bench(), asyncio.get_running_loop()
        bench.teach(request())
        for number in range(3):
            bench.lane.receive(request(b"%d" % number)[:-1])
            await asyncio.sleep(0.6)
            bench.lane.receive(b"%d" % number)
            bench.lane.go_on()
        assert (bench.line.begun, bench.connection.library) == ([b"0", b"1", b"2"], [])
        began = loop.time()
        bench.lane.receive(request(b"late")[:-9])
        await asyncio.sleep(0.6)
        bench.lane.receive(request(b"late")[-9:-1])
        while not bench.connection.library:
            await asyncio.sleep(0.01)
        assert PATIENCE_SECONDS <= loop.time() - began < PATIENCE_SECONDS + 0.02
        assert bench.connection.library == [request(b"late")[:-1]]

    run(main())


async def test_a_body_that_comes_behind_its_head_is_taken_and_what_comes_behind_it_as_well(bench: Bench) -> None:
    bench.teach(request())
    first, second = request(b"first"), request(b"second")
    bench.lane.receive(first[:-5])
    bench.lane.receive(first[-5:])
    bench.lane.go_on()
    bench.lane.receive(first[:-5])
    bench.lane.receive(first[-5:] + second)
    bench.lane.go_on()
    await asyncio.sleep(0)
    assert (bench.line.begun, bench.connection.library) == ([b"first", b"first", b"second"], [])
