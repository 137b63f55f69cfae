"""What can go wrong with what we remember: each with a sentence an operator can act on."""

from __future__ import annotations

from proxy.errors import LocalError


class JournalUnwritable(LocalError):
    """A record did not reach the journal, and no part of it stayed there.

    `reason` is an errno's name (ENOSPC, EROFS, EIO ...) or "max_bytes".
    """

    code = "ledger_unavailable"

    def __init__(self, reason: str) -> None:
        """Say which calls wait, and for what; `reason` is for logs and metrics."""
        super().__init__(
            f"Calls that cost money are paused: the spending journal cannot be written ({reason}). "
            "They go on by themselves once it can.",
            retry_after=5,
        )
        self.reason = reason


class StoreError(Exception):
    """The message is one line for the operator."""


class LockedBy(StoreError):
    """Another daemon works on this state directory. `pid` is 0 where it cannot be read."""

    def __init__(self, pid: int) -> None:
        """Name the process that has the lock."""
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"the state directory is in use by {who}; stop it, or give this one its own state_dir")
        self.pid = pid


class StateUnusable(StoreError):
    """The system refuses something in the state directory."""

    def __init__(self, state_dir: object, error: OSError) -> None:
        """Name what it refuses, and why."""
        where = f"{error.filename}: " if error.filename not in (None, str(state_dir)) else ""
        why = "Not a directory" if isinstance(error, FileExistsError) else error.strerror or error
        super().__init__(f"the state directory {state_dir} cannot be used: {where}{why}")


class UnsafeState(StoreError):
    """Others could change what we remember."""

    def __init__(self, what: str, command: str) -> None:
        """Say what is wrong, and the command that mends it."""
        super().__init__(f"{what}, and could change what was spent; the daemon does not start on it. Do: {command}")


class KeysLost(StoreError):
    """There were client keys here, and nothing knows of one any more."""

    def __init__(self) -> None:
        """Say how to go on, closed or open."""
        super().__init__(
            "there were client keys here and none is left: the configuration may have lost its `keys:` section. Put it "
            "back, make a key with `tollkeeper keys create NAME`, or write `open: true` to let everybody on this "
            "machine call"
        )


class LedgerDamaged(StoreError):
    """The ledger file cannot be trusted. It is left exactly as it is."""

    def __init__(self, path: str, what: str) -> None:
        """Name the file, what is wrong with it and the way back."""
        super().__init__(
            f"the ledger {path} is damaged ({what}); nothing was changed. Stop the daemon, move the file and the ones "
            "that end in -wal and -shm away, and put the last `tollkeeper backup` in its place: what the journal still "
            "holds is added again at the next start"
        )


class LedgerUnavailable(StoreError):
    """The ledger cannot be used now: somebody has it locked, or its disk fails."""

    def __init__(self, reason: str) -> None:
        """Say what SQLite said."""
        super().__init__(f"the ledger cannot be used now: {reason}")
        self.reason = reason


class LedgerReplaced(StoreError):
    """The file was moved, removed or replaced under a running daemon."""

    def __init__(self, path: str) -> None:
        """Say what is safe: SQLite would mix the new file with what it remembers of the old one."""
        super().__init__(
            f"the ledger {path} is not the file the daemon opened at start; nothing is written to it. "
            "Put it back, or restart the daemon"
        )


class LedgerTooNew(StoreError):
    """A later version of the program has changed the tables."""

    def __init__(self, path: str, revision: str) -> None:
        """Name the file and the revision we do not know."""
        super().__init__(f"the ledger {path} was written by a newer tollkeeper (schema {revision}); use that one")


class LedgerTooOld(StoreError):
    """An earlier version of the program made the tables, and nobody has brought them up to date yet."""

    def __init__(self, path: str) -> None:
        """Say what brings it up to date."""
        super().__init__(
            f"the ledger {path} is of an older tollkeeper; the next start of the daemon brings it up to date"
        )


class BackupRefused(StoreError):
    """The backup was not made, and nothing was overwritten."""


class KeyExists(StoreError):
    """A live key has this name already."""
