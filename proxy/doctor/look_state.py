"""Looks at the state directory, changing nothing: the folder and its disk, the ledger, the journal."""

from __future__ import annotations

import os
import pwd
import sqlite3
import stat
import tempfile
import time
from contextlib import closing
from pathlib import Path

from proxy.doctor.seen import AuditSeen, JournalSeen, LedgerSeen, StateSeen, WebhooksSeen
from proxy.policy.values import Settings
from proxy.stores.database import connect
from proxy.stores.failures import LedgerUnavailable, StoreError
from proxy.stores.jobs.deliveries import switched_off
from proxy.stores.journal.replay import Replayed, replay
from proxy.stores.journal.segments import START
from proxy.stores.ledger.opening import inspect_ledger
from proxy.stores.questions.queries import Files

CHECK_SECONDS = 10.0
_TRIES = 3
_MOUNTS = Path("/proc/self/mountinfo")


def look_at_state(state_dir: str) -> StateSeen:
    """The directory, or the one it would be made in."""
    path = Path(state_dir)
    try:
        found = path.stat()
    except FileNotFoundError:
        return _to_be_made(path)
    except OSError as error:
        hidden = isinstance(error, PermissionError)
        return StateSeen(state_dir, exists=hidden, trouble=(error.strerror or type(error).__name__).lower())
    disk = os.statvfs(path)
    return StateSeen(
        path=state_dir,
        trouble=_why_not_writable(path),
        mode=stat.S_IMODE(found.st_mode),
        owner=_name_of(found.st_uid),
        is_ours=os.geteuid() in (0, found.st_uid),
        free_bytes=disk.f_bavail * disk.f_frsize,
        file_system=_file_system(path),
    )


def _to_be_made(path: Path) -> StateSeen:
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    disk = os.statvfs(parent)
    return StateSeen(
        path=str(path),
        exists=False,
        parent=str(parent),
        trouble="" if os.access(parent, os.W_OK | os.X_OK) else f"{parent} cannot be written",
        free_bytes=disk.f_bavail * disk.f_frsize,
        file_system=_file_system(parent),
    )


def _why_not_writable(path: Path) -> str:
    """Root may write where modes forbid it, and nobody where the disk is read-only or full: only trying tells."""
    try:
        with tempfile.TemporaryFile(dir=path, buffering=0) as file:
            file.write(b"x")
            os.listdir(path)
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    return ""


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _file_system(path: Path) -> str:
    """The type of the file system as the kernel names it; "" where it does not say."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    real, best, kind = path.resolve(), -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = Path(left.split(" ")[4].encode().decode("unicode_escape"))
        if len(mount.parts) >= best and real.is_relative_to(mount):
            best, kind = len(mount.parts), right.split(" ")[0]
    return kind


def look_at_ledger(state_dir: str) -> LedgerSeen:
    """Read all of it, within `CHECK_SECONDS`."""
    path = Path(state_dir) / "ledger.db"
    if not path.exists():
        return LedgerSeen(exists=False)
    try:
        return LedgerSeen(is_whole=inspect_ledger(path, CHECK_SECONDS))
    except LedgerUnavailable as error:
        return LedgerSeen(trouble=error.reason, is_busy=True)
    except StoreError as error:
        return LedgerSeen(trouble=str(error))


def look_at_periods(settings: Settings) -> dict[str, int]:
    """The budgets that are in a period which has not begun yet, and when it does; none where that cannot be read."""
    budgets, now = [budget.id for budget in settings.money.budgets], time.time()
    try:
        return {
            budget: begins for budget, begins in sorted(Files(Path(settings.state_dir)).spent(budgets)) if begins > now
        }
    except StoreError:
        return {}


def look_at_audit(state_dir: str) -> AuditSeen:
    """Read its chain from end to end."""
    try:
        found = Files(Path(state_dir)).audit_verdict()
    except LedgerUnavailable as error:
        return AuditSeen(trouble=error.reason)
    except StoreError as error:
        return AuditSeen(trouble=str(error))
    return AuditSeen(found.rows, found.problems)


def look_at_webhooks(state_dir: str) -> WebhooksSeen:
    """Those that jobs were told by; none where there never was a job."""
    path = Path(state_dir) / "jobs" / "jobs.db"
    try:
        if not path.exists():
            return WebhooksSeen()
        with closing(connect(path, "ro")) as driver:
            has_any = driver.execute("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").fetchone()
            return WebhooksSeen(tuple(switched_off(driver)) if has_any else ())
    except (sqlite3.Error, OSError) as error:
        return WebhooksSeen(trouble=str(error))


def look_at_journal(state_dir: str) -> JournalSeen:
    """Replay it as a start would. A daemon may remove segments meanwhile: what is wrong then is looked at again."""
    for left in reversed(range(_TRIES)):
        replayed = _replayed(Path(state_dir))
        if not replayed.problems or not left:
            break
    return JournalSeen(tuple(map(str, replayed.problems)), len(replayed.holds))


def _replayed(state_dir: Path) -> Replayed:
    try:
        _, position = Files(state_dir).booked(())
    except (StoreError, OSError):
        position = START
    return replay(state_dir / "journal", position)
