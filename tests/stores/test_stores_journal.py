"""The journal: what an append promises, rotation, forgetting, limits, syncing."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stores_samples import begun, hold, opened, records_in, settled, voided

from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Record
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import START, Position, segment_numbers, segment_path

SMALL = 64 * 1024  # segments and reserve of 8 KiB
Open = Callable[..., Journal]


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Open]:
    """Opens journals in `tmp_path/j` and closes them."""
    made: list[Journal] = []

    def journal(after: Position = START, **rules: Any) -> Journal:
        made.append(opened(tmp_path / "j", after, **rules))
        return made[-1]

    yield journal
    for one in made:
        one.close()


def fill(journal: Journal, segments: int) -> list[Record]:
    """Append settlements until that many segments were begun."""
    written: list[Record] = []
    while journal.end.segment < segments:
        written.append(settled(f"fill-{len(written)}-{journal.end.segment}"))
        journal.append(written[-1])
    return written


def test_what_was_appended_is_read_back_in_order(journals: Open, tmp_path: Path) -> None:
    journal = journals()
    records = [hold("a"), begun("a"), settled("a"), voided("b")]
    assert journal.newest(START) == (START, None)
    positions = [journal.append(record) for record in records]
    assert records_in(tmp_path / "j") == records
    assert positions == sorted(positions)
    assert journal.end == positions[-1]
    assert journal.size_bytes == positions[-1].offset == segment_path(tmp_path / "j", 1).stat().st_size
    assert journal.healthy
    assert journal.newest(START) == (journal.end, records[2:])
    assert journal.newest(START)[1] is None, "given out once"


def test_only_the_owner_can_read_it_whatever_the_umask(journals: Open, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journals().append(hold("a"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "j").iterdir()} == {0o600}


def test_importing_the_journal_does_not_import_the_database() -> None:
    code = (
        "import sys, proxy.stores.journal.journal, proxy.stores.journal.replay; sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_journal_goes_on_in_the_same_segment_behind_a_torn_tail(journals: Open, tmp_path: Path) -> None:
    journals().append(hold("a"))
    path = segment_path(tmp_path / "j", 1)
    path.write_bytes(path.read_bytes() + framed(settled("a"))[:-1])
    journal = journals()
    journal.append(settled("b"))
    assert records_in(tmp_path / "j") == [hold("a"), settled("b")]
    assert segment_numbers(tmp_path / "j") == [1]
    assert journal.size_bytes == path.stat().st_size


def test_a_segment_with_garbage_is_left_as_it_is(journals: Open, tmp_path: Path) -> None:
    journals().append(hold("a"))
    path = segment_path(tmp_path / "j", 1)
    spoilt = path.read_bytes() + b"\xff" * 40
    path.write_bytes(spoilt)
    journals().append(settled("a"))
    assert path.read_bytes() == spoilt
    assert records_in(tmp_path / "j") == [hold("a"), settled("a")]


@pytest.mark.parametrize("kept", [0, 1])
def test_records_behind_the_ledgers_position_are_new_ones_even_when_the_journal_lost_its_end(
    journals: Open, tmp_path: Path, kept: int
) -> None:
    first = journals()
    positions = [first.append(hold("a")), first.append(settled("a"))]
    path = segment_path(tmp_path / "j", 1)
    path.write_bytes(path.read_bytes()[: positions[0].offset * kept])
    if not kept:
        path.unlink()
    position = journals(after=positions[1]).append(settled("b"))
    assert position > positions[1]
    assert records_in(tmp_path / "j", positions[1]) == [settled("b")]


def test_segments_have_a_bounded_size_and_nothing_is_lost_between_them(journals: Open, tmp_path: Path) -> None:
    journal = journals(max_bytes=SMALL)
    written = fill(journal, 4)
    sizes = [segment_path(tmp_path / "j", n).stat().st_size for n in segment_numbers(tmp_path / "j")]
    assert records_in(tmp_path / "j") == written
    assert len(sizes) == 4
    assert max(sizes) <= SMALL // 8
    assert journal.size_bytes == sum(sizes)


def test_segments_the_ledger_has_are_removed(journals: Open, tmp_path: Path) -> None:
    journal = journals(max_bytes=SMALL)
    fill(journal, 4)
    journal.forget(Position(3, 0))
    assert segment_numbers(tmp_path / "j") == [3, 4]
    assert journal.oldest == 3
    journal.forget(Position(99, 0))
    assert segment_numbers(tmp_path / "j") == [4]
    assert journal.size_bytes == segment_path(tmp_path / "j", 4).stat().st_size


@pytest.mark.parametrize("fsync", ["interval", "always", "never"])
def test_open_holds_are_carried_forward_before_their_segment_goes(journals: Open, tmp_path: Path, fsync: str) -> None:
    journal = journals(max_bytes=SMALL, fsync=fsync)
    for record in (hold("open"), hold("streaming"), begun("streaming"), hold("done"), settled("done")):
        journal.append(record)
    fill(journal, 3)
    journal.forget(Position(3, 0))
    kept = replay(tmp_path / "j")
    assert {(one.hold.request_id, one.generation_id) for one in kept.holds} == {
        ("open", None),
        ("streaming", "gen-streaming"),
    }
    again = journals(max_bytes=SMALL)
    again.append(voided("open"))
    fill(again, 6)
    again.forget(again.end)
    assert [one.hold.request_id for one in replay(tmp_path / "j").holds] == ["streaming"]


def test_over_its_limit_it_refuses_holds_and_still_takes_settlements(journals: Open, tmp_path: Path) -> None:
    journal = journals(max_bytes=SMALL)
    with pytest.raises(JournalUnwritable, match="max_bytes") as refused:
        for count in range(10**6):
            journal.append(hold(f"r{count}"))
    assert (refused.value.status, refused.value.code, refused.value.reason) == (503, "ledger_unavailable", "max_bytes")
    assert not journal.healthy
    before = len(records_in(tmp_path / "j"))
    journal.append(settled("r0"))
    assert len(records_in(tmp_path / "j")) == before + 1
    assert journal.size_bytes <= SMALL


def test_settlements_past_everything_wait_in_memory_and_are_written_first_when_there_is_room(
    journals: Open, tmp_path: Path
) -> None:
    journal = journals(max_bytes=SMALL)
    late: list[Record] = []
    while not journal.backlog:
        late.append(settled(f"s{len(late)}"))
        journal.append(late[-1])
    late += [begun("x"), voided("x")]
    journal.append(late[-2])
    journal.append(late[-1])
    assert journal.backlog == 3
    assert records_in(tmp_path / "j") == late[:-3]
    journal.forget(journal.end)
    journal.append(hold("new"))
    assert journal.healthy
    assert records_in(tmp_path / "j")[-4:] == [*late[-3:], hold("new")]


def test_a_backlog_has_a_bound_too(journals: Open) -> None:
    journal = journals(max_bytes=1)
    with pytest.raises(JournalUnwritable):
        for count in range(10**6):
            journal.append(settled(f"s{count}", message="m" * 50_000))
    assert 100 < journal.backlog < 200


def test_a_file_of_somebody_else_in_the_way_is_not_overwritten(journals: Open, tmp_path: Path) -> None:
    journal = journals(max_bytes=SMALL)
    journal.append(hold("a"))
    segment_path(tmp_path / "j", 2).write_bytes(b"not ours")
    fill(journal, 3)
    assert segment_path(tmp_path / "j", 2).read_bytes() == b"not ours"


def test_a_segment_left_because_it_cannot_be_read_takes_its_open_holds_along(journals: Open, tmp_path: Path) -> None:
    journal = journals()
    journal.append(hold("a"))
    journal.leave_segment(7)
    assert journal.end.segment == 1
    journal.leave_segment(1)
    assert journal.end.segment == 2
    segment_path(tmp_path / "j", 1).unlink()
    assert [one.hold.request_id for one in replay(tmp_path / "j").holds] == ["a"]


async def test_durable_returns_after_the_sync_when_it_always_syncs(journals: Open) -> None:
    journal = journals(fsync="always")
    positions = [journal.append(hold(f"r{count}")) for count in range(50)]
    await asyncio.gather(*[journal.durable(position) for position in positions])
    await journal.durable(positions[0])


@pytest.mark.parametrize("fsync", ["interval", "never"])
async def test_durable_returns_at_once_under_the_other_rules(journals: Open, fsync: str) -> None:
    journal = journals(fsync=fsync)
    await asyncio.wait_for(journal.durable(Position(99, 0)), 60)


async def test_a_deleted_segment_is_noticed_and_its_open_holds_are_written_again(
    journals: Open, tmp_path: Path
) -> None:
    journal = journals(fsync="always")
    await journal.durable(journal.append(hold("a")))
    segment_path(tmp_path / "j", 1).unlink()
    with pytest.raises(JournalUnwritable, match="ENOENT"):
        await journal.durable(journal.append(settled("b")))
    with pytest.raises(JournalUnwritable, match="EIO"):
        journal.append(hold("too soon"))
    journal.append(settled("c"))
    assert records_in(tmp_path / "j") == [hold("a"), settled("c")]


def test_retry_says_when_all_is_well_again(journals: Open) -> None:
    journal = journals(max_bytes=SMALL)
    while not journal.backlog:
        journal.append(settled(f"s{journal.end}"))
    assert not journal.retry()
    journal.forget(journal.end)
    assert journal.retry()
    assert (journal.backlog, journal.failure) == (0, "")


def test_a_closed_journal_writes_and_misses_nothing_as_the_directory_may_be_the_next_ones(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j", START)
    journal.append(hold("a"))
    journal.close()
    segment_path(tmp_path / "j", 1).unlink()
    assert not journal.mend_if_lost()
    with pytest.raises(JournalUnwritable, match="EBADF"):
        journal.append(hold("b"))
    assert segment_numbers(tmp_path / "j") == []
