"""Events known again by the one before: read the short way, they say what reading all of them says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.alike import Alike
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
        assert quick.passes(event, None) or quick.feed(event) == event
    found = quick.findings
    assert (found.events, found.counted_output) == (careful.events, careful.counted_output)
    assert (found.countable, found.has_output, found.complete) == (
        careful.countable,
        careful.has_output,
        careful.complete,
    )


def test_where_the_output_comes_to_so_much_the_event_is_left_to_be_read() -> None:
    reader = StreamReader(Findings("chat"))
    reader.feed(SAID)
    assert reader.passes(SAID, 3)
    assert not reader.passes(SAID, 3)
    assert (reader.findings.events, reader.findings.counted_output) == (2, 2)


def test_not_in_the_middle_of_an_event() -> None:
    reader = StreamReader(Findings("chat"))
    reader.feed(SAID)
    reader.feed(b"data: {")
    assert not reader.passes(SAID, None)
