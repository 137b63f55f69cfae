"""Properties of arbitrary JSON objects: what is spliced changes, and nothing else does."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CallerError, DuplicateKey
from proxy.wire.json_object import JsonObject, edit_for, read_object, splice

BOM = b"\xef\xbb\xbf"


def places(body: bytes) -> dict[str, bytes]:
    """Every member's bytes, cut out of the body by the offsets found for it."""
    return {name: body[m.start : m.end] for name, m in read_object(body).members.items()}


def changed(body: bytes, name: str, text: bytes) -> bytes:
    document = read_object(body)
    return b"".join(splice(document.body, [edit_for(document, name, text)]))


spaces = st.text(alphabet=" \t\r\n", max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn, keys: st.SearchStrategy[str]) -> tuple[bytes, dict[str, bytes]]:
    """An object in arbitrary spacing and spelling, and the text of each of its members."""
    members = {
        key: json.dumps(value, ensure_ascii=draw(st.booleans())).encode()
        for key, value in draw(st.dictionaries(keys, values, max_size=5)).items()
    }
    parts = []
    for key, text in members.items():
        spelled = json.dumps(key, ensure_ascii=draw(st.booleans()) or "\ud83d" in key).encode()
        gaps = [draw(spaces).encode() for _ in range(4)]
        parts.append(gaps[0] + spelled + gaps[1] + b":" + gaps[2] + text + gaps[3])
    outside = draw(st.sampled_from([b"", BOM])), draw(spaces).encode(), draw(spaces).encode()
    inner = b",".join(parts) or draw(spaces).encode()
    return outside[0] + outside[1] + b"{" + inner + b"}" + outside[2], members


@given(objects(st.text(max_size=6)), st.text(max_size=6), values)
def test_splicing_a_member_changes_only_that_value(
    made: tuple[bytes, dict[str, bytes]], name: str, value: object
) -> None:
    body, members = made
    assert places(body) == members
    text = json.dumps(value).encode()
    target = next(iter(members), name)
    plain_name = target.isascii() and target.isprintable() and not set('"\\') & set(target)
    if target in members:
        after = changed(body, target, text)
        start = read_object(body).members[target].start
        assert after == body[:start] + text + body[start + len(members[target]) :]
        assert places(after) == {**members, target: text}
    elif plain_name:
        assert places(changed(body, target, text)) == {target: text}


@given(objects(st.text(max_size=6)), st.sampled_from(["model", "n"]), values)
def test_adding_a_member_changes_none_of_the_others(
    made: tuple[bytes, dict[str, bytes]], name: str, value: object
) -> None:
    body, members = made
    text = json.dumps(value).encode()
    after = changed(body, name, text)
    assert places(after) == {**members, name: text}
    assert len(after) >= len(body) or name in members


@given(objects(st.text(max_size=6)))
def test_the_slow_path_places_members_exactly_as_the_quick_one(made: tuple[bytes, dict[str, bytes]]) -> None:
    body, members = made
    assert places(body) == members
    opening = body.index(b"{") + 1
    inserted = b'"\\ud83d":0' + (b"," if members else b"")
    slow = body[:opening] + inserted + body[opening:]
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(slow.removeprefix(BOM), type=dict[str, msgspec.Raw])
    assert places(slow) == {"\ufffd": b"0", **members}
    shifted = read_object(slow)
    quick = read_object(body)
    assert shifted.close == quick.close + len(inserted)
    for name, member in quick.members.items():
        assert (shifted.members[name].start, shifted.members[name].end) == (
            member.start + len(inserted),
            member.end + len(inserted),
        )


soup = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\ud83d", b'"a"', b"1", b"-", b"e5", b".", b"null",
         b" ", b"\n", b"\xff", b"\xc3", BOM, b"\x00", b"NaN", b"{}"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(st.binary(max_size=64) | soup | soup.map(lambda rest: b'{"\\ud83d":1,' + rest))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        document = read_object(body)
    except CallerError as error:
        assert error.code in ("invalid_json", "duplicate_key", "json_too_deep")
        return
    assert isinstance(document, JsonObject)
    for name in document.members:
        try:
            document.value(name)
        except CallerError as error:
            assert error.code == "invalid_json"


@given(soup, st.text(max_size=4))
def test_a_repeated_member_is_never_missed(rest: bytes, key: str) -> None:
    spelled = json.dumps(key).encode()
    body = b'{"x":0,' + spelled + b':1,"y":' + json.dumps(rest.decode("latin-1")).encode() + b"," + spelled + b":1}"
    with pytest.raises(DuplicateKey):
        read_object(body)
