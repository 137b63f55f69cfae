"""The master keys that stored secrets hang on: lines `label:base64 of 32 bytes`, the first one active.

They come from a file for its owner only, from a systemd credential, or from the environment; never from the ledger,
so that whoever has a copy of that has no secret.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.stores.failures import StoreError

VARIABLE = "TOLLKEEPER_MASTER_KEYS"
NAME = "master.key"
KEY_BYTES = 32
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([A-Za-z0-9+/_-]{43}=?)")


class MasterKeysUnusable(StoreError):
    """They cannot be read, or cannot be changed where they come from."""


class MasterKeys:
    """`path` None: they come from the environment, and are changed there. `trouble` says why they cannot be read;
    `is_credential`: the file is systemd's copy of what is kept elsewhere."""

    def __init__(
        self, path: Path | None, keys: Mapping[str, bytes], trouble: str = "", *, is_credential: bool = False
    ) -> None:
        self.path = path
        self.keys = dict(keys)
        self.trouble = trouble
        self.is_credential = is_credential

    @property
    def active(self) -> str:
        """The label that new secrets are sealed under; "" where there is no key yet."""
        return next(iter(self.keys), "")

    @property
    def source(self) -> str:
        """Where they come from, in words."""
        if self.path is None:
            return f"the environment variable {VARIABLE}"
        return f"the systemd credential {self.path.name}" if self.is_credential else f"the file {self.path}"

    @property
    def is_writable(self) -> bool:
        """Whether we may put another line there, as far as one can tell."""
        is_ours = self.path is not None and not self.is_credential and not self.trouble
        return is_ours and os.access(self._folder(), os.W_OK)

    def make_first(self, now: float) -> None:
        """Make one where there is none; where somebody was quicker, take on what they made. `now` is UTC epoch seconds.
        Raises `MasterKeysUnusable`."""
        path = self._own_path()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # before a first start there is none
            with _alone_in(path.parent):
                with contextlib.suppress(FileNotFoundError):
                    self.keys = _parsed(_private_text(path), str(path))
                if not self.keys:
                    self.write(dict([new_key({}, now)]))
        except OSError as error:
            raise MasterKeysUnusable(f"{self.path} cannot be written ({error.strerror})") from None

    def write(self, keys: Mapping[str, bytes]) -> None:
        """Put these in the file's place, whole or not at all. Raises `MasterKeysUnusable`."""
        path = self._own_path()
        text = "".join(f"{label}:{base64.b64encode(key).decode()}\n" for label, key in keys.items())
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise MasterKeysUnusable(f"{self.path} cannot be written ({error.strerror})") from None
        self.keys = dict(keys)

    def _own_path(self) -> Path:
        """What is ours to write; of a link, what it leads to."""
        if self.trouble:
            raise MasterKeysUnusable(self.trouble)
        if self.path is None or self.is_credential:
            raise MasterKeysUnusable(f"the master keys stand in {self.source}, which is changed where it is made")
        return self.path.resolve()

    def _folder(self) -> Path:
        """That of the file; the nearest there is, where it will be made."""
        assert self.path is not None
        return next(folder for folder in self.path.resolve().parents if folder.exists())


def read_master_keys(path: Path, env: Mapping[str, str]) -> MasterKeys:
    """Those of the environment where it has some, else of the file; none where there is no file."""
    credentials = env.get("CREDENTIALS_DIRECTORY")
    found = MasterKeys(
        None if env.get(VARIABLE) else path,
        {},
        is_credential=bool(credentials) and path.is_relative_to(credentials or ""),
    )
    try:
        if found.path is None:
            found.keys = _parsed(env[VARIABLE].replace(",", "\n"), VARIABLE)
        else:
            found.keys = _parsed(_private_text(path), str(path))
    except FileNotFoundError:
        return found
    except MasterKeysUnusable as error:
        found.trouble = str(error)
    return found


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content, mode = file.read(2**16), os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MasterKeysUnusable(f"the master keys in {path} cannot be read ({error.strerror})") from None
    if mode & 0o077:
        raise MasterKeysUnusable(
            f"others can read the master keys in {path} (mode {mode & 0o777:04o}): chmod 600 {path}"
        )
    return content.decode("utf-8", "replace")


def new_key(taken: Mapping[str, bytes], now: float) -> tuple[str, bytes]:
    """A label that tells when it was made, and a key. `now` is UTC epoch seconds. It counts on from the highest of its day, so
    that none is that of a key which was taken out: backups still name it."""
    day = time.strftime("k%Y%m%d", time.gmtime(now))
    others = (label.removeprefix(f"{day}-") for label in taken if label.startswith(f"{day}-"))
    count = max([int(day in taken), *(int(other) for other in others if other.isdecimal())]) + 1
    return day if count == 1 else f"{day}-{count}", secrets.token_bytes(KEY_BYTES)


def _parsed(text: str, source: str) -> dict[str, bytes]:
    """The keys by label, in their order; a message holds none of it."""
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        key = _decoded(match[2]) if match else b""
        if match is None or len(key) != KEY_BYTES or match[1] in found:
            why = "names a label a second time" if match and match[1] in found else "is no `label:base64 of 32 bytes`"
            raise MasterKeysUnusable(f"line {number} of the master keys in {source} {why}")
        found[match[1]] = key
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except binascii.Error:
        return b""


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other process is in here; the kernel gives the lock back however we end."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # as of a network's file system, whose folders cannot be locked
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
