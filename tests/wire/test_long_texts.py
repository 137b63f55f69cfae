"""JSON that passes is divided into long texts and the rest, whatever the chunking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.long_texts import LARGEST_REST, LONG, LongTexts, TooLarge, count_pictures

TEXT = st.text(max_size=20) | st.text(alphabet='ab"\\\\/\u00e9', min_size=LONG - 2, max_size=LONG + 40)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def divided(data: bytes, size: int, keys: frozenset[bytes] = frozenset()) -> tuple[list[tuple[str, bytes]], bytes]:
    """The long texts with their members, and what stands beside them."""
    texts, found = LongTexts(keys), list[tuple[str, bytes]]()
    for start in range(0, len(data), size):
        for piece in texts.feed(data[start : start + size]):
            if piece.first:
                found.append((piece.key, b""))
            found[-1] = (piece.key, found[-1][1] + piece.text)
    return found, texts.take_rest()


@settings(deadline=None)
@given(VALUE, st.integers(1, 3000))
def test_any_chunking_gives_the_same(value: object, size: int) -> None:
    data = json.dumps({"v": value}).encode()
    found, rest = divided(data, size)
    assert (found, rest) == divided(data, len(data))
    assert sum(len(text) for _, text in found) + len(rest) == len(data)
    assert isinstance(json.loads(rest), dict)


@pytest.mark.parametrize("size", [1, 2, 5, 10_000])
def test_texts_are_told_by_their_members(size: int) -> None:
    data = json.dumps({"a": [{"b64_json": "AB"}, {"b64_json": "C" * 3000}], "long": "x" * 2000, "u": 1}).encode()
    found, rest = divided(data, size, frozenset({b"b64_json"}))
    assert found == [("b64_json", b"AB"), ("b64_json", b"C" * 3000), ("long", b"x" * 2000)]
    assert json.loads(rest) == {"a": [{"b64_json": ""}, {"b64_json": ""}], "long": "", "u": 1}


def test_what_is_no_text_may_not_grow_without_end() -> None:
    with pytest.raises(TooLarge):
        list(LongTexts().feed(b"[" + b"1," * LARGEST_REST))


@pytest.mark.parametrize(
    ("reply", "pictures"),
    [
        ({"data": [{"b64_json": "AA"}, {"b64_json": "B" * 5000}]}, 2),
        ({"data": [{"url": "https://x"}]}, 1),
        ({"data": []}, 0),
        ({"data": [{"b64_json": ""}]}, 0),
    ],
)
def test_pictures_are_counted(reply: object, pictures: int) -> None:
    assert count_pictures(json.dumps(reply).encode()) == pictures
