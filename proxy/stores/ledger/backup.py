"""A copy of the ledger while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from proxy.stores.database import connect
from proxy.stores.failures import BackupRefused


def backup(path: Path, target: Path) -> None:
    """Copy the ledger at `path` to `target`, one file, for its owner only. Raises `BackupRefused`."""
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise BackupRefused(f"no backup was made: {target}: {error.strerror}") from error
    try:
        _copy(path, target)
    except (sqlite3.Error, OSError) as error:
        target.unlink()
        raise BackupRefused(f"no backup was made: {path}: {error}") from error


def _copy(path: Path, target: Path) -> None:
    with closing(connect(path, "ro")) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # no side files, so that the one file is all of it
