"""Files that are kept for a while for whoever called: pictures by address, and replies whose clients had left."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from proxy.errors import CredentialUnreadable, LocalError, UpstreamBadResponse
from proxy.stores.failures import StoreError
from proxy.stores.secrets.safe import Safe
from proxy.stores.secrets.sealed_files import SealedWriter, chunks, new_file_key, size_of

PICTURE_SECONDS = 3600
LEFT_SECONDS = 600
FOLDER = "results"
_LONGEST_HEAD = 4096
# what files begin with
_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"RIFF", "image/webp"),
    (b"GIF8", "image/gif"),
    (b"<", "image/svg+xml"),
    (b"{", "application/json"),
)


class Kept(Struct):
    """A file that is there: what it is, how many bytes, and all of them, piece by piece."""

    media_type: str
    size: int
    chunks: Iterator[bytes]


class Results:
    """Files by name in `state_dir/results`, sealed, a key for each, which a line of JSON before it holds sealed as well.
    Together they stay below `most_bytes`: who would expire next goes first. The moment a file expires is its time of
    change, so that a restart forgets nothing."""

    def __init__(self, state_dir: str, most_bytes: int, safe: Safe) -> None:
        self.most_bytes = most_bytes
        self._safe = safe
        self._folder = Path(state_dir) / FOLDER
        self._sizes: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()  # pictures are written beside the loop as well
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                found = path.stat()
                self._sizes[path.name] = (found.st_mtime, found.st_size)

    def begin(self, name: str, key: str, seconds: float) -> Writing:
        """A new file, which is there once it is closed. Raises `OSError`, `StoreError`."""
        self.sweep(time.time())
        return Writing(self, self._folder / name, key, time.time() + seconds)

    def sealed(self, name: str, key: str, secret: bytes) -> str:
        """What opens a file of this key's. Raises `StoreError`."""
        return self._safe.seal(_place(name, key), base64.b64encode(secret).decode())[0]

    def find(self, name: str, key: str) -> Kept | None:
        """The file of that name, if it is this key's, and not yet to be forgotten. Raises `CredentialUnreadable`."""
        path = self._folder / name
        try:
            with path.open("rb") as file:
                head = json.loads(file.readline(_LONGEST_HEAD))
                start, end = file.tell(), os.fstat(file.fileno()).st_size
            if head["key"] != key or head["expires"] <= time.time():
                return None
            secret = base64.b64decode(self._safe.open(_place(name, key), head["sealed"]))
            pieces = chunks(path, secret, start)
            first = next(pieces, b"")
        except (ValueError, KeyError, OSError):
            return None
        except StoreError as error:
            raise CredentialUnreadable(f"What is kept here is sealed, and cannot be opened: {error}.") from None
        return Kept(_media_type(first), size_of(end - start), itertools.chain((first,), pieces))

    def sweep(self, now: float) -> None:
        """Remove what has expired, and what goes beyond the most there may be."""
        with self._lock:
            total = sum(size for _, size in self._sizes.values())
            for name, (expires, size) in sorted(self._sizes.items(), key=lambda item: item[1]):
                if expires > now and total <= self.most_bytes:
                    break
                total -= size
                del self._sizes[name]
                (self._folder / name).unlink(missing_ok=True)

    def closed(self, path: Path, expires: float) -> None:
        """A file was written."""
        with self._lock:
            self._sizes[path.name] = (expires, path.stat().st_size)
        self.sweep(time.time())

    async def keep_swept(self) -> None:
        """Forget in time, until cancelled."""
        while True:
            await asyncio.sleep(60)
            with contextlib.suppress(OSError):
                self.sweep(time.time())


class Writing:
    """A file on its way."""

    def __init__(self, results: Results, path: Path, key: str, expires: float) -> None:
        self._results = results
        self._path = path
        self._expires = expires
        secret = new_file_key()
        head = {"key": key, "expires": expires, "sealed": results.sealed(path.name, key, secret)}
        self._file = SealedWriter(path, secret, json.dumps(head).encode() + b"\n", is_lasting=False)

    def write(self, data: bytes) -> None:
        """More of it. Raises `OSError`."""
        self._file.write(data)

    def close(self) -> None:
        """All of it is there: from now on it can be fetched. Raises `OSError`."""
        self._file.close()
        os.utime(self._path, (self._expires, self._expires))
        self._results.closed(self._path, self._expires)

    def discard(self) -> None:
        """It is not to be kept."""
        self._file.drop()


class Absent:
    """What a reply whose client had left is written to; a disk that is full costs the result, and nothing else."""

    def __init__(self, results: Results, request_id: str, key: str) -> None:
        self._writing: Writing | None = None
        with contextlib.suppress(OSError, StoreError):
            self._writing = results.begin(request_id, key, LEFT_SECONDS)

    def write(self, data: bytes) -> None:
        """More of the body."""
        self._guarded("write", data)

    def close(self) -> None:
        """It was complete."""
        self._guarded("close")
        self._writing = None

    def discard(self) -> None:
        """It was not."""
        self._guarded("discard")
        self._writing = None

    def _guarded(self, step: str, *data: bytes) -> None:
        if self._writing is None:
            return
        try:
            getattr(self._writing, step)(*data)
        except OSError:
            writing, self._writing = self._writing, None
            with contextlib.suppress(OSError):
                writing.discard()


class Shelf:
    """Where the pictures of one call are laid, and under which address they can be fetched: `root` is scheme and host."""

    def __init__(self, results: Results, request_id: str, key: str, root: str) -> None:
        self._results = results
        self._name = request_id
        self._key = key
        self._root = root
        self._number = 0
        self._writing: Writing | None = None
        self._left = b""
        self._is_over = False

    def open(self, number: int) -> None:
        """A picture begins. Raises `LocalError`."""
        self._number, self._left = number, b""
        try:
            self._writing = self._results.begin(f"{self._name}.{number}", self._key, PICTURE_SECONDS)
        except (OSError, StoreError) as error:
            raise _unwritable(error) from None
        if self._is_over:  # a thread was still at it
            self.discard()

    def write(self, text: bytes) -> None:
        """More of it. Raises `LocalError`, `UpstreamBadResponse` for what is no base64."""
        assert self._writing is not None
        text = self._left + text if self._left else text
        whole = len(text) - len(text) % 4
        self._left = text[whole:]
        try:
            self._writing.write(binascii.a2b_base64(text[:whole]))
        except binascii.Error:
            raise UpstreamBadResponse("The picture that came is not base64.") from None
        except OSError as error:
            raise _unwritable(error) from None

    def close(self) -> str:
        """It is whole. Raises `LocalError`."""
        assert self._writing is not None
        if self._left:
            self.write(b"=" * (-len(self._left) % 4))
        try:
            self._writing.close()
        except OSError as error:
            raise _unwritable(error) from None
        self._writing = None
        return f"{self._root}/tollkeeper/results/{self._name}/{self._number}"

    def discard(self) -> None:
        """The call is over: what is not whole is not kept."""
        self._is_over = True
        writing, self._writing = self._writing, None
        if writing is not None:
            with contextlib.suppress(OSError):
                writing.discard()


def _unwritable(error: OSError | StoreError) -> LocalError:
    why = (isinstance(error, OSError) and error.strerror) or error
    return LocalError(f"The picture cannot be kept for its address ({why}); ask for b64_json.")


def _place(name: str, key: str) -> str:
    """What a file's key is bound to: one of another file, or of another client's, does not open it."""
    return f"results.{name}.{key}"


def _media_type(first: bytes) -> str:
    """What a file is, by how it begins."""
    found = (kind for signature, kind in _SIGNATURES if first[:8].lstrip().startswith(signature))
    return next(found, "application/octet-stream")
