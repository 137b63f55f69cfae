"""One daemon per state directory: a lock the kernel gives back however we end."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.stores.failures import LockedBy, UnsafeState

SOCKET_NAME = "control.sock"
_NO_LINKS = ("lock", "journal", "ledger.db", "ledger.db-wal", "ledger.db-shm", "hash.key", SOCKET_NAME, "keyed")


class StateLock:
    """Held from construction to `close`. Raises `LockedBy` when somebody else has it."""

    def __init__(self, state_dir: Path) -> None:
        """Take the lock and write our pid into the file, for whoever comes second."""
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid_in(self._fd)
            os.close(self._fd)
            raise LockedBy(pid) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Give the lock back. The file stays: removing it would let two daemons lock two files of one name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Nothing to do: the lock is held since construction."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self.close()


def refuse_unsafe(state_dir: Path) -> None:
    """Raises `UnsafeState` where somebody else could have put something in our place."""
    found, us = state_dir.stat(), os.geteuid()
    if found.st_uid not in (us, 0):
        raise UnsafeState(f"the state directory {state_dir} belongs to another user", f"chown -R {us} {state_dir}")
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        what = f"others can write into the state directory {state_dir} (mode {mode:04o})"
        raise UnsafeState(what, f"chmod 700 {state_dir}")
    for name in _NO_LINKS:
        if (state_dir / name).is_symlink():
            raise UnsafeState(f"{state_dir / name} is a symbolic link", f"rm {state_dir / name}")


def holder_of(state_dir: Path) -> int | None:
    """Who has the lock: a process id, 0 where it cannot be read, None where nobody has it. Raises OSError."""
    try:
        fd = os.open(state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd)
    finally:
        os.close(fd)
    return None


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0
