"""What a start learns from the journal alone."""

from __future__ import annotations

import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_samples import DAY, MONTH, begun, hold, opened, settled, voided

from proxy.policy.money.books import Books
from proxy.policy.money.budgets import Budget, Per
from proxy.stores.frames import HEADER, checksum, framed, unframed
from proxy.stores.opened import OpenHolds
from proxy.stores.records import Adjusted, Charge, Record, Settled
from proxy.stores.replay import OpenHold, added_spending, replay
from proxy.stores.segments import START, segment_path

BUDGETS: list[tuple[str, str, Per]] = [
    ("key:alice:day", "key:alice", "day"),
    ("global:month", "global", "month"),
    ("global:total", "global", "total"),
]


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


def test_a_hold_written_again_with_more_has_grown_and_keeps_what_its_upstream_began(tmp_path: Path) -> None:
    grown = msgspec.structs.replace(hold("a"), amount_pusd=hold("a").amount_pusd * 2)
    journal, copies = opened(tmp_path), OpenHolds(())
    for record in (hold("a"), begun("a"), grown):
        journal.append(record)
        copies.follow(record, 1)
    journal.close()
    assert replay(tmp_path).holds == (OpenHold(grown, "gen-a", 1),)
    assert copies.inside([1]) == [("a.1", framed(grown) + framed(begun("a")))]


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


@settings(max_examples=100)
@given(STEPS)
def test_a_hold_is_open_until_its_attempt_ends_and_never_opens_again(steps: list[tuple[str, str]]) -> None:
    expected: set[str] = set()
    ended: set[str] = set()
    records: list[Record] = []
    for step, name in steps:
        records.append(MAKERS[step](name))
        if step == "hold" and name not in ended:
            expected.add(name)
        elif step in ("settled", "voided"):
            expected.discard(name)
            ended.add(name)
    assert _open_after(records) == expected


CHARGES = st.lists(st.sampled_from([DAY, MONTH, ("global:total", 0), ("gone:day", 1)]), unique=True).map(tuple)
AMOUNTS = st.just(0) | st.integers(0, 10**15)


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    """What a daemon may write: calls held, some begun, some ended, corrections in between."""
    records: list[Record] = []
    for name in "abcdef"[: draw(st.integers(0, 6))]:
        charges, amount = draw(CHARGES), draw(AMOUNTS)
        records.append(msgspec.structs.replace(hold(name), charges=charges, amount_pusd=amount))
        if draw(st.booleans()):
            records.append(begun(name))
        match draw(st.sampled_from(["settled", "voided", "open"])):
            case "settled":
                records.append(settled(name, charges=charges, cost_pusd=draw(AMOUNTS)))
            case "voided":
                records.append(voided(name))
    for number in range(draw(st.integers(0, 2))):
        records.append(Adjusted(f"adj-{number}", 1, *DAY, draw(st.integers(-(10**15), 10**15)), "refund"))
    return records


@settings(max_examples=300)
@given(st.data())
def test_any_part_of_a_journal_in_any_order_books_no_less_than_what_was_settled(data: st.DataObject) -> None:
    journal = data.draw(journals())
    kept = data.draw(st.lists(st.sampled_from(journal), max_size=20)) if journal else []
    budgets = [Budget(*spec, 10**18, UTC) for spec in BUDGETS]
    books, now = Books(budgets), 1_700_010_000.0
    with tempfile.TemporaryDirectory() as directory:
        segment_path(Path(directory), 1).write_bytes(b"".join(map(framed, kept)))
        found = replay(Path(directory))
    assert found.problems == ()
    for (budget, period), amount in found.spent.items():
        books.load(budget, period, amount)
    for one in found.holds:
        books.restore(one.hold.id, one.hold.key, one.hold.amount_pusd, one.hold.charges)
    for one in found.holds:
        books.settle(one.hold.id, one.hold.amount_pusd)
    assert books.open_holds == 0
    booked = {(s.budget.id, s.period): s.spent_pusd for s in books.state(now)}
    for charge in (DAY, MONTH, ("global:total", 0)):
        ends = {r.row.id: r.row.cost_pusd for r in kept if isinstance(r, Settled) and charge in r.charges}
        changes = {r.id: r.delta_pusd for r in kept if isinstance(r, Adjusted) and (r.budget, r.period) == charge}
        assert booked[charge] >= sum(ends.values()) + sum(changes.values())
    assert all(standing.held_pusd == 0 for standing in books.state(now))


def bent(record: Record, **members: Any) -> bytes:
    """A record as another version would have written it: members changed, or (...) left out."""
    values = {"type": type(record).__name__.lower(), **msgspec.to_builtins(record), **members}
    return frame_of(msgspec.msgpack.encode({name: value for name, value in values.items() if value is not ...}))


def frame_of(payload: bytes) -> bytes:
    return HEADER.pack(len(payload), checksum(payload)) + payload


def with_row(record: Settled, **members: Any) -> bytes:
    return bent(record, row={**msgspec.to_builtins(record.row), **members})


HELD = OpenHold(hold("a"), None, 1)
ODD = [
    ("a record of a later version", bent(hold("a"), type="doubled")),
    ("an end without its row", bent(settled("a"), row=...)),
    ("an end whose row lacks a field", with_row(settled("a"), request_id=1)),
    ("an end that gives money back", with_row(settled("a"), cost_pusd=-5)),
    ("an end dearer than any column", with_row(settled("a"), cost_pusd=2**63)),
    ("an end in a period before time", bent(settled("a"), charges=[("key:alice:day", -1)])),
    ("an end in a period after time", bent(settled("a"), charges=[("key:alice:day", 10**17)])),
    ("an end of another moment", with_row(settled("a"), at_ms=10**17)),
    (
        "an end that is no text",
        frame_of(framed(settled("a", key="clair"))[HEADER.size :].replace(b"clair", b"cl\xffir")),
    ),
    ("an end that is a list", frame_of(msgspec.msgpack.encode([1, 2]))),
    ("an end nested beyond reading", frame_of(b"\x82\xa4type\xa7settled\xa1x" + b"\x91" * 100_000 + b"\xc0")),
]


def test_an_end_of_an_earlier_version_says_nothing_of_what_was_not_noted_then() -> None:
    later = ("times", "first_token_ms", "waited_ms", "sent_ms", "connect_ms")
    row = {name: value for name, value in msgspec.to_builtins(settled("a").row).items() if name not in later}
    found = unframed(bent(settled("a"), row=row)[HEADER.size :])
    assert found == settled("a")
    assert [getattr(settled("a").row, name) for name in later] == [1, None, None, None, None]


@pytest.mark.parametrize("stranger", [frame for _, frame in ODD], ids=[name for name, _ in ODD])
def test_what_cannot_be_placed_is_told_and_the_hold_stays(tmp_path: Path, stranger: bytes) -> None:
    segment_path(tmp_path, 1).write_bytes(framed(hold("a")) + stranger + framed(settled("b", cost_pusd=7)))
    found = replay(tmp_path)
    assert (found.holds, found.spent) == ((HELD,), {DAY: 7})
    (problem,) = found.problems
    assert "a record this version does not know" in problem.what


def test_members_that_a_later_version_added_are_passed_over(tmp_path: Path) -> None:
    frames = [
        bent(hold("a"), urgency="high"),
        bent(begun("a"), region="eu"),
        with_row(settled("b"), mood=[1, {"x": 2}]),
    ]
    segment_path(tmp_path, 1).write_bytes(b"".join(frames))
    found = replay(tmp_path)
    assert found.holds == (OpenHold(hold("a"), "gen-a", 1),)
    assert (found.spent, found.problems) == ({DAY: 30_000_000_000}, ())


@pytest.mark.parametrize(
    ("members", "amount", "charges"),
    [
        ({"asked": ..., "stream": "yes"}, 1_000, (DAY, MONTH)),
        ({"amount_pusd": -7}, 0, (DAY, MONTH)),
        ({"amount_pusd": 2**64 - 1}, 2**63 - 1, (DAY, MONTH)),
        ({"charges": [DAY, ("global:month", -1), ("global:day", 10**17)]}, 1_000, (DAY,)),
        ({"charges": ...}, 1_000, ()),
    ],
)
def test_of_a_hold_that_is_odd_the_money_is_kept(
    tmp_path: Path, members: dict[str, Any], amount: int, charges: tuple[Charge, ...]
) -> None:
    segment_path(tmp_path, 1).write_bytes(bent(hold("a"), **members))
    found = replay(tmp_path)
    (one,) = found.holds
    assert (one.hold.id, one.hold.request_id) == ("a.1", "a")
    assert (one.hold.amount_pusd, one.hold.charges) == (amount, charges)
    assert len(found.problems) == 1


def _open_after(records: list[Record]) -> set[str]:
    with tempfile.TemporaryDirectory() as directory:
        journal = opened(Path(directory))
        for record in records:
            journal.append(record)
        journal.close()
        return {one.hold.request_id for one in replay(Path(directory)).holds}
