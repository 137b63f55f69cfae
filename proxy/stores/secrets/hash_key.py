"""The key under which the ledger's hashes of client keys are made; it lies beside the ledger, not in it.

Whoever gets hold of a ledger alone, or of a backup, can neither try secrets against it nor recognise them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from proxy.stores.failures import StoreError

NAME = "hash.key"
_BYTES = 32


class HashKeyUnreadable(StoreError):
    """The file is there and is not what was written."""

    def __init__(self, path: Path) -> None:
        """Name the file and the way out."""
        super().__init__(
            f"{path} is damaged; put its copy back, or remove it and make the keys of `tollkeeper keys create` anew"
        )


def hash_key(state_dir: Path) -> bytes:
    """The key of this state directory, made where there is none. Raises `HashKeyUnreadable` or OSError."""
    path = state_dir / NAME
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return _made(path)
    if len(found) != _BYTES:
        raise HashKeyUnreadable(path)
    return found


def keyed(key: bytes, key_sha256: bytes) -> bytes:
    """HMAC-SHA256 of the SHA-256 of a secret."""
    return hmac.digest(key, key_sha256, "sha256")


def keyed_hash(key: bytes, secret: str) -> bytes:
    """What is kept of a secret."""
    return keyed(key, hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest())


def _made(path: Path) -> bytes:
    """Written whole or not at all; of two who make it at once, one wins and both get that one's."""
    key, unfinished = secrets.token_bytes(_BYTES), path.with_name(f".{NAME}.{secrets.token_hex(4)}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # before a first start there is none
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        unfinished.unlink()
    return key
