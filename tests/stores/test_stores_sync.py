"""Bringing segments to the disk: what failing syncs do, and to whom."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.segments import Position
from proxy.stores.journal.sync import Syncer

PLACE = Position(1, 10)


class Synced:
    """A syncer that always syncs, writing to a pipe: the kernel refuses to sync those."""

    def __init__(self, directory: Path) -> None:
        self.errors: list[OSError] = []
        self.syncer = Syncer(directory, "always", self.errors.append)
        self.reading, self.writing = os.pipe()
        self.syncer.opened(self.writing, PLACE)
        self.syncer.wake()


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Synced]:
    synced = Synced(tmp_path)
    yield synced
    synced.syncer.close()
    os.close(synced.reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(synced.writing)


async def test_everybody_who_waits_learns_that_a_sync_failed(failing: Synced) -> None:
    outcomes = await asyncio.gather(*[failing.syncer.durable(PLACE) for _ in range(3)], return_exceptions=True)
    assert [isinstance(outcome, JournalUnwritable) and outcome.reason for outcome in outcomes] == ["EINVAL"] * 3
    assert len(failing.errors) >= 1


def test_a_thread_that_waits_learns_it_too(failing: Synced) -> None:
    assert not failing.syncer.sync(PLACE)


async def test_a_waiter_that_was_cancelled_is_passed_over(failing: Synced) -> None:
    task = asyncio.create_task(failing.syncer.durable(PLACE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(JournalUnwritable):
        await failing.syncer.durable(PLACE)


def test_a_waiter_whose_loop_is_closed_harms_nobody(failing: Synced) -> None:
    loop = asyncio.new_event_loop()
    waiting = failing.syncer.durable(PLACE)
    task = loop.create_task(waiting)
    loop.call_soon(loop.stop)
    loop.run_forever()
    task.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert not failing.syncer.sync(PLACE)


async def test_a_directory_that_is_gone_is_a_failed_sync(tmp_path: Path) -> None:
    errors: list[OSError] = []
    syncer = Syncer(tmp_path / "gone", "always", errors.append)
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    syncer.opened(file, PLACE)
    syncer.wake()
    with pytest.raises(JournalUnwritable, match="ENOENT"):
        await syncer.durable(PLACE)
    syncer.close()
    assert errors


async def test_a_segment_that_cannot_be_closed_ends_nobodys_wait(tmp_path: Path) -> None:
    errors: list[OSError] = []
    syncer = Syncer(tmp_path, "always", errors.append)
    gone, place = os.open(tmp_path / "1", os.O_WRONLY | os.O_CREAT), Position(2, 10)
    os.close(gone)
    syncer.retired(gone)
    try:
        with contextlib.suppress(JournalUnwritable):  # where that round is the one
            await asyncio.wait_for(syncer.durable(PLACE), 60)
        syncer.opened(os.open(tmp_path / "2", os.O_WRONLY | os.O_CREAT), place)
        await asyncio.wait_for(syncer.durable(place), 60)
    finally:
        syncer.close()
    assert [errno.errorcode[error.errno or 0] for error in errors] == ["EBADF"]
