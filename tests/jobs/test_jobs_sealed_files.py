"""Sealed files: read from any place as they were written; whatever was done to them is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.secrets.sealed_files import (
    FRAME,
    FileUnreadable,
    SealedWriter,
    chunks,
    new_file_key,
    read,
    seal,
    unseal,
)

CONTENT = bytes(range(256)) * (FRAME // 256 * 2 + 3)
KEY = new_file_key()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "file"
    writer = SealedWriter(path, KEY)
    for at in range(0, len(CONTENT), 1000):
        writer.write(CONTENT[at : at + 1000])
    assert not path.exists()
    writer.close()
    return path


def test_all_of_it_comes_back_and_none_of_it_lies_there(sealed: Path) -> None:
    assert b"".join(chunks(sealed, KEY)) == CONTENT
    assert CONTENT[:64] not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600


@given(offset=st.integers(0, len(CONTENT) - 1), length=st.integers(0, FRAME + 9))
def test_any_part_of_it_comes_back(sealed: Path, offset: int, length: int) -> None:
    assert read(sealed, KEY, offset, length) == CONTENT[offset : offset + length]


def test_an_empty_file_is_one(tmp_path: Path) -> None:
    writer = SealedWriter(tmp_path / "empty", KEY)
    writer.close()
    assert b"".join(chunks(tmp_path / "empty", KEY)) == b""


def test_what_was_dropped_leaves_nothing(tmp_path: Path) -> None:
    writer = SealedWriter(tmp_path / "x", KEY)
    writer.write(b"abc")
    writer.drop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["another key", "another name", "a changed byte", "frames swapped", "gone"])
def test_what_was_done_to_it_is_noticed(sealed: Path, tmp_path: Path, harm: str) -> None:
    content = bytearray(sealed.read_bytes())
    path, key = tmp_path / sealed.name, KEY
    if harm == "another key":
        key = new_file_key()
    elif harm == "another name":
        path = tmp_path / "other"
    elif harm == "a changed byte":
        content[len(content) // 2] ^= 1
    elif harm == "frames swapped":
        size = FRAME + 16
        content[:size], content[size : 2 * size] = content[size : 2 * size], content[:size]
    if harm != "gone":
        path.write_bytes(content)
    with pytest.raises(FileUnreadable):
        list(chunks(path, key))


def test_a_small_thing_opens_only_where_it_stood() -> None:
    assert unseal(KEY, "a.1", seal(KEY, "a.1", b"x")) == b"x"
    with pytest.raises(FileUnreadable):
        unseal(KEY, "a.2", seal(KEY, "a.1", b"x"))
