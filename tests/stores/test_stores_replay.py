"""What a start learns from the journal alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from stores_samples import DAY, MONTH, begun, hold, opened, settled, voided

from proxy.stores.records import Adjusted, Record
from proxy.stores.replay import OpenHold, added_spending, replay
from proxy.stores.segments import START


def test_an_empty_journal_says_nothing(tmp_path: Path) -> None:
    found = replay(tmp_path)
    assert (found.spent, found.holds, found.problems, found.end) == ({}, (), (), START)


def test_spending_counts_behind_the_position_and_holds_from_the_beginning(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for record in (hold("a"), begun("a"), hold("b"), hold("c")):
        journal.append(record)
    position = journal.append(settled("b", charges=(DAY, MONTH)))
    for late in (voided("c"), settled("d", charges=(DAY,), cost_pusd=5), Adjusted("x", 1, *MONTH, -3, "refund")):
        journal.append(late)
    journal.close()
    found = replay(tmp_path, position)
    assert found.spent == {DAY: 5, MONTH: -3}
    assert found.holds == (OpenHold(hold("a"), "gen-a", 1),)
    assert replay(tmp_path).spent == {DAY: 30_000_000_005, MONTH: 30_000_000_000 - 3}


def test_what_has_begun_without_a_hold_is_no_open_hold(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(begun("a"))
    journal.close()
    assert replay(tmp_path).holds == ()


def test_an_attempt_ends_once_and_its_first_end_counts() -> None:
    ends = [settled("a", cost_pusd=5), settled("a", cost_pusd=9), voided("b"), settled("b", cost_pusd=7)]
    assert added_spending(ends) == {DAY: 5}


STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "begun", "settled", "voided"]), st.sampled_from("abcd")), max_size=30
)
MAKERS = {"hold": hold, "begun": begun, "settled": settled, "voided": voided}


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_hold_is_open_until_its_attempt_ends(steps: list[tuple[str, str]]) -> None:
    expected: set[str] = set()
    records: list[Record] = []
    for step, name in steps:
        records.append(MAKERS[step](name))
        if step == "hold":
            expected.add(name)
        elif step != "begun":
            expected.discard(name)
    assert _open_after(records) == expected


def _open_after(records: list[Record]) -> set[str]:
    with tempfile.TemporaryDirectory() as directory:
        journal = opened(Path(directory))
        for record in records:
            journal.append(record)
        journal.close()
        return {one.hold.request_id for one in replay(Path(directory)).holds}
