"""The journal on disks that are full, read-only, or take half a write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.faults import mount, small_disk, take_all_space
from stores_samples import hold, opened, python, records_in, settled

from proxy.stores.failures import JournalUnwritable

SMALL = 256 * 1024  # segments and reserve of 32 KiB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "256k") as mounted:
        yield mounted


def test_a_full_disk_refuses_holds_takes_settlements_from_its_reserve_and_heals(disk: Path) -> None:
    journal = opened(disk / "j", max_bytes=SMALL)
    journal.append(hold("a"))
    filler = take_all_space(disk)
    accepted = [hold("a")]
    with pytest.raises(JournalUnwritable, match="ENOSPC"):
        for count in range(100):
            journal.append(hold(f"h{count}"))
            accepted.append(hold(f"h{count}"))
    assert records_in(disk / "j") == accepted
    endings = [settled(f"s{count}") for count in range(20)]
    for ending in endings:
        journal.append(ending)
    assert journal.backlog == 0
    assert not journal.healthy
    with pytest.raises(JournalUnwritable):
        journal.append(hold("not from the reserve"))
    assert records_in(disk / "j") == accepted + endings
    filler.unlink()
    journal.append(hold("again"))
    assert journal.healthy
    assert records_in(disk / "j") == [*accepted, *endings, hold("again")]
    journal.close()


def test_a_disk_is_not_well_because_nothing_waits_for_it(disk: Path) -> None:
    journal = opened(disk / "j", max_bytes=SMALL)
    journal.append(hold("a"))
    filler = take_all_space(disk)
    with pytest.raises(JournalUnwritable, match="ENOSPC"):
        for count in range(100):
            journal.append(hold(f"h{count}"))
    assert not journal.retry() and journal.failure == "ENOSPC"
    filler.unlink()
    assert journal.retry() and journal.healthy
    assert (disk / "j" / "reserve").stat().st_size == SMALL // 8
    journal.close()


def test_a_reserve_that_somebody_removed_is_taken_again_in_full(disk: Path) -> None:
    journal, reserve = opened(disk / "j", max_bytes=SMALL), disk / "j" / "reserve"
    journal.append(hold("a"))
    filler = take_all_space(disk)
    with pytest.raises(JournalUnwritable, match="ENOSPC"):
        for count in range(100):
            journal.append(hold(f"h{count}"))
    reserve.unlink()
    assert not journal.retry() and not reserve.exists()
    filler.unlink()
    assert journal.retry()
    assert reserve.stat().st_blocks * 512 >= SMALL // 8
    journal.close()


def test_a_journal_that_has_taken_all_it_may_is_not_well_before_segments_go(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j", max_bytes=SMALL)
    with pytest.raises(JournalUnwritable, match="max_bytes"):
        for count in range(10_000):
            journal.append(hold(f"h{count}"))
    assert not journal.retry() and journal.failure == "max_bytes"
    journal.close()


def test_when_the_reserve_is_used_up_too_settlements_wait_in_memory(disk: Path) -> None:
    journal = opened(disk / "j", max_bytes=SMALL)
    journal.append(hold("a"))
    filler = take_all_space(disk)
    endings = []
    while not journal.backlog:
        endings.append(settled(f"s{len(endings)}"))
        journal.append(endings[-1])
    endings.append(settled("last"))
    journal.append(endings[-1])
    assert len(endings) > 32 * 1024 // 600
    assert records_in(disk / "j") == [hold("a"), *endings[:-2]]
    filler.unlink()
    assert journal.retry()
    assert records_in(disk / "j") == [hold("a"), *endings]
    journal.close()


def test_the_reserve_of_an_earlier_process_still_counts(disk: Path) -> None:
    first = opened(disk / "j", max_bytes=SMALL)
    first.append(hold("a"))
    first.close()
    take_all_space(disk)
    journal = opened(disk / "j", max_bytes=SMALL)
    for count in range(20):
        journal.append(settled(f"s{count}"))
    assert journal.backlog == 0
    journal.close()


def test_what_waits_in_memory_gets_a_last_chance_at_close(disk: Path) -> None:
    journal = opened(disk / "j", max_bytes=SMALL)
    filler = take_all_space(disk)
    journal.append(settled("a"))
    assert journal.backlog == 1
    filler.unlink()
    journal.close()
    assert records_in(disk / "j") == [settled("a")]


def test_a_disk_that_became_read_only_is_no_end(disk: Path) -> None:
    journal = opened(disk / "j", max_bytes=8 * 600)
    journal.append(settled("a"))
    journal.leave_segment(1)  # so that no file is open for writing, which would keep the disk from being remounted
    journal.retry()
    journal.close()
    assert mount("-o", "remount,ro", str(disk))
    journal = opened(disk / "j", max_bytes=8 * 600)
    with pytest.raises(JournalUnwritable, match="EROFS"):
        journal.append(hold("b"))
    journal.append(settled("c"))
    assert mount("-o", "remount,rw", str(disk))
    journal.append(settled("d"))
    assert records_in(disk / "j") == [settled("a"), settled("c"), settled("d")]
    journal.close()


SHORT_WRITES = """
import resource, sys
from pathlib import Path
from stores_samples import opened, settled
directory = Path(sys.argv[1])
journal = opened(directory)
journal.append(settled("first"))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (journal.end.offset + 100, most))
end = journal.end
journal.append(settled("cut"))
journal.append(settled("late"))
assert journal.backlog == 2 and journal.end == end, (journal.backlog, journal.end)
assert (directory / "00000001.log").stat().st_size == end.offset
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
journal.append(settled("last"))
assert journal.backlog == 0
journal.close()
print("done")
"""


def test_half_a_write_is_cut_back_and_the_record_is_written_later(tmp_path: Path) -> None:
    output, _ = python(SHORT_WRITES, str(tmp_path / "j")).communicate()
    assert output == "done\n"
    assert records_in(tmp_path / "j") == [settled(name) for name in ("first", "cut", "late", "last")]
