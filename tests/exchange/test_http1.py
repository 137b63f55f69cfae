"""The connection to a provider: what counts as a reply, in whatever cuts it comes, and what becomes of the connection."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange.io.http1 import JOIN_BELOW_BYTES, Connection
from proxy.exchange.io.pool import Request, ask_over
from proxy.exchange.io.response import HIGH_WATER_BYTES, Broken, NotHttp, Response
from proxy.stores.failures import JournalUnwritable
from proxy.wire.chunks import parted
from proxy.wire.reply_head import KnownHeads

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"


class Wire(asyncio.Transport):
    """A transport that keeps what is written and does nothing else; `lets_write` False: the network is full."""

    def __init__(self, connection: Connection, *, lets_write: bool = True) -> None:
        super().__init__()
        self.sent, self.writes = b"", 0
        self.aborted = self.paused = False
        self._connection = connection
        self._lets_write = lets_write

    def write(self, data: Any) -> None:
        self.writes += 1
        self.sent += bytes(data)
        if not self._lets_write:
            self._connection.pause_writing()

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        if not self.aborted:
            self.aborted = True
            self._connection.connection_lost(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == HIGH_WATER_BYTES

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Asked:
    """One request under way on a connection of its own, which may know `heads` of replies before."""

    def __init__(
        self,
        method: str = "POST",
        pieces: tuple[bytes | memoryview, ...] = (b"{}",),
        *,
        lets_write: bool = True,
        heads: KnownHeads | None = None,
    ) -> None:
        self.idle: list[Connection] = []
        self.connection = Connection()
        self.connection.free = self.idle
        self.connection.heads = heads or self.connection.heads
        self.wire = Wire(self.connection, lets_write=lets_write)
        self.connection.connection_made(self.wire)
        self.head = asyncio.ensure_future(ask_over(self.connection, Request(method, b"HEAD\r\n", list(pieces))))

    async def hear(self, *data: bytes) -> None:
        for part in data:
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # what is asked goes out at the end of a turn
            self.connection.data_received(part)
        await asyncio.sleep(0)

    async def whole(self, *data: bytes, end: BaseException | bool | None = None) -> tuple[Response, bytes]:
        """The reply to its end, `data` having come in these cuts and then, with `end`, the end of the connection."""
        await self.hear(*data)
        if end is not None and not self.wire.aborted:
            self.connection.connection_lost(end if isinstance(end, BaseException) else None)
        response, body = await self.head, b""
        while chunk := await response.read():
            body += chunk
        response.release()
        return response, body


REPLIES = [
    ("a length", HELLO, b"hello", True),
    ("chunks", CHUNKED + b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n", b"hello", True),
    ("a trailer, dropped", CHUNKED + b"5\r\nhello\r\n0\r\nX-B: 2\r\n\r\n", b"hello", True),
    ("nothing", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n", b"", True),
    ("no content", b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", b"", True),
    ("interim replies", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + HELLO, b"hello", True),
    ("no reason phrase", b"HTTP/1.1 529\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nno", b"no", True),
    (
        "the last one here",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nno",
        b"no",
        False,
    ),
    ("an old server", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nno", b"no", False),
    ("more than was said", HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"hello", False),
    ("rubbish behind it", HELLO + b"rubbish", b"hello", False),
]


@pytest.mark.parametrize(("what", "raw", "body", "kept"), REPLIES)
async def test_a_reply_and_whether_its_connection_serves_again(what: str, raw: bytes, body: bytes, kept: bool) -> None:
    asked = Asked()
    response, found = await asked.whole(raw)
    assert (found, response.header("x-a")) == (body, "1"), what
    assert asked.idle == ([asked.connection] if kept else [])
    assert asked.wire.aborted is not kept


@given(st.sampled_from(REPLIES), st.lists(st.integers(1, 200), max_size=12))
def test_cuts_change_nothing(reply: tuple[str, bytes, bytes, bool], places: list[int]) -> None:
    _, raw, body, _ = reply
    cuts = [0, *sorted({place for place in places if place < len(raw)}), len(raw)]

    async def run() -> None:
        response, found = await Asked().whole(*(raw[a:b] for a, b in zip(cuts, cuts[1:], strict=False)))
        assert (found, response.header("x-a"), response.header("x-b")) == (body, "1", None)

    asyncio.run(run())


LINES = [
    "Date: {}", "X-Id: {}", "x-id: {}", "Set-Cookie: {}", "Odd:{}", "Tab:\t{}", "Trailing: {} ", "Content-Type: {}",
    "Content-Type: application/json", "Content-Type: text/event-stream", "Content-Encoding: gzip", "Connection: {}",
    "Connection: keep-alive", "Connection: close", "Connection: x-id", "Proxy-Connection: close", "Upgrade: x",
    "Transfer-Encoding: chunked", "Content-Length: 2", "Bad Name: {}", "Content-Length: {}", "{}",
]  # fmt: skip
VALUES = ["1", "two", "2", "", " a", "b ", "c: d", "\xe9", "\x01", "x\tx", "close", "keep-alive", "application/json"]
STATUSES = [
    "200 OK",
    "200 ",
    "200",
    "204 No Content",
    "304 Not Modified",
    "429 Too Many Requests",
    "100 Continue",
    "600 x",
]


async def heard(method: str, raw: bytes, heads: KnownHeads | None = None, cut: int | None = None) -> tuple[Any, ...]:
    """All that a caller learns of a reply, and whether its connection serves again."""
    asked = Asked(method, heads=heads)
    try:
        response, body = await asked.whole(*([raw] if cut is None else [raw[:cut], raw[cut:]]), end=True)
    except (Broken, NotHttp) as error:
        return (type(error),)
    return response.status, response.head.fields, response.head.passing, response.head.block, body, bool(asked.idle)


@given(
    st.sampled_from(["POST", "GET", "HEAD"]),
    st.sampled_from(STATUSES),
    st.lists(st.sampled_from(LINES), max_size=6),
    st.lists(st.lists(st.sampled_from(VALUES), min_size=8, max_size=8), min_size=3, max_size=5),
    st.sampled_from(
        ["Content-Length: {}", "content-length: {}", "Content-Length: 0{}", "Content-Length: +{}", "X: {}"]
    ),
    st.sampled_from([b"", b"{}", b"no", b"{}more", b"HTTP/1.1 200 OK\r\n\r\n"]),
)
def test_a_head_known_by_those_before_it_says_what_it_says_where_it_is_not_known(
    method: str, status: str, lines: list[str], values: list[list[str]], length: str, body: bytes
) -> None:
    async def run() -> None:
        heads = KnownHeads()
        for row in values:
            told = [line.format(value) for line, value in zip(lines, row, strict=False)]
            told.insert(len(row[0]) % (len(told) + 1), length.format(len(body) - (row[1] == "two")))
            head = "\r\n".join([f"HTTP/1.1 {status}", *told]).encode("latin-1")
            raw = head + b"\r\n\r\n" + body
            assert await heard(method, raw, heads) == await heard(method, raw, cut=len(head) // 2)

    asyncio.run(run())


async def test_a_head_is_known_by_the_second_whatever_varies_and_by_the_third_with_what_it_varies_in() -> None:
    heads, raw = KnownHeads(), b"HTTP/1.1 200 OK\r\nDate: %d\r\nX-A: %d\r\nContent-Length: 2\r\nX-B: b\r\n\r\nno"
    found = []
    for number in (1, 1, 2, 3):
        found.append(heads.of(raw % (number, number)))
        await Asked(heads=heads).whole(raw % (number, number))
    assert [head is not None for head in found] == [False, True, False, True]
    assert found[3] is not None
    assert (found[3].status, found[3].block, found[3].size) == (200, b"X-A: 3\r\nX-B: b\r\n", len(raw % (3, 3)) - 2)
    assert found[3].fields == {"date": "3", "x-a": "3", "content-length": "2", "x-b": "b"}
    other = [raw % (4, 4) + b"!", (raw % (4, 4))[:-1], (raw % (4, 4)).replace(b"X-B: b", b"X-B: c")]
    assert [heads.of(data) for data in other] == [None, None, None]


async def test_a_provider_whose_heads_are_never_alike_is_not_learnt_for_ever() -> None:
    heads, raw = KnownHeads(), b"HTTP/1.1 200 OK\r\nX-%d: 1\r\nContent-Length: 2\r\n\r\nno"
    for number in range(40):
        await Asked(heads=heads).whole(raw % number)
    assert [heads.of(raw % number) is not None for number in (14, 15, 16, 39)] == [False, True, False, False]


async def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    response, body = await Asked().whole(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", end=True)
    assert (response.status, body) == (200, b"hello")


async def test_the_reply_to_head_has_no_body_whatever_it_says() -> None:
    asked = Asked("HEAD", ())
    response, body = await asked.whole(b"HTTP/1.1 200 OK\r\nContent-Length: 120\r\n\r\n")
    assert (response.status, body, asked.idle) == (200, b"", [asked.connection])


BROKEN = [
    ("before a byte", [], None),
    ("in the head", [b"HTTP/1.1 200 OK\r\nContent-"], None),
    ("short of its length", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"], None),
    ("in a chunk", [CHUNKED + b"5\r\nhel"], None),
    ("before the last chunk", [CHUNKED + b"5\r\nhello\r\n"], None),
    ("by a reset, without a length", [b"HTTP/1.1 200 OK\r\n\r\nhel"], ConnectionResetError()),
]


@pytest.mark.parametrize(("what", "data", "error"), BROKEN)
async def test_a_reply_that_breaks_off_is_no_whole_one(
    what: str, data: list[bytes], error: BaseException | None
) -> None:
    with pytest.raises(Broken):
        await Asked().whole(*data, end=error or True)


NO_HTTP = [
    ("rubbish", b"\x00\x01\x02rubbish\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("a length and chunks", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a body packed on its way", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("a body in chunks of chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("the same on two lines", CHUNKED.replace(b"X-A: 1", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    ("a body in a coding of its own", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nabc"),
    ("a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
    ("a chunk size that is none", CHUNKED + b"zz\r\n"),
    ("another protocol", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ("a status below all", b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"),
    ("a status above all", b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"),
    ("a status far above", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    ("a head without end", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000),
    ("more headers than anybody sends", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 600 + b"\r\n"),
    ("nothing but interim replies", b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000),
]


@pytest.mark.parametrize(("what", "raw"), NO_HTTP)
async def test_what_is_no_reply_is_refused_and_the_connection_closed(what: str, raw: bytes) -> None:
    asked = Asked()
    with pytest.raises(NotHttp):
        await asked.whole(raw)
    assert asked.wire.aborted


@pytest.mark.parametrize("protocol", [b"RTSP/1.0", b"ICE/1.0", b"HTTP/2.0", b"HTTP/0.9"])
@pytest.mark.parametrize(("method", "pieces"), [("HEAD", ()), ("POST", (b"x" * JOIN_BELOW_BYTES,)), ("POST", (b"{}",))])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_reply_in_another_protocol_is_refused_behind_whatever_request(
    protocol: bytes, method: str, pieces: tuple[bytes, ...], before: bytes
) -> None:
    with pytest.raises(NotHttp):
        await Asked(method, pieces).whole(before + protocol + HELLO.removeprefix(b"HTTP/1.1"))


async def test_a_fast_provider_waits_for_a_slow_reader() -> None:
    asked = Asked()
    await asked.hear(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * HIGH_WATER_BYTES)
    response = await asked.head
    assert not asked.wire.paused
    await asked.hear(b"b")
    assert asked.wire.paused
    assert len(await response.read()) == HIGH_WATER_BYTES + 1
    assert not asked.wire.paused


class Taking:
    """A sink that takes all but what it is not to; `count` of what it took came framing and all."""

    def __init__(self, *odd: bytes) -> None:
        self.taken: list[bytes] = []
        self.count = 0
        self._odd = odd

    def body(self, data: bytes) -> bool:
        if data in self._odd:
            return False
        self.taken.append(data)
        return True

    def chunk(self, data: bytes, beginning: bytes) -> bool:
        is_one = data.startswith(beginning) and data.endswith(b"\r\n")
        taken = is_one and self.body(data[len(beginning) : -2])
        self.count += taken
        return taken

    def chunks(self, data: bytes) -> bool:
        found = parted(data)
        is_all = bool(found) and all(chunk[len(beginning) : -2] not in self._odd for chunk, beginning in found)
        return is_all and all([self.chunk(*chunk) for chunk in found])


async def test_others_have_a_turn_before_more_is_read_of_what_takes_long() -> None:
    asked = Asked()
    await asked.hear(CHUNKED)
    response = await asked.head
    asked.connection.data_received(b"1\r\nx\r\n" * 40_000)  # as much as the loop reads at once
    assert asked.wire.paused
    await asyncio.sleep(0)
    assert not asked.wire.paused
    assert response.take() == b"x" * 40_000


async def test_a_reader_that_lags_is_waited_for_whoever_had_a_turn_meanwhile() -> None:
    asked = Asked()
    await asked.hear(CHUNKED)
    response = await asked.head
    asked.connection.data_received(b"8\r\nxxxxxxxx\r\n" * 40_000)
    await asyncio.sleep(0)
    assert asked.wire.paused, "more waits than is read ahead"
    assert response.take() == b"x" * 320_000
    assert not asked.wire.paused


async def test_what_comes_behind_bytes_that_the_sink_did_not_take_waits_behind_them() -> None:
    asked, sink = Asked(), Taking(b"odd")
    await asked.hear(CHUNKED)
    response = await asked.head
    response.sink = sink
    await asked.hear(b"3\r\none\r\n3\r\nodd\r\n3\r\ntwo\r\n", b"3\r\nmid\r\n")
    assert (sink.taken, await response.read()) == ([b"one"], b"oddtwomid")
    response.sink = sink
    await asked.hear(b"4\r\nfour\r\n")
    assert (sink.taken, sink.count) == ([b"one", b"four"], 1)
    response.close()


async def test_a_chunk_in_a_read_of_its_own_is_shown_framing_and_all_where_one_ended_before() -> None:
    asked, sink = Asked(), Taking()
    await asked.hear(CHUNKED)
    (await asked.head).sink = sink
    await asked.hear(b"1\r\na\r\n", b"1\r\nb\r\n", b"2\r\nc", b"c\r\n", b"1\r\nd\r\n", b"01\r\ne\r\n")
    assert (sink.taken, sink.count) == ([b"a", b"b", b"c", b"c", b"d", b"e"], 2)


async def test_chunks_in_one_read_are_shown_framing_and_all_where_nothing_else_is_there() -> None:
    asked, sink = Asked(), Taking()
    await asked.hear(CHUNKED)
    (await asked.head).sink = sink
    await asked.hear(b"1\r\na\r\n", b"1\r\nb\r\n2\r\nbb\r\n", b"1\r\nc\r\n1\r\n", b"d\r\n", b"1\r\ne\r\n1\r\nf\r\n")
    assert (sink.taken, sink.count) == ([b"a", b"b", b"bb", b"c", b"d", b"e", b"f"], 4)


CHUNK_SIZES = st.sampled_from(["{:x}", "{:X}", "0{:x}", "{:x};a", '{:x};a="b c"'])
BODIES = (
    st.binary(min_size=1, max_size=40)
    | st.binary(min_size=250, max_size=260)
    | st.sampled_from([b"\r\n", b"1\r\n", b"5\r\n5\r\n"])
)
CHUNKS = st.lists(st.tuples(CHUNK_SIZES, BODIES), max_size=6)
LAST_CHUNKS = st.sampled_from([b"0\r\n\r\n", b"000\r\nX-B: 2\r\n\r\n", b"0;a\r\n\r\n", b"0\r\n\r\nrubbish"])


@given(CHUNKS, LAST_CHUNKS, st.data())
def test_chunks_are_the_same_whatever_their_framing_and_wherever_they_are_cut(
    chunks: list[tuple[str, bytes]], last: bytes, data: st.DataObject
) -> None:
    pieces = [spelled.format(len(body)).encode() + b"\r\n" + body + b"\r\n" for spelled, body in chunks] + [last]
    ends = [sum(map(len, pieces[: at + 1])) for at in range(len(pieces))]
    raw, body = b"".join(pieces), b"".join(body for _, body in chunks)
    places = data.draw(st.sets(st.sampled_from(ends) | st.integers(1, len(raw))))
    cuts = sorted({0, len(raw), *places})
    odd = data.draw(st.sets(st.sampled_from([body for _, body in chunks]))) if chunks else set()

    async def run() -> None:
        asked, sink, found = Asked(), Taking(*odd), b""
        await asked.hear(CHUNKED)
        response = await asked.head
        for start, end in pairwise(cuts):
            response.sink = sink
            taken = len(sink.taken)
            await asked.hear(raw[start:end])
            found += b"".join(sink.taken[taken:])
            if response.chunks:
                found += await response.read()
        assert (found, response.at_end, response.error) == (body, True, None)
        response.release()
        assert asked.idle == ([] if last.endswith(b"rubbish") else [asked.connection])

    asyncio.run(run())


async def test_a_large_body_waits_for_a_slow_network_and_ends_with_a_refusal() -> None:
    asked = Asked(pieces=(b"a" * 3 * HIGH_WATER_BYTES,), lets_write=False)
    await asyncio.sleep(0)
    sent = len(asked.wire.sent)
    assert sent < HIGH_WATER_BYTES
    asked.connection.resume_writing()
    await asyncio.sleep(0)
    assert len(asked.wire.sent) == sent + HIGH_WATER_BYTES
    response, body = await asked.whole(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert (response.status, body, asked.idle) == (413, b"no", [])


@pytest.mark.parametrize(("bytes_of_text", "writes"), [(9, 1), (JOIN_BELOW_BYTES - 9, 1), (JOIN_BELOW_BYTES, 2)])
async def test_what_is_short_goes_out_with_the_head_in_one_write(bytes_of_text: int, writes: int) -> None:
    text = b"t" * bytes_of_text
    asked = Asked(pieces=(b"begins", memoryview(text)))
    await asked.whole(HELLO)
    assert asked.wire.sent == b"HEAD\r\nContent-Length: %d\r\n\r\nbegins" % (6 + bytes_of_text) + text
    assert asked.wire.writes == writes


async def test_header_bytes_survive() -> None:
    response, _ = await Asked().whole(b"HTTP/1.1 200 OK\r\nX-Back: caf\xe9 \xff\r\nContent-Length: 0\r\n\r\n")
    assert (response.header("x-back") or "").encode("utf-8", "surrogateescape") == b"caf\xe9 \xff"


async def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    asked = Asked()
    await asked.whole(HELLO)
    asked.connection.data_received(HELLO)
    assert asked.wire.aborted
    assert asked.idle == []


async def test_a_reply_nobody_wants_closes_its_connection() -> None:
    asked = Asked()
    await asked.hear(CHUNKED, b"5\r\nhello\r\n")
    (await asked.head).close()
    assert asked.wire.aborted
    assert asked.idle == []


async def test_a_reply_that_came_before_its_request_went_out_is_nobodys() -> None:
    asked = Asked("GET", ())
    await asyncio.sleep(0)
    assert asked.wire.sent == b""
    asked.connection.data_received(HELLO)
    with pytest.raises(Broken):
        await asked.head
    assert asked.wire.aborted
    assert asked.wire.sent == b""


async def test_where_what_was_due_fails_nothing_goes_out() -> None:
    connection = Connection()
    wire = Wire(connection)
    connection.connection_made(wire)

    class Due:
        def note(self) -> None:
            """It is to go out."""

        def sending(self) -> None:
            raise JournalUnwritable("ENOSPC")

    with pytest.raises(JournalUnwritable):
        await ask_over(connection, Request("POST", b"HEAD\r\n", []), Due())
    with pytest.raises(Broken):
        await ask_over(connection, Request("POST", b"HEAD\r\n", [b"{}"]), Due())
    assert wire.sent == b""
