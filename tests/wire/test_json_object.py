"""JSON objects: where their members stand, what is refused, and that splicing touches one value only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import CallerError, DuplicateKey, InvalidJson, JsonTooDeep
from proxy.wire.json_object import edit_for, read_object, splice

BOM = b"\xef\xbb\xbf"
DEEP = 100_000


def places(body: bytes) -> dict[str, bytes]:
    """Every member's bytes, cut out of the body by the offsets found for it."""
    return {name: body[m.start : m.end] for name, m in read_object(body).members.items()}


def changed(body: bytes, name: str, text: bytes) -> bytes:
    document = read_object(body)
    return b"".join(splice(document.body, [edit_for(document, name, text)]))


PLACED = [
    (b"{}", {}),
    (b" \t\r\n{ \n } \r\n", {}),
    (b'{"model":"x"}', {"model": b'"x"'}),
    (b'{"a":1,"b":[1,{"a":2}],"c":{"model":"no"}}', {"a": b"1", "b": b'[1,{"a":2}]', "c": b'{"model":"no"}'}),
    (b' {\n  "a" : 1 ,\t"b"\r\n:\n"}{,:"  }\n', {"a": b"1", "b": b'"}{,:"'}),
    (b'{"":1," ":2}', {"": b"1", " ": b"2"}),
    (b'{"a\\"b":1,"c\\\\":2,"d":3}', {'a"b': b"1", "c\\": b"2", "d": b"3"}),
    (b'{"\\u006dodel":"x"}', {"model": b'"x"'}),
    ('{"é😀":"ü"}'.encode(), {"é😀": '"ü"'.encode()}),
    (b'{"a":null,"b":true,"c":false,"d":-0,"e":1E+2}', {"a": b"null", "b": b"true", "c": b"false", "d": b"-0", "e": b"1E+2"}),
    (b'{"a":1e400,"b":1.0,"c":0.1000000000000000055511151231257827}',
     {"a": b"1e400", "b": b"1.0", "c": b"0.1000000000000000055511151231257827"}),
    (b'{"seed":123456789012345678901234567890}', {"seed": b"123456789012345678901234567890"}),
    (b'{"seed":' + b"7" * 5000 + b"}", {"seed": b"7" * 5000}),
    (b'{"a":"\\u00e9\\/"}', {"a": b'"\\u00e9\\/"'}),
    (b'{"a":"\\ud83d"}', {"a": b'"\\ud83d"'}),
    (b'{"a":"\\ud83d\\ude00","b":"\\uDE00"}', {"a": b'"\\ud83d\\ude00"', "b": b'"\\uDE00"'}),
    (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", {"a": b"[" * 500 + b"]" * 500}),
    # a key with half an emoji: the slow path
    (b' { "\\ud83d" : 1 , "b" : [ "\\uD83D" , {} , -1.5e3 ] }\n', {"\ufffd": b"1", "b": b'[ "\\uD83D" , {} , -1.5e3 ]'}),
    ('{"\\ud83d":"é","é":"\\ud83d"}'.encode(), {"\ufffd": '"é"'.encode(), "é": b'"\\ud83d"'}),
    (b'{"\\ud83d":' + b"7" * 5000 + b',"b":1e400}', {"\ufffd": b"7" * 5000, "b": b"1e400"}),
]  # fmt: skip


@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize(("body", "expected"), PLACED)
def test_every_member_is_found_where_it_stands(body: bytes, expected: dict[str, bytes], bom: bytes) -> None:
    assert places(bom + body) == expected
    document = read_object(bom + body)
    assert document.body == bom + body
    assert document.body[document.close :].strip() == b"}"
    assert {name: bytes(member.value) for name, member in document.members.items()} == expected


REFUSED = [
    (b"", InvalidJson),
    (b" ", InvalidJson),
    (BOM, InvalidJson),
    (b"[]", InvalidJson),
    (b"null", InvalidJson),
    (b'"x"', InvalidJson),
    (b"12", InvalidJson),
    (b"{", InvalidJson),
    (b'{"a"', InvalidJson),
    (b'{"a":', InvalidJson),
    (b'{"a":1', InvalidJson),
    (b'{"a":1,}', InvalidJson),
    (b'{"a" 1}', InvalidJson),
    (b'{"a":1 "b":2}', InvalidJson),
    (b"{a:1}", InvalidJson),
    (b"{'a':1}", InvalidJson),
    (b'{"a":1} x', InvalidJson),
    (b'{"a":1}{"a":1}', InvalidJson),
    (b'{"a":NaN}', InvalidJson),
    (b'{"a":Infinity}', InvalidJson),
    (b'{"a":-Infinity}', InvalidJson),
    (b'{"a":01}', InvalidJson),
    (b'{"a":.5}', InvalidJson),
    (b'{"a":1.}', InvalidJson),
    (b'{"a":+1}', InvalidJson),
    (b'{"a":"\n"}', InvalidJson),
    (b'{"a":"\x00"}', InvalidJson),
    (b'{"a":"\\x"}', InvalidJson),
    (b'{"\xff":1}', InvalidJson),
    (b'\xff\xfe{\x00}\x00', InvalidJson),
    (b'{"a":1,"a":2}', DuplicateKey),
    (b'{"a":1,"a":1}', DuplicateKey),
    (b'{"a":11,"a":1}', DuplicateKey),
    (b'{"a":1,"a":11}', DuplicateKey),
    (b'{"a":"x","b":2,"a":"xx"}', DuplicateKey),
    (b'{"model":"x","\\u006dodel":"y"}', DuplicateKey),
    (b'{"a\\"":1,"a\\u0022":1}', DuplicateKey),
    (b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", JsonTooDeep),
    (b'{"a":' * DEEP, JsonTooDeep),
]  # fmt: skip

REFUSED_ON_THE_SLOW_PATH = [
    (b'["\\ud83d"]', InvalidJson),
    (b'{"\\ud83d":1} x', InvalidJson),
    (b'{}"\\ud83d"', InvalidJson),
    (b'{"\\ud83d":1', InvalidJson),
    (b'{"\\ud83d"', InvalidJson),
    (b'{"\\ud83d":', InvalidJson),
    (b'{"\\ud83d":1,}', InvalidJson),
    (b'{"\\ud83d" 1}', InvalidJson),
    (b'{"\\ud83d":1 "b":2}', InvalidJson),
    (b'{"\\ud83d":1,b:2}', InvalidJson),
    (b'{"\\ud83d":NaN}', InvalidJson),
    (b'{"\\ud83d":-Infinity}', InvalidJson),
    (b'{"\\ud83d":01}', InvalidJson),
    (b'{"\\ud83d":"\n"}', InvalidJson),
    (b'{"\\ud83d":"\\x"}', InvalidJson),
    (b'{"\\ud83d":1,"\xff":2}', InvalidJson),
    (b'\\ud83d', InvalidJson),
    (b'{"\\ud83d":1,"a":1,"a":1}', DuplicateKey),
    (b'{"\\ud83d":1,"\\uD83D":1}', DuplicateKey),
    (b'{"\\ud83d":1,"model":1,"\\u006dodel":2}', DuplicateKey),
    (b'{"\\ud83d":' + b"[" * DEEP + b"]" * DEEP + b"}", JsonTooDeep),
]  # fmt: skip


@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize(("body", "error"), REFUSED + REFUSED_ON_THE_SLOW_PATH)
def test_what_is_not_one_plain_object_is_refused(body: bytes, error: type[CallerError], bom: bytes) -> None:
    with pytest.raises(error) as caught:
        read_object(bom + body)
    assert caught.value.status == 400
    assert caught.value.should_retry is False


PICTURE = b'"data:image/png;base64,' + b"iVBORw0KGgo/" * 3000 + b'"'


@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize(("body", "expected"), PLACED[1:])
def test_long_strings_change_nothing(body: bytes, expected: dict[str, bytes], bom: bytes) -> None:
    if not expected:
        return
    for before in (b'{"P":' + PICTURE + b",", b'{"P":[ {"url":' + PICTURE + b"},\n" + PICTURE + b"] ,"):
        text = bom + body.replace(b"{", before, 1)
        document = read_object(text)
        assert document.body is text
        picture = before[5:].strip(b" ,")
        assert places(text) == {"P": picture, **expected}
        assert {name: bytes(value) for name, value in document.values.items()} == {"P": picture, **expected}
        assert document.value("P") == json.loads(picture)


@pytest.mark.parametrize(("body", "error"), [case for case in REFUSED if case[0].startswith(b"{")])
def test_long_strings_hide_nothing(body: bytes, error: type[CallerError]) -> None:
    with pytest.raises(error):
        read_object(body.replace(b"{", b'{"P":' + PICTURE + b",", 1))


LONG = b"A" * 40_000
ODD_LONG = [
    (b'{"' + LONG + b'":1,"' + LONG + b'":1}', DuplicateKey),
    (b'{"' + LONG + b'":1,"' + LONG + b'B":1}', 1),
    (b'{"a":"' + LONG + b'","b":1,"a":"' + LONG + b'"}', DuplicateKey),
    (b'{"a":"\\"' + LONG + b'"}', '"' + LONG.decode()),
    (b'{"a":"\\\\"' + LONG + b'"}', InvalidJson),
    (b'{"a":"' + LONG + b'\\"' + LONG + b'"}', LONG.decode() + '"' + LONG.decode()),
    (b'{"a":"' + LONG + b"\n" + LONG + b'"}', InvalidJson),
    (b'{"a":"' + LONG + b"\xff" + b'"}', InvalidJson),
    (b'{"a":"' + LONG + "é".encode() + b'"}', LONG.decode() + "é"),
    ('{"é":"é","a":"'.encode() + LONG + b'"}', LONG.decode()),
    (b'{"a":' + LONG + b',"b":"c"}', InvalidJson),
    (b'{"a":[' + b"7," * 20_000 + b'7],"b":"c"}', [7] * 20_001),
    (b'{"a":"b",' + b" " * 40_000 + b'"c":"d"}', "b"),
    (b'{"a":"' + LONG + b'"', InvalidJson),
    (b'{"a":"' + LONG, InvalidJson),
    (b'"' + LONG + b'"', InvalidJson),
]


@pytest.mark.parametrize(("body", "expected"), ODD_LONG)
def test_odd_long_strings_are_what_they_are(body: bytes, expected: object) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            read_object(body).value("a")
        return
    document = read_object(body)
    assert document.value("a" if "a" in document.values else LONG.decode()) == expected
    assert {name: bytes(member.value) for name, member in document.members.items()} == places(body)


def test_an_error_behind_a_long_string_says_where_it_is() -> None:
    body = b'{"a":' + PICTURE + b',"b":01}'
    with pytest.raises(InvalidJson, match=f"byte {len(body) - 2}"):
        read_object(body)


def test_an_error_names_only_members_whose_names_are_ours_too() -> None:
    with pytest.raises(DuplicateKey) as ours:
        read_object(b'{"model":1,"model":2}')
    assert ours.value.param == "model"
    assert "'model'" in ours.value.message
    for key in (b"canary", b"canary\\ud83d"):
        with pytest.raises(DuplicateKey) as theirs:
            read_object(b'{"' + key + b'":1,"' + key + b'":2}')
        assert theirs.value.param is None
        assert "canary" not in theirs.value.message


def test_an_error_says_where_and_repeats_nothing_of_the_body() -> None:
    with pytest.raises(InvalidJson) as caught:
        read_object(b'{"prompt":"canary",oops}')
    assert "byte 19" in caught.value.message
    assert "canary" not in caught.value.message
    assert "oops" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b'"x"', "x"),
        (b"12", 12),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"[1,null]", [1, None]),
        (b'"\\ud83d"', "\ufffd"),
        (b"1e400", float("inf")),
    ],
)
def test_a_member_is_decoded_when_asked_for(value: bytes, decoded: Any) -> None:
    assert read_object(b'{"a":' + value + b"}").value("a") == decoded


def test_an_absent_member_has_no_value() -> None:
    assert read_object(b"{}").value("model") is None


@pytest.mark.parametrize("value", [b"7" * 5000, b'"\xff"', b'"\xed\xa0"'])
def test_a_member_that_cannot_be_decoded_is_the_callers_mistake(value: bytes) -> None:
    document = read_object(b'{"model":' + value + b"}")
    with pytest.raises(InvalidJson, match="'model'"):
        document.value("model")


SPLICED = [
    (b'{"model":"a"}', "model", b'"b"', b'{"model":"b"}'),
    (b' { "x" : 1.0 , "model"\n:\t"a" , "y":1e2 } ', "model", b'"long/er"',
     b' { "x" : 1.0 , "model"\n:\t"long/er" , "y":1e2 } '),
    (BOM + b'{"model":"a"}', "model", b'"b"', BOM + b'{"model":"b"}'),
    (b'{"messages":[{"content":"model"}],"metadata":{"model":"a"},"model":"a"}', "model", b'"b"',
     b'{"messages":[{"content":"model"}],"metadata":{"model":"a"},"model":"b"}'),
    (b'{"\\u006dodel":"a"}', "model", b'"b"', b'{"\\u006dodel":"b"}'),
    (b'{"\\ud83d":"\\ud83d","model":"a"}', "model", b'"b"', b'{"\\ud83d":"\\ud83d","model":"b"}'),
    (b"{}", "n", b"1", b'{"n":1}'),
    (b"{ }", "n", b"1", b'{ "n":1}'),
    (BOM + b" {\n} ", "n", b"1", BOM + b' {\n"n":1} '),
    (b'{"a":1 }', "n", b"1", b'{"a":1,"n":1 }'),
    (b'{"\\ud83d":1\n}', "n", b"1", b'{"\\ud83d":1,"n":1\n}'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "name", "text", "expected"), SPLICED)
def test_a_change_is_spliced_into_the_bytes_as_they_came(body: bytes, name: str, text: bytes, expected: bytes) -> None:
    assert changed(body, name, text) == expected


def test_splicing_several_ranges_copies_none_of_the_rest() -> None:
    body = b"0123456789"
    pieces = splice(body, [(8, 9, b"B"), (2, 4, b"AA"), (4, 4, b"+")])
    assert b"".join(pieces) == b"01AA+4567B9"
    assert all(piece.obj is body for piece in pieces if isinstance(piece, memoryview))
    assert b"".join(splice(body, [])) == body
