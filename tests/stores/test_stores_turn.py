"""What one turn of the event loop writes goes to the journal in one write: what is promised of each record stays the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores_samples import begun, hold, opened, records_in, settled, voided

from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.segments import START

SMALL = 64 * 1024


class Loop:
    """`journal`, and what it wants done when the turn ends."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.later: list[Journal] = []
        journal.gather(self.later.append)

    def end_turn(self) -> None:
        later, self.later[:] = list(self.later), []
        for one in later:
            one.go()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    journal = opened(tmp_path / "j")
    yield Loop(journal)
    journal.close()


def test_it_is_written_when_the_turn_ends_and_once(loop: Loop, tmp_path: Path) -> None:
    loop.journal.newest(START)
    written = [hold("a"), settled("a"), hold("b")]
    for record in written:
        loop.journal.soon(record)
    assert records_in(tmp_path / "j") == []
    assert len(loop.later) == 1
    loop.end_turn()
    loop.journal.flush()
    assert records_in(tmp_path / "j") == written
    assert loop.journal.turn == []
    assert loop.journal.newest(loop.journal.end)[1] is None
    loop.journal.soon(voided("b"))
    loop.end_turn()
    assert records_in(tmp_path / "j") == [*written, voided("b")]


def test_whoever_cannot_wait_has_it_written_at_once(loop: Loop, tmp_path: Path) -> None:
    loop.journal.soon(hold("a"))
    loop.journal.flush()
    assert records_in(tmp_path / "j") == [hold("a")]
    loop.end_turn()
    assert records_in(tmp_path / "j") == [hold("a")]


def test_what_is_appended_comes_behind_what_was_to_be_written(loop: Loop, tmp_path: Path) -> None:
    loop.journal.soon(hold("a"))
    end = loop.journal.append(begun("a"))
    assert records_in(tmp_path / "j") == [hold("a"), begun("a")]
    assert end == loop.journal.end


def test_another_thread_writes_its_own_and_leaves_the_turn_to_the_loop(loop: Loop, tmp_path: Path) -> None:
    loop.journal.soon(hold("a"))
    other = threading.Thread(target=loop.journal.append, args=[hold("b")])
    other.start()
    other.join()
    assert records_in(tmp_path / "j") == [hold("b")]
    assert loop.journal.turn == [hold("a")]
    loop.end_turn()
    assert records_in(tmp_path / "j") == [hold("b"), hold("a")]


def test_the_end_of_the_daemon_leaves_none_of_it_out(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    Loop(journal).journal.soon(settled("a"))
    journal.close()
    assert records_in(tmp_path / "j") == [settled("a")]


def test_without_a_loop_it_is_written_at_once(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    journal.soon(hold("a"))
    assert records_in(tmp_path / "j") == [hold("a")]
    journal.close()


def test_of_a_turn_that_does_not_fit_holds_are_refused_each_by_itself_and_ends_are_kept(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j", max_bytes=SMALL)
    loop = Loop(journal)
    accepted = []
    with pytest.raises(JournalUnwritable):
        while True:
            accepted.append(hold(f"h{len(accepted)}"))
            journal.append(accepted[-1])
    accepted.pop()
    for record in (hold("x"), settled("s"), hold("y"), begun("h1")):
        journal.soon(record)
    loop.end_turn()
    assert {name: error.reason for name, error in journal.refused.items()} == {"x.1": "max_bytes", "y.1": "max_bytes"}
    assert records_in(tmp_path / "j") == [*accepted, settled("s"), begun("h1")]
    journal.close()


_STEPS = st.lists(st.sampled_from(["hold", "settled", "begun", "append", "flush", "end of turn"]), max_size=40)
_ENDS = {"hold": hold, "settled": settled, "begun": begun, "append": hold}


@given(steps=_STEPS, segment_bytes=st.sampled_from([4096, SMALL, 2**20]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_comes_in_a_turn_is_read_back_in_order_but_for_what_was_refused(
    steps: list[str], segment_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("turn") / "j"
    journal = opened(path, max_bytes=8 * segment_bytes)
    loop, written = Loop(journal), []
    for at, step in enumerate(steps):
        if step == "flush":
            journal.flush()
        elif step == "end of turn":
            loop.end_turn()
        else:
            written.append(_ENDS[step](f"{step}{at}"))
            (journal.append if step == "append" else journal.soon)(written[-1])
        if step not in _ENDS or step == "append":
            assert records_in(path) == [
                record for record in written if getattr(record, "id", "") not in journal.refused
            ]
    loop.end_turn()
    assert len(records_in(path)) == len(written) - len(journal.refused)
    journal.close()
