"""How much work a text is, and the halves of characters in it: whole and in pieces, never more than one look at a byte."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidJson, RequestTooLarge
from proxy.wire.json_object import read_object
from proxy.wire.json_text import SMALL, is_parsed_quickly, is_utf_8, mended

HALF, OTHER, LOST = rb"\ud83d", rb"\udE00", rb"\ufffd"

MENDED = [
    (b"", b""),
    (b'"plain"', b'"plain"'),
    (HALF, LOST),
    (OTHER, LOST),
    (HALF + OTHER, HALF + OTHER),
    (HALF + HALF + OTHER, LOST + HALF + OTHER),
    (HALF + OTHER + OTHER, HALF + OTHER + LOST),
    (OTHER + HALF, LOST + LOST),
    (HALF + b"x" + OTHER, LOST + b"x" + LOST),
    (rb"\\ud83d", rb"\\ud83d"),
    (rb"\\\ud83d", rb"\\\ufffd"),
    (rb"\\ud83d\ude00", rb"\\ud83d\ufffd"),
    (HALF + rb"\\ude00", LOST + rb"\\ude00"),
    (rb"\uD83D\uDE00\u00e9\n", rb"\uD83D\uDE00\u00e9\n"),
    (rb"\ud83", rb"\ud83"),
    (rb"\udzzz", rb"\udzzz"),
    (rb"\ud7ff\ue000", rb"\ud7ff\ue000"),
]


@pytest.mark.parametrize(("text", "expected"), MENDED)
@pytest.mark.parametrize("before", [0, 65_530, 65_535, 65_536])
def test_halves_of_characters_are_replaced_where_they_stand(text: bytes, expected: bytes, before: int) -> None:
    assert mended(b"a" * before + text + b"z" * 9) == b"a" * before + expected + b"z" * 9


@given(st.text(alphabet=st.sampled_from('a\\"\ud83d\ude00\u00e9\n😀')))
def test_whatever_python_writes_is_read_once_mended(text: str) -> None:
    written = json.dumps(text).encode()
    quick = mended(written)
    assert len(quick) == len(written)
    assert msgspec.json.decode(quick) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def body(value: bytes) -> bytes:
    return b'{"model":"m","input":' + value + b"}"


CROWDED = {
    "lists": b"[" + b"[]," * 250_000 + b"1]",
    "objects": b"[" + b"{}," * 250_000 + b"1]",
    "members": b"[" + b'{"a":1},' * 250_000 + b"1]",
    "members at the top": b"1," + b",".join(b'"%d":1' % number for number in range(250_000)) + b',"z":1',
    "numbers": b"[" + b"1," * 2_100_000 + b"1]",
    "strings": b"[" + b'"",' * 2_100_000 + b"1]",
    "a string before them": b'["' + b"\\\\" * 300_000 + b'",' + b"[]," * 250_000 + b"1]",
    "strings with quotes": b"[" + b'"\\"",[],' * 250_000 + b"1]",
}


@pytest.mark.parametrize("name", CROWDED)
def test_a_text_of_too_many_parts_is_refused(name: str) -> None:
    with pytest.raises(RequestTooLarge, match="more than 200000"):
        read_object(body(CROWDED[name]))


ROOMY = {
    "a picture": b'"' + b"QUJD" * 400_000 + b'"',
    "a table": b'"' + b"1,2,3:[]{}\\n" * 300_000 + b'"',
    "escapes": b'"' + b'\\\\\\"[' * 300_000 + b'"',
    "backslashes": b'"' + b"\\\\" * 600_000 + b'"',
    "quotes": b'["' + b'\\",[,' * 300_000 + b'"]',
    "tokens": b"[" + b"1234," * 300_000 + b"1]",
    "white space": b" " * 2_000_000 + b"1",
}


@pytest.mark.parametrize("name", ROOMY)
def test_a_large_text_of_few_parts_is_read(name: str) -> None:
    document = read_object(body(ROOMY[name]))
    assert len(body(ROOMY[name])) > SMALL
    assert document.value("model") == "m"


def test_a_small_text_may_be_crowded() -> None:
    assert is_parsed_quickly(b"[" * SMALL)
    assert not is_parsed_quickly(b"[" * (SMALL + 1))


@pytest.mark.parametrize("value", [rb'"\ud83d', rb'"\ud83d"x', rb'"\ud83d\x"'])
def test_what_is_no_json_stays_none_once_mended(value: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_object(body(value))


def test_a_number_of_any_size_beside_half_a_character_is_read() -> None:
    assert read_object(body(rb'["\ud83d",1e400,123456789012345678901234567890]')).value("input") == [
        "�",
        float("inf"),
        123456789012345678901234567890,
    ]


@given(st.integers(0, 2), st.integers(-5, 5), st.sampled_from(["é", "—", "😀"]), st.binary(max_size=4))
def test_characters_are_judged_whole_wherever_a_text_is_cut(pieces: int, at: int, character: str, odd: bytes) -> None:
    text = b"x" * max(0, pieces * 2**16 + at) + character.encode() + odd
    assert is_utf_8(text) == (text.decode(errors="ignore").encode() == text)
    assert not is_utf_8(text + character.encode()[:1])
