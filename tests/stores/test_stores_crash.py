"""Processes that are killed, and two that want the same directory."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from stores_samples import python

from proxy.stores.failures import LockedBy
from proxy.stores.journal.records import Settled
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segments import Reader
from proxy.stores.lock import StateLock

APPEND = """
import sys
from pathlib import Path
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.replay import replay
from stores_samples import settled
directory = Path(sys.argv[1])
journal = Journal(directory, JournalRules(max_bytes=2**23), replay(directory))
for number in range(int(sys.argv[2]), 10**9):
    journal.append(settled(f"r{number}"))
    print(number, flush=True)
"""

LOCK = """
import sys
from pathlib import Path
from proxy.stores.lock import StateLock
lock = StateLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_every_acknowledged_append_is_there_exactly_once_after_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged: list[int] = []
    for _ in range(12):
        first = acknowledged[-1] + 2 if acknowledged else 0
        process = python(APPEND, str(tmp_path), str(first))
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 120)):
            acknowledged.append(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate()
        acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    found = [record.row.request_id for _, record in Reader(tmp_path) if isinstance(record, Settled)]
    assert len(found) == len(set(found))
    assert {f"r{number}" for number in acknowledged} <= set(found)
    assert len(found) <= len(acknowledged) + 12
    assert replay(tmp_path).problems == ()


def test_a_second_daemon_learns_who_was_first(tmp_path: Path) -> None:
    process = python(LOCK, str(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(LockedBy, match=f"process {process.pid};") as refused:
        StateLock(tmp_path)
    assert refused.value.pid == process.pid
    process.communicate("")
    with StateLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    process = python(LOCK, str(tmp_path))
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    StateLock(tmp_path).close()


def test_a_lock_file_without_a_pid_is_still_a_lock(tmp_path: Path) -> None:
    with StateLock(tmp_path / "new"):
        (tmp_path / "new" / "lock").write_text("")
        with pytest.raises(LockedBy, match="another process"):
            StateLock(tmp_path / "new")


def test_closing_a_lock_twice_is_harmless(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    lock.close()
    lock.close()
    StateLock(tmp_path).close()
