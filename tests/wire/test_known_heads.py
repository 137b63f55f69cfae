"""A reply's headers that are known again are read as they would be with all care."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from proxy.wire.reply_head import KnownHeads, ReplyHead, read_reply_head

NAMES = st.sampled_from(
    [
        "Date", "date", "Content-Type", "content-type", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Connection", "Set-Cookie",
        "X-A", "x-a", "X-Generation-Id", "x-ratelimit-limit-requests", "Server",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    ["1", "22", "", "text/event-stream", "application/json", "chunked", "gzip", "close", "X-A", "é", "a\tb", "a b"]
)
PAIR = st.tuples(NAMES.map(str.encode), VALUES.map(str.encode) | st.binary(max_size=3))
RAW = st.lists(PAIR, max_size=6)


def said(head: ReplyHead) -> tuple[object, ...]:
    return *structs.astuple(structs.replace(head, lines=None)), head.block


@given(RAW, st.data())
def test_a_head_like_the_last_one_is_read_the_same(raw: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    known = KnownHeads()
    for _ in range(4):
        status = data.draw(st.sampled_from([200, 200, 200, 429]))
        assert said(known.read(raw[:], status)) == said(read_reply_head(raw, status))
        for at in data.draw(st.sets(st.integers(0, 5), max_size=2)):
            if at < len(raw):
                name, value = data.draw(PAIR)
                raw = [*raw[:at], (raw[at][0] if at < 4 else name, value), *raw[at + 1 :]]


def test_one_with_a_date_of_its_own_is_known() -> None:
    known, raw = (
        KnownHeads(),
        [(b"Date", b"1"), (b"X-A", b"a"), (b"Content-Type", b"text/event-stream"), (b"X-A", b"b")],
    )
    first = known.read(raw, 200)
    assert known.read(raw[:], 200) is first
    later = known.read([(b"Date", b"2"), raw[1], raw[2], (b"X-A", b"c")], 200)
    assert later.fields == {"date": "2", "x-a": "a", "content-type": "text/event-stream"}
    assert (later.kind, later.block) == ("events", b"X-A: a\r\nContent-Type: text/event-stream\r\nX-A: c\r\n")
    assert first.fields["date"] == "1"
