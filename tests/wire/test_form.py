"""Fields of multipart bodies, found in their bytes."""

from __future__ import annotations

import pytest

from proxy.errors import DuplicateKey, InvalidValue, RequestTooLarge
from proxy.wire.form import read_form

NAMES = frozenset({"model", "stream"})
TYPE = "multipart/form-data; boundary=B"


def found(body: bytes, content_type: str = TYPE) -> dict[str, str]:
    fields = read_form(body, content_type, NAMES)
    for field in fields.values():
        assert body[field.start : field.end].decode() == field.text
    return {name: field.text for name, field in fields.items()}


def part(disposition: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b"--B\r\nContent-Disposition: form-data; " + disposition + more + b"\r\n\r\n" + value + b"\r\n"


END = b"--B--\r\n"

READ = [
    ("one field", part(b'name="model"', b"m") + END, {"model": "m"}),
    ("two fields", part(b'name="model"', b"m") + part(b'name="stream"', b"true") + END, {"model": "m", "stream": "true"}),
    ("a field of no interest", part(b'name="prompt"', b"m") + END, {}),
    ("an empty value", part(b'name="model"', b"") + END, {"model": ""}),
    ("a value of several lines", part(b'name="model"', b"a\r\nb\n--B") + END, {"model": "a\r\nb\n--B"}),
    ("an unquoted name", part(b"name=model", b"m") + END, {"model": "m"}),
    ("an empty name", part(b'name=""', b"m") + END, {}),
    ("no name", part(b"x=1", b"m") + END, {}),
    ("a name in capitals", part(b'NAME = "model"', b"m") + END, {"model": "m"}),
    ("a name that is not UTF-8", part(b'name="\xff"', b"m") + END, {}),
    ("other part headers", part(b'name="model"', b"m", b"\r\nContent-Type: text/plain") + END, {"model": "m"}),
    ("a header in small letters", b'--B\r\ncontent-disposition:form-data; name="model"\r\n\r\nm\r\n' + END, {"model": "m"}),
    ("a file name that plays a name", part(b'filename="a; name=model"; name="file"', b"m") + END, {}),
    ("a file name with quotes", part(b'filename="a\\"; name=\\"model"; name="file"', b"m") + END, {}),
    ("a file name before the name", part(b'filename="x.mp3"; name="model"', b"m") + END, {"model": "m"}),
    ("a file name of another alphabet", part('name="file"; filename="日本語.mp3"'.encode(), b"\xff\x00") + END, {}),
    ("a preamble", b"preamble\r\n" + part(b'name="model"', b"m") + END, {"model": "m"}),
    ("an epilogue", part(b'name="model"', b"m") + END + part(b'name="stream"', b"true"), {"model": "m"}),
    ("a part without headers", b"--B\r\n\r\nm\r\n" + END, {}),
    ("a part without a body", b'--B\r\nContent-Disposition: form-data; name="model"\r\n' + END, {}),
    ("a part without a disposition", b"--B\r\nX: 1\r\n\r\nm\r\n" + END, {}),
    ("an empty part", b"--B\r\n" + END, {}),
    ("no part at all", END, {}),
    ("no delimiter at all", b"hello", {}),
    ("a long field of no interest", part(b'name="file"', b"x" * 100_000) + END, {}),
    ("the longest field", part(b'name="model"', b"x" * 1024) + END, {"model": "x" * 1024}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fields"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_named_fields_are_found(body: bytes, fields: dict[str, str]) -> None:
    assert found(body) == fields


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=B", b"B"),
        ('multipart/form-data; boundary="B"', b"B"),
        ('multipart/form-data; charset=utf-8; Boundary = "a b"; x=1', b"a b"),
        ("multipart/form-data;boundary=----WebKitFormBoundary7MA4; charset=utf-8", b"----WebKitFormBoundary7MA4"),
        ("multipart/form-data; boundary=caf\udce9", b"caf\xe9"),
    ],
)
def test_the_boundary_is_read_as_it_is_written(content_type: str, boundary: bytes) -> None:
    body = (part(b'name="model"', b"m") + END).replace(b"--B", b"--" + boundary)
    assert found(body, content_type) == {"model": "m"}


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", 'x; boundary=""'])
def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidValue, match="boundary"):
        found(END, content_type)


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(DuplicateKey) as caught:
        found(part(b'name="model"', b"a") + part(b'name="model"', b"b") + END)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("value", "words"), [(b"x" * 1025, "too long"), (b"\xff\xfe", "not UTF-8"), (b"\xed\xa0\xbd", "not UTF-8")]
)
def test_a_value_that_cannot_be_a_name_is_refused(value: bytes, words: str) -> None:
    with pytest.raises(InvalidValue, match=words) as caught:
        found(part(b'name="model"', value) + END)
    assert caught.value.param == "model"


@pytest.mark.parametrize("tail", [b"m", b"m\r\n--Bravo\r\n", b"m\r\n--B"])
def test_a_form_without_its_closing_boundary_is_refused(tail: bytes) -> None:
    """What we cannot read as a whole, a lenient upstream might read otherwise."""
    with pytest.raises(InvalidValue):
        read_form(b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + tail, TYPE, NAMES)


def test_a_longer_boundary_inside_a_part_is_not_ours() -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n--Bravo\r\nb\r\n--B--\r\n'
    assert read_form(body, TYPE, NAMES)["model"].text == "a\r\n--Bravo\r\nb"


def test_a_form_of_too_many_fields_is_refused() -> None:
    field = b'--B\r\nContent-Disposition: form-data; name="keyword"\r\n\r\nx\r\n'
    model = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--B--'
    assert read_form(999 * field + model, TYPE, NAMES)["model"].text == "m"
    with pytest.raises(RequestTooLarge, match="1000 fields"):
        read_form(1000 * field + model, TYPE, NAMES)


@pytest.mark.parametrize(
    "body",
    [
        b"--B\r\n\r\n" + 2000 * b"\r\n--Bravo" + b"\r\n--B--",
        b"--B\r\n" + 8000 * b"a\r\n" + b"\r\nx\r\n--B--",
    ],
    ids=["lines that begin as boundaries do", "a head of many lines"],
)
def test_what_takes_as_long_to_read_as_many_fields_is_refused(body: bytes) -> None:
    with pytest.raises(RequestTooLarge):
        read_form(body, TYPE, NAMES)
