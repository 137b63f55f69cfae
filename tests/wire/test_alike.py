"""Events known again by the one before: read the short way, they say what reading all of them says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.alike import Alike
from proxy.wire.chunks import BEGINNINGS, LARGEST_CHUNK, parted
from proxy.wire.counting import tokens_in
from proxy.wire.findings import Findings
from proxy.wire.reader import StreamReader


def chunk(delta: Any, *, spaced: bool = False, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **members.pop("choice", {})}
    event = {"id": "gen-1", "model": "m", "choices": [choice], **members}
    return b"data: " + json.dumps(event, separators=None if spaced else (",", ":")).encode() + b"\n\n"


SAID = chunk({"content": "Hello"})


@pytest.mark.parametrize("spaced", [False, True])
def test_an_event_that_differs_in_its_text_is_known_again(spaced: bool) -> None:
    alike = Alike()
    alike.learn(chunk({"role": "assistant", "content": "Hello"}, spaced=spaced))
    assert alike.text_of(chunk({"role": "assistant", "content": " world, {}:["}, spaced=spaced)) == b" world, {}:["


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": ""}),
        chunk({"content": 'a "quote"'}),
        chunk({"content": "a\nline"}),
        chunk({"content": "x"}, choice={"finish_reason": "stop"}),
        chunk({"content": "x"}, choice={"index": 1}),
        chunk({"content": "x"}, usage={"prompt_tokens": 1}),
        chunk({"content": "x"}, error={"message": "no"}),
        chunk({"content": "x", "refusal": "no"}),
        chunk({"content": "x"}, model="other"),
        SAID + SAID,
        b"data: [DONE]\n\n",
        b": comment\n\n",
    ],
)
def test_what_may_say_more_is_not(event: bytes) -> None:
    alike = Alike()
    alike.learn(SAID)
    assert alike.text_of(event) is None


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": "Hello"}, usage={"prompt_tokens": 1}),
        chunk({"content": "Hello"}, choice={"finish_reason": "length"}),
        chunk({"content": "Hello"}, choice={"usage": {"prompt_tokens": 1}}),
        chunk({"reasoning": "Hello"}),
        chunk({"content": "Hello"}, error={"message": "no"}),
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}\n\n',
        # another member of that name, and the text spelled otherwise
        b'data: {"x":{"content":"Hello"},"choices":[{"index":0,"delta":{"content" : "Hello"}}]}\n\n',
    ],
)
def test_what_says_more_teaches_nothing(event: bytes) -> None:
    alike = Alike()
    alike.learn(event)
    assert alike.text_of(event) is None


TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.booleans())
def test_the_short_way_finds_what_reading_finds(texts: list[str], spaced: bool) -> None:
    quick, careful = StreamReader(Findings("chat")), Findings("chat")
    for text in ("Hello", *texts):
        event = chunk({"content": text}, spaced=spaced)
        careful.see(event[6:-2])
        if tokens := quick.alike.tokens_in(event):
            quick.findings.see_more(tokens)
        else:
            assert quick.feed(event) == event
    found = quick.findings
    assert (found.events, found.counted_output) == (careful.events, careful.counted_output)
    assert (found.countable, found.has_output, found.complete) == (
        careful.countable,
        careful.has_output,
        careful.complete,
    )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text(" .aZ09'\"\\\x7f\n\xe9", max_size=20))
def test_a_text_comes_to_as_many_tokens_in_a_chunk(text: str) -> None:
    reader = StreamReader(Findings("chat"))
    event = chunk({"content": text})
    reader.feed(SAID)
    known = reader.alike.text_of(event)
    is_plain = bool(text) and json.dumps(text)[1:-1] == text
    assert known == (text.encode() if is_plain else None)
    tokens = tokens_in(text) if is_plain else 0
    assert reader.alike.tokens_in(event) == tokens
    assert reader.alike.tokens_in_chunk(*framed(event)) == tokens


def framed(event: bytes) -> tuple[bytes, bytes]:
    """A chunk with this event, and what it begins with."""
    return b"%x\r\n%b\r\n" % (len(event), event), b"%x\r\n" % len(event)


EVENT = chunk({"content": " word"})
SIZE = len(EVENT)


@pytest.mark.parametrize(
    "data",
    [
        EVENT,
        b"%x\r\n%b" % (SIZE, EVENT),
        b"%x\r\n%b\r" % (SIZE, EVENT),
        b"%x\r\n%b\n\n" % (SIZE, EVENT),
        b"%x\r\n%b\r\n" % (SIZE + 1, EVENT),
        b"%X\r\n%b\r\n" % (SIZE + 256, EVENT),
        b"%x;a\r\n%b\r\n" % (SIZE, EVENT),
        b"%x\n\n%b\r\n" % (SIZE, EVENT),
        b"0%x\r\n%b\r\n" % (SIZE, EVENT),
        b"%x\r\n%b\r\n" % (2 * SIZE, EVENT + EVENT),
        b"%x\r\n%b\r\n" % (SIZE - 1, EVENT[:-1]),
        b"%x\r\n%b\r\n" % (SIZE - 6, EVENT[6:]),
        b"%x\r\n%b\r\n" % (SIZE + 4, b": x\n" + EVENT),
        b"%x\r\n%b\r\n" % (SIZE, EVENT) * 2,
    ],
)
def test_a_chunk_with_anything_else_or_otherwise_written_is_not_known(data: bytes) -> None:
    reader = StreamReader(Findings("chat"))
    reader.feed(SAID)
    beginning = BEGINNINGS[len(data)]
    assert reader.alike.tokens_in_chunk(data, beginning) == 0 or beginning == b""
    assert reader.alike.tokens_in_chunk(*framed(EVENT)) == 1


def test_before_an_event_was_learnt_no_chunk_is_known() -> None:
    for data in (EVENT, b"\n", b"\n\n", b"x", b""):
        assert Alike().tokens_in(data) == 0
        assert Alike().tokens_in_chunk(*framed(data)) == 0


def test_every_small_chunk_has_the_beginning_it_is_written_with() -> None:
    seen = {LARGEST_CHUNK + 1}
    for size in range(1, LARGEST_CHUNK):
        data, beginning = framed(b"a" * size)
        if len(data) <= LARGEST_CHUNK:
            assert BEGINNINGS[len(data)] == beginning
            seen.add(len(data))
    assert all(BEGINNINGS[length] == b"" for length in range(LARGEST_CHUNK + 1) if length not in seen)


def test_not_in_the_middle_of_an_event() -> None:
    reader = StreamReader(Findings("chat"))
    assert not reader.knows
    reader.feed(SAID)
    assert reader.knows
    reader.feed(b"data: {")
    assert not reader.knows


ONE, TWO = framed(b"one")[0], framed(b"a" * 300)[0]


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (ONE, [3]),
        (ONE + TWO + ONE, [3, 300, 3]),
        (b"", []),
        (ONE + b"0\r\n\r\n", []),
        (ONE[:-1], []),
        (ONE + TWO[:-3], []),
        (ONE + b"03\r\none\r\n", []),
        (ONE + b"+3\r\none\r\n", []),
        (ONE + b"C\r\n" + b"a" * 12 + b"\r\n", []),
        (ONE + b"3;a\r\none\r\n", []),
        (ONE + b"3\none\n", []),
        (ONE + b"3\r\nones\r\n", []),
        (ONE + b"-1\r\n\r\n", []),
        (ONE + b"3", []),
        (ONE + b"ffffffffffffffff\r\none\r\n", []),
    ],
)
def test_chunks_in_one_read_are_parted_where_all_are_plain(data: bytes, sizes: list[int]) -> None:
    found = parted(data)
    assert [len(chunk) - len(beginning) - 2 for chunk, beginning in found] == sizes
    assert b"".join(chunk for chunk, _ in found) == (data if sizes else b"")
