"""Files that hold what clients sent and got: AES-256-GCM, a key for each file, read from any place.

A file is cut into frames of `FRAME` bytes, each sealed under its number and the file's id: frames that were moved,
changed or taken from another file do not open. How long the file is, whoever keeps its key knows as well.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.stores.failures import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FRAME = 256 * 1024
_TAG_BYTES = 16
_NONCE_BYTES = 12
KEY_BYTES = 32


class FileUnreadable(StoreError):
    """A sealed file is not there, or is not what was written."""


def new_file_key() -> bytes:
    """The key of one file."""
    return secrets.token_bytes(KEY_BYTES)


class SealedWriter:
    """Writes one file, for its owner alone; `size` is that of what was written. Nothing is there before `close`.

    `head` stands before it in clear; `is_lasting`: it is on disk, too, when `close` returns.
    """

    def __init__(self, path: Path, key: bytes, head: bytes = b"", *, is_lasting: bool = True) -> None:
        self.size = 0
        self._path = path
        self._is_lasting = is_lasting
        self._unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(head)
        self._cipher = _cipher(key)
        self._number = 0
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.size += len(data)
        self._pending += data
        while len(self._pending) >= FRAME:
            self._seal(bytes(self._pending[:FRAME]))
            del self._pending[:FRAME]

    def close(self) -> None:
        """All of it is written: from now on the file is there."""
        if self._pending or not self._number:
            self._seal(bytes(self._pending))
        self._file.flush()
        if self._is_lasting:
            os.fsync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self._path)

    def drop(self) -> None:
        """It is not wanted after all."""
        with contextlib.suppress(OSError):  # what a full disk did not take
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def _seal(self, frame: bytes) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number), frame, self._path.name.encode()))
        self._number += 1


def chunks(path: Path, key: bytes, start: int = 0) -> Iterator[bytes]:
    """All of a file behind its head of `start` bytes, a frame at a time. Raises `FileUnreadable`."""
    cipher = _cipher(key)
    with _opened(path) as descriptor:
        number = 0
        while sealed := _frame(descriptor, number, start):
            yield _open(cipher, path, number, sealed)
            number += 1


def size_of(sealed_bytes: int) -> int:
    """How much was written into frames of so many bytes."""
    return sealed_bytes - _TAG_BYTES * -(-sealed_bytes // (FRAME + _TAG_BYTES))


def read(path: Path, key: bytes, offset: int, length: int) -> bytes:
    """A part of a file. Raises `FileUnreadable`."""
    cipher, first = _cipher(key), offset // FRAME
    last = (offset + max(length, 1) - 1) // FRAME
    with _opened(path) as descriptor:
        sealed = [_frame(descriptor, number) for number in range(first, last + 1)]
    parts = [_open(cipher, path, first + at, frame) for at, frame in enumerate(sealed) if frame]
    start = offset - first * FRAME
    return b"".join(parts)[start : start + length]


def seal(key: bytes, place: str, data: bytes) -> bytes:
    """A small thing, sealed where it stands."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, data, place.encode())


def unseal(key: bytes, place: str, sealed: bytes) -> bytes:
    """The small thing again. Raises `FileUnreadable`."""
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        raise FileUnreadable(f"what is kept as {place} was changed, or stood elsewhere") from None


class _opened:  # noqa: N801 - a context manager, used as one
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FileUnreadable(f"{self._path.name} cannot be read ({error.strerror})") from None
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _frame(descriptor: int, number: int, start: int = 0) -> bytes:
    """A sealed frame; nothing behind the last one."""
    return os.pread(descriptor, FRAME + _TAG_BYTES, start + number * (FRAME + _TAG_BYTES))


def _open(cipher: AESGCM, path: Path, number: int, sealed: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(_nonce(number), sealed, path.name.encode())
    except (InvalidTag, ValueError):
        raise FileUnreadable(f"part {number + 1} of {path.name} was changed, or is missing") from None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
