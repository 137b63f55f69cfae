"""What budgets have spent, where it is brought in now and then: at every moment the answer is what it would be had each call
been booked at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from harness.ledger import apply
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_samples import settled

from proxy.stores.database import connect
from proxy.stores.journal.records import Adjusted, Charge, Corrected, Record, Settled
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.queries import Files

ENDLESS = Position(9, 9)
KEYS, PERIODS = 100, (1_700_006_400, 1_700_092_800)
OWN = "own@session:s1"
IDS = ["global:month", OWN, *(f"key:k{number}:day" for number in range(KEYS))]
STEPS = st.lists(
    st.sampled_from(["many", "many", "few", "sum up", "crash", "adjust", "correct", "again"]), min_size=3, max_size=10
)


def opened(folder: Path) -> Path:
    open_ledger(folder / "ledger.db")
    return folder


def calls(numbers: Any, cost_pusd: int, period: int) -> list[Record]:
    """One of each key; every seventh is of a session with a budget of its own."""
    made: list[Record] = []
    for key in range(KEYS):
        charges: tuple[Charge, ...] = (("global:month", 1_698_796_800), (f"key:k{key}:day", period))
        charges += ((OWN, period),) if key % 7 == 0 else ()
        made.append(settled(f"r{next(numbers)}", charges=charges, key=f"k{key}", cost_pusd=cost_pusd))
    return made


def corrected(was: Record) -> Corrected:
    assert isinstance(was, Settled)
    return Corrected(was.row, settled(was.row.request_id, key=was.row.key, cost_pusd=3).row, was.charges)


def waits(folder: Path) -> bool:
    with closing(connect(folder / "ledger.db", "ro")) as driver:
        return bool(driver.execute("SELECT count(*) FROM unsummed_spent").fetchone()[0])


def table(folder: Path) -> list[Any]:
    with closing(connect(folder / "ledger.db", "ro")) as driver:
        asked = "SELECT budget, period, spent_pusd FROM budget_spent ORDER BY budget, period"
        return [driver.execute(asked).fetchall(), driver.execute('SELECT "before", "after" FROM audit').fetchall()]


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, cost_pusd=st.integers(0, 2**52), amounts=st.integers(-50, 50))
def test_whatever_waits_each_call_is_booked_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], cost_pusd: int, amounts: int
) -> None:
    ours, theirs = opened(tmp_path_factory.mktemp("ours")), opened(tmp_path_factory.mktemp("theirs"))
    link, numbers, newest = Link(ours / "ledger.db", 1), count(), calls(count(10_000), 1, PERIODS[0])
    for number, step in enumerate(steps):
        batch: list[Record] = []
        if step in ("many", "few"):
            batch = newest = calls(numbers, cost_pusd if number % 3 == 0 else number, PERIODS[number % 2])
        elif step == "again":  # a journal that is read once more
            batch = newest
        elif step == "adjust":
            batch = [Adjusted(f"a{number}", 1, "key:k3:day", PERIODS[0], amounts, "why", "root", "cli")]
        elif step == "correct":
            batch = [corrected(newest[5])]
        elif step == "sum up":
            link.sum_up()
        elif step == "crash":
            link.close()
            link = Link(ours / "ledger.db", 1)
        if batch:
            link.add(batch, ENDLESS, are_many=step != "few")
            with closing(connect(theirs / "ledger.db")) as driver:
                apply(driver, [(ENDLESS, record) for record in batch])
        assert Files(ours).spent(IDS) == Files(theirs).spent(IDS)
    link.sum_up()
    assert (waits(ours), table(ours)) == (False, table(theirs))
    link.close()


def test_what_many_keys_have_spent_waits(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.looked_at = {"key:k2:day"}
    link.add(calls(count(), 5, PERIODS[0]), ENDLESS)
    # at once: those of somebody's own, of which is asked while calls go on, and those that somebody looks at
    assert table(tmp_path)[0] == [("key:k2:day", PERIODS[0], 5), (OWN, PERIODS[0], 75)]
    assert Files(tmp_path).spent(["key:k1:day", "key:k2:day"]) == {(f"key:k{key}:day", PERIODS[0]): 5 for key in (1, 2)}
    link.sum_up()
    assert not waits(tmp_path)
    assert len(table(tmp_path)[0]) == KEYS + 2
    link.close()


def test_what_few_budgets_have_spent_does_not_wait(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.add(calls(count(), 5, PERIODS[0])[:60], ENDLESS)
    assert not waits(tmp_path)
    assert len(table(tmp_path)[0]) == 62
    link.close()


def test_a_failed_transaction_leaves_nothing_waiting(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)

    def refuse(_driver: sqlite3.Connection, _changed: object) -> Any:
        raise sqlite3.OperationalError("disk full")

    link.look = refuse
    with pytest.raises(sqlite3.OperationalError):
        link.add(calls(count(), 5, PERIODS[0]), ENDLESS)
    assert not waits(tmp_path)
    link.close()
