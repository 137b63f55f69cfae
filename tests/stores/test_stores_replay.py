"""What a start learns from the journal alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_samples import DAY, MONTH, begun, hold, opened, row, settled, voided

from proxy.policy.money.books import Books
from proxy.policy.money.budgets import Budget, Per
from proxy.stores.journal.frames import HEADER, checksum, unframed
from proxy.stores.journal.opened import OpenHolds
from proxy.stores.journal.records import Adjusted, Charge, Corrected, Record, Refused, Row, Settled
from proxy.stores.journal.replay import OpenHold, added_spending, replay
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import START, segment_path

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
        copies.follow([record], 1)
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


Form = Callable[[dict[str, Any]], Any]


def spelled(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as they were written at first, each with its name."""
    return {name: value for name, value in fields.items() if value is not ...}


def listed(fields: dict[str, Any]) -> list[Any]:
    """Fields as they are written now, in their order; there are none behind one that is left out."""
    return list(takewhile(lambda value: value is not ..., fields.values()))


def bent(form: Form, record: Record, changes: dict[str, Any] | None = None, **members: Any) -> bytes:
    """A record as another version would have written it: members changed, added at the end, or (...) left out."""
    values = {"type": type(record).__name__.lower(), **msgspec.structs.asdict(record), **members}
    if isinstance(record, Settled) and "row" not in members:
        values["row"] = form({**msgspec.structs.asdict(record.row), **(changes or {})})
    return frame_of(msgspec.msgpack.encode(form(values)))


def frame_of(payload: bytes) -> bytes:
    return HEADER.pack(len(payload), checksum(payload)) + payload


HELD = OpenHold(hold("a"), None, 1)
FORMS: list[Form] = [spelled, listed]
ODD = [
    (f"{what}, {form.__name__}", bent(form, record, changes, **members))
    for what, record, changes, members in [
        ("a record of a later version", hold("a"), None, {"type": "doubled"}),
        ("an end without its row", settled("a"), None, {"row": ...}),
        ("an end whose row lacks a field", settled("a"), {"request_id": 1}, {}),
        ("an end that gives money back", settled("a"), {"cost_pusd": -5}, {}),
        ("an end dearer than any column", settled("a"), {"cost_pusd": 2**63}, {}),
        ("an end in a period before time", settled("a"), None, {"charges": [("key:alice:day", -1)]}),
        ("an end in a period after time", settled("a"), None, {"charges": [("key:alice:day", 10**17)]}),
        ("an end of another moment", settled("a"), {"at_ms": 10**17}, {}),
        ("an end whose row is a number", settled("a"), None, {"row": 7}),
    ]
    for form in FORMS
] + [
    (
        "an end that is no text",
        frame_of(framed(settled("a", key="clair"))[HEADER.size :].replace(b"clair", b"cl\xffir")),
    ),
    (
        "a record that is no text, spelled",
        frame_of(bent(spelled, settled("a", key="clair"))[HEADER.size :].replace(b"clair", b"cl\xffir")),
    ),
    ("an end that is a list", frame_of(msgspec.msgpack.encode([1, 2]))),
    ("a record that is a number", frame_of(msgspec.msgpack.encode(7))),
    ("a record of nothing", frame_of(b"")),
    ("an empty record, spelled", frame_of(msgspec.msgpack.encode({}))),
    ("an end nested beyond reading", frame_of(b"\x82\xa4type\xa7settled\xa1x" + b"\x91" * 100_000 + b"\xc0")),
    ("an end nested beyond reading, listed", frame_of(b"\x93\xa7settled" + b"\x91" * 100_000 + b"\xc0\xc0")),
]


@pytest.mark.parametrize("form", FORMS)
def test_an_end_of_an_earlier_version_says_nothing_of_what_was_not_noted_then(form: Form) -> None:
    later = "times", "first_token_ms", "waited_ms", "sent_ms", "connect_ms", "session", "tags", "tenant", "use_case"
    later += "decision", "arm", "saved_pusd"
    found = unframed(bent(form, settled("a"), dict.fromkeys(later, ...))[HEADER.size :])
    assert found == settled("a")
    assert [getattr(settled("a").row, name) for name in later[:5]] == [1, None, None, None, None]


@pytest.mark.parametrize(
    "record",
    [hold("a"), begun("a"), settled("a", session="s"), voided("a"), Corrected(row("a"), row("a", cost_pusd=5), (DAY,)),
     Refused(row("a")), Adjusted("x", 5, "global:day", 0, -7, "why")],
)  # fmt: skip
def test_a_record_as_it_was_written_at_first_is_the_record_of_today(record: Record) -> None:
    named = {name: spelled(msgspec.structs.asdict(value)) if isinstance(value, Row) else value
             for name, value in msgspec.structs.asdict(record).items()}  # fmt: skip
    payload = msgspec.msgpack.encode({"type": type(record).__name__.lower(), **named})
    assert unframed(payload) == record == unframed(framed(record)[HEADER.size :])


@pytest.mark.parametrize("stranger", [frame for _, frame in ODD], ids=[name for name, _ in ODD])
def test_what_cannot_be_placed_is_told_and_the_hold_stays(tmp_path: Path, stranger: bytes) -> None:
    segment_path(tmp_path, 1).write_bytes(framed(hold("a")) + stranger + framed(settled("b", cost_pusd=7)))
    found = replay(tmp_path)
    assert (found.holds, found.spent) == ((HELD,), {DAY: 7})
    (problem,) = found.problems
    assert "a record this version does not know" in problem.what


@pytest.mark.parametrize("form", FORMS)
def test_members_that_a_later_version_added_are_passed_over(tmp_path: Path, form: Form) -> None:
    frames = [
        bent(form, hold("a"), urgency="high"),
        bent(form, begun("a"), region="eu"),
        bent(form, settled("b"), {"mood": [1, {"x": 2}]}),
    ]
    segment_path(tmp_path, 1).write_bytes(b"".join(frames))
    found = replay(tmp_path)
    assert found.holds == (OpenHold(hold("a"), "gen-a", 1),)
    assert (found.spent, found.problems) == ({DAY: 30_000_000_000}, ())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("members", "amount", "charges"),
    [
        ({"asked": 7, "stream": "yes"}, 1_000, (DAY, MONTH)),
        ({"amount_pusd": -7}, 0, (DAY, MONTH)),
        ({"amount_pusd": 2**64 - 1}, 2**63 - 1, (DAY, MONTH)),
        ({"charges": [DAY, ("global:month", -1), ("global:day", 10**17)]}, 1_000, (DAY,)),
        ({"charges": ...}, 1_000, ()),
    ],
)
def test_of_a_hold_that_is_odd_the_money_is_kept(
    tmp_path: Path, members: dict[str, Any], amount: int, charges: tuple[Charge, ...], form: Form
) -> None:
    segment_path(tmp_path, 1).write_bytes(bent(form, hold("a"), **members))
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
