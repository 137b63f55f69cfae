"""Event streams cut at their blank lines, whatever the chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import LARGEST_HELD, EventCutter, data_of, split_events

ENDS = [b"\n", b"\r\n", b"\r"]


def cut(chunks: list[bytes]) -> list[bytes]:
    """What comes out for each chunk, and the rest."""
    cutter = EventCutter()
    return [*(cutter.feed(chunk) for chunk in chunks), cutter.rest()]


# a CR before a LF is one line end
PAIRS = [(first, second) for first in ENDS for second in ENDS if (first, second) != (b"\r", b"\n")]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_blank_line_ends_an_event_whatever_the_line_ends(first: bytes, second: bytes) -> None:
    event = b"data: 1" + first + second
    assert cut([event + b"data: 2"]) == [event, b"data: 2"]
    assert split_events(event + b"data: 2" + first + second) == [event, b"data: 2" + first + second]


@pytest.mark.parametrize("end", ENDS)
def test_one_line_end_never_ends_an_event(end: bytes) -> None:
    event = b"event: x" + end + b"data: 1" + end + b"data: 2" + end + end
    assert split_events(event * 2) == [event, event]
    assert cut([event[:-1]])[0] == (b"" if end != b"\r\n" else event[:-1])
    assert cut([b"event: x" + end + b"data: 1" + end]) == [b"", b"event: x" + end + b"data: 1" + end]


MIXED = [
    b"data: 1\r\n\r\n",
    b": comment\n\n",
    b"event: x\rdata: 2\r\r",
    b"data: 3\r\n\n",
    b"data: 4\n\r\n",
    b"data: \xc3\xa9\n\n",
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("end", [*ENDS, b"mixed"])
def test_every_chunking_gives_the_same_bytes_and_only_whole_events(size: int, end: bytes) -> None:
    events = (
        MIXED
        if end == b"mixed"
        else [event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", end) for event in MIXED]
    )
    stream = b"".join(events)
    pieces = cut([stream[at : at + size] for at in range(0, len(stream), size)])
    assert b"".join(pieces) == stream
    boundaries = {sum(map(len, events[:n])) for n in range(len(events) + 1)}
    at = 0
    for piece in pieces:
        at += len(piece)
        # a CRLF may be cut in two: its CR ends the line already
        assert at in boundaries or (at + 1 in boundaries and stream[at - 1 : at + 1] == b"\r\n")


@given(st.lists(st.sampled_from([b"data: 1", b":", b"\r", b"\n", b"\r\n", b"\n\n", b"x"]), max_size=30), st.data())
def test_arbitrary_streams_in_arbitrary_chunks_lose_nothing(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    chunks = []
    rest = stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        chunks.append(rest[:size])
        rest = rest[size:]
    assert b"".join(cut(chunks)) == stream
    assert b"".join(split_events(stream)) == stream


def test_a_carriage_return_and_its_line_feed_in_two_reads_make_no_phantom_event() -> None:
    pieces = cut([b"data: 1\r\n\r", b"\ndata: 2\r", b"\n\r\n"])
    assert pieces == [b"data: 1\r\n\r", b"", b"\ndata: 2\r\n\r\n", b""]
    assert [data_of(event) for piece in pieces for event in split_events(piece)] == [b"1", b"2"]


def test_a_line_cut_between_carriage_return_and_line_feed_ends_once() -> None:
    assert cut([b"event: x\r", b"\ndata: 1\r", b"\n", b"\r\n"]) == [b"", b"", b"", b"event: x\r\ndata: 1\r\n\r\n", b""]


def test_a_character_split_over_two_reads_stays_whole() -> None:
    event = 'data: "é😀"\n\n'.encode()
    assert cut([event[at : at + 1] for at in range(len(event))])[-2:] == [event, b""]


def test_whole_events_pass_without_being_held() -> None:
    chunk = b"data: 1\n\ndata: 2\n\n"
    cutter = EventCutter()
    assert cutter.feed(chunk) is chunk
    assert cutter.feed(b"") == b""


def test_a_large_event_passes_as_it_comes() -> None:
    cutter = EventCutter()
    block = b"x" * 2**20
    passed = cutter.feed(b"data: ")
    for count in range(1, 11):
        passed += cutter.feed(block)
        assert cutter.mid_event is (count >= 4)
        assert 6 + count * len(block) - len(passed) <= LARGEST_HELD
    assert cutter.mid_event
    passed += cutter.feed(b"\n\ndata: small")
    assert not cutter.mid_event
    assert passed == b"data: " + block * 10 + b"\n\n"
    assert cutter.rest() == b"data: small"
    assert cutter.rest() == b""


def test_the_blank_line_after_a_large_event_is_seen_over_chunk_borders() -> None:
    cutter = EventCutter()
    passed = cutter.feed(b"data: " + b"x" * LARGEST_HELD + b"\r\n\r")
    assert not cutter.mid_event
    passed += cutter.feed(b"\n" + b"y" * (LARGEST_HELD + 1))
    assert cutter.mid_event
    passed += cutter.feed(b"z\r")
    passed += cutter.feed(b"\n")
    assert cutter.mid_event
    passed += cutter.feed(b"\r\nd")
    assert not cutter.mid_event
    assert passed.endswith(b"z\r\n\r\n")
    assert cutter.rest() == b"d"


class CountedBytes(bytearray):
    """Counts how much of it is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.searched = 0

    def find(self, what: bytes, start: int) -> int:  # type: ignore[override]
        self.searched += len(self) - start
        return super().find(what, start)

    def rfind(self, what: bytes, start: int) -> int:  # type: ignore[override]
        self.searched += len(self) - start
        return super().rfind(what, start)


def test_the_work_grows_with_the_bytes_not_with_their_square() -> None:
    cutter = EventCutter()
    cutter.tail = tail = CountedBytes()
    for _ in range(20_000):
        assert cutter.feed(b"0123456789") == b""
    assert tail.searched <= 2 * 20_000 * (10 + 3)
    assert len(cutter.feed(b"\n\n")) == 200_002


@pytest.mark.parametrize(
    ("block", "events"),
    [
        (b"", []),
        (b"data: 1", [b"data: 1"]),
        (b"data: 1\n\n", [b"data: 1\n\n"]),
        (b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"]),
        (b"data: 1\n\ndata: 2", [b"data: 1\n\n", b"data: 2"]),
        (b"data: 1\r\n\r\ndata: 2", [b"data: 1\r\n\r\n", b"data: 2"]),
        (b"data: 1\r\n\r\n\n\n", [b"data: 1\r\n\r\n", b"\n\n"]),
    ],
)
def test_a_block_is_cut_into_its_events(block: bytes, events: list[bytes]) -> None:
    assert split_events(block) == events


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a":1}\n\n', b'{"a":1}'),
        (b'data:{"a":1}\n\n', b'{"a":1}'),
        (b'data:  {"a":1}\n\n', b' {"a":1}'),
        (b"data: 1\r\n\r\n", b"1"),
        (b"data: 1", b"1"),
        (b"data:\n\n", b""),
        (b"data\n\n", b""),
        (b"data: 1\ndata: 2\n\n", b"1\n2"),
        (b"data: 1\r\ndata:2\r\n\r\n", b"1\n2"),
        (b"data: 1\rdata:2\r\r", b"1\n2"),
        (b"data: 1\nid: 5\n\n", b"1"),
        (b"event: x\ndata: 1\nretry: 5\n\n", b"1"),
        (b": comment\ndata: 1\n\n", b"1"),
        (b"\ndata: 1\n\n", b"1"),
        (b": comment\n\n", None),
        (b"event: x\n\n", None),
        (b"database: x\ndatum: y\n\n", None),
        (b"\n\n", None),
        (b"", None),
        (b"\xef\xbb\xbfdata: 1\n\n", b"1"),
        (b"\xef\xbb\xbf: a comment\n\n", None),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data
