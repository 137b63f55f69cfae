"""Files that are kept for a while for whoever called: pictures by address, and replies whose clients had left."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from proxy.errors import LocalError, UpstreamBadResponse

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
    """A file that is there: whose it is, until when (UTC epoch seconds), and where its content begins."""

    file: BinaryIO
    key: str
    expires: float
    size: int

    def media_type(self) -> str:
        """What it is, by its first bytes."""
        at = self.file.tell()
        start = self.file.read(8)
        self.file.seek(at)
        found = (kind for signature, kind in _SIGNATURES if start.lstrip().startswith(signature))
        return next(found, "application/octet-stream")


class Results:
    """Files by name in `state_dir/results`, readable by nobody else. Together they stay below `most_bytes`: who would expire
    next goes first. The moment a file expires is its time of change, so that a restart forgets nothing."""

    def __init__(self, state_dir: str, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._folder = Path(state_dir) / FOLDER
        self._sizes: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()  # pictures are written beside the loop as well
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                found = path.stat()
                self._sizes[path.name] = (found.st_mtime, found.st_size)

    def begin(self, name: str, key: str, seconds: float) -> Writing:
        """A new file, which is there once it is closed. Raises `OSError`."""
        self.sweep(time.time())
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Writing(self, self._folder / name, key, time.time() + seconds)

    def find(self, name: str, key: str) -> Kept | None:
        """The file of that name, if it is this key's, and not yet to be forgotten."""
        try:
            file = (self._folder / name).open("rb")
        except OSError:
            return None
        try:
            head = json.loads(file.readline(_LONGEST_HEAD))
            kept = Kept(file, head["key"], head["expires"], os.fstat(file.fileno()).st_size - file.tell())
        except (ValueError, KeyError, OSError):
            kept = None
        if kept is None or kept.key != key or kept.expires <= time.time():
            file.close()
            return None
        return kept

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
        self._part = path.with_suffix(path.suffix + ".part")
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self.write(json.dumps({"key": key, "expires": expires}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """More of it. Raises `OSError`."""
        self._file.write(data)

    def close(self) -> None:
        """All of it is there: from now on it can be fetched. Raises `OSError`."""
        self._file.close()
        os.utime(self._part, (self._expires, self._expires))
        self._part.replace(self._path)
        self._results.closed(self._path, self._expires)

    def discard(self) -> None:
        """It is not to be kept."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class Absent:
    """What a reply whose client had left is written to; a disk that is full costs the result, and nothing else."""

    def __init__(self, results: Results, request_id: str, key: str) -> None:
        self._writing: Writing | None = None
        with contextlib.suppress(OSError):
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

    def open(self, number: int) -> None:
        """A picture begins. Raises `LocalError`."""
        self._number, self._left = number, b""
        try:
            self._writing = self._results.begin(f"{self._name}.{number}", self._key, PICTURE_SECONDS)
        except OSError as error:
            raise _unwritable(error) from None

    def write(self, base64: bytes) -> None:
        """More of it. Raises `LocalError`, `UpstreamBadResponse` for what is no base64."""
        assert self._writing is not None
        text = self._left + base64 if self._left else base64
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
        return f"{self._root}/tollkeeper/results/{self._name}/{self._number}"


def _unwritable(error: OSError) -> LocalError:
    return LocalError(f"The picture cannot be kept for its address ({error.strerror}); ask for b64_json.")
