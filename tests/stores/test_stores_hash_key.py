"""The key of the hashes: made once, whoever asks first; never replaced."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.stores.secrets.hash_key import NAME, HashKeyUnreadable, hash_key, keyed, keyed_hash


def test_it_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: hash_key(tmp_path), range(64)))
    assert found == {(tmp_path / NAME).read_bytes()}
    assert [len(key) for key in found] == [32]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


def test_every_directory_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert hash_key(tmp_path) != hash_key(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_damaged_one_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(HashKeyUnreadable, match="hash.key is damaged"):
        hash_key(tmp_path)
    assert (tmp_path / NAME).read_bytes() == content


def test_a_hash_is_an_hmac_of_the_secrets_digest() -> None:
    digest = hashlib.sha256(b"sk-tk-x").digest()
    assert keyed_hash(b"k" * 32, "sk-tk-x") == keyed(b"k" * 32, digest) == hmac.digest(b"k" * 32, digest, "sha256")
