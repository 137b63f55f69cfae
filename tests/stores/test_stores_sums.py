"""Sums that are brought in now and then: at every moment each answer is what it would be had each row been summed up at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from harness.ledger import apply
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_samples import settled
from test_stores_rollups import written

from proxy.stores.database import connect
from proxy.stores.flags import Flagged, keep_flags
from proxy.stores.journal.records import Adjusted, Record
from proxy.stores.journal.segments import Position
from proxy.stores.ledger import sums
from proxy.stores.ledger.ledger import prune
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.analytics import AnalyticsQuestion
from proxy.stores.questions.queries import Files
from proxy.stores.questions.sessions import SessionsQuestion
from proxy.stores.questions.usage import UsageQuestion

USAGE: tuple[Any, ...] = ("key", "tenant", ("day", "model"), "session")
ANALYTICS: tuple[tuple[Any, ...], ...] = ((), ("model",), ("session",), ("endpoint", "key"), ("flag",))
ENDLESS = Position(9, 9)


def answers(folder: Path) -> list[Any]:
    files = Files(folder)
    found: list[Any] = [files.usage(UsageQuestion(by, UTC)) for by in USAGE]
    found += [files.analytics(AnalyticsQuestion(by, UTC, "hour")) for by in ANALYTICS]
    return [*found, files.sessions(SessionsQuestion(0, 100))]


def opened(folder: Path) -> Path:
    open_ledger(folder / "ledger.db")
    return folder


def at_once(folder: Path, records: list[Record]) -> None:
    with closing(connect(folder / "ledger.db")) as driver:
        apply(driver, [(Position(1, number), record) for number, record in enumerate(records)])


def summed(folder: Path) -> list[tuple[Any, ...]]:
    with closing(connect(folder / "ledger.db", "ro")) as driver:
        tables = ("sums", "sums_by_day", "sums_by_quarter", "sums_by_session")
        return [row for table in tables for row in driver.execute(f"SELECT * FROM {table}")]  # noqa: S608


STEPS = st.lists(st.sampled_from(["many", "few", "sum up", "crash", "flag"]), min_size=3, max_size=12)


@settings(max_examples=15, deadline=None)
@given(records=written(), steps=STEPS)
def test_whatever_waits_every_answer_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], steps: list[str]
) -> None:
    ours, theirs = opened(tmp_path_factory.mktemp("ours")), opened(tmp_path_factory.mktemp("theirs"))
    link, part = Link(ours / "ledger.db", 1), -(-len(records) // len(steps))
    for number, step in enumerate(steps):
        batch = records[number * part : (number + 1) * part]
        if batch:
            link.add(batch, ENDLESS, are_many=step != "few")
            at_once(theirs, batch)
        if step == "sum up":
            link.sum_up()
        elif step == "crash":
            link.close()
            link = Link(ours / "ledger.db", 1)
        elif step == "flag":
            flagged = [Flagged(f"r{number}", ("refusal",), 1_700_049_600_000)]
            link.do(lambda driver, flagged=flagged: keep_flags(driver, flagged))  # type: ignore[misc]
            with closing(connect(theirs / "ledger.db")) as driver:
                keep_flags(driver, flagged)
        assert answers(ours) == answers(theirs)
    link.sum_up()
    assert not link.has_unsummed
    assert (answers(ours), summed(ours)) == (answers(theirs), summed(theirs))
    link.close()


def test_a_few_calls_are_in_the_sums_with_their_rows(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.sum_up()
    link.add([settled("a")], ENDLESS, are_many=False)
    assert not link.has_unsummed
    assert len(summed(tmp_path)) == 3
    link.add([settled("b")], ENDLESS, are_many=True)
    assert link.has_unsummed
    link.sum_up(at_once=False)  # which has not waited long enough
    assert link.has_unsummed
    link.close()


def test_what_a_crash_left_is_summed_up_whatever_comes_first(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.add([settled("a")], ENDLESS)
    link.close()
    link = Link(tmp_path / "ledger.db", 1)
    link.add([Adjusted("b", 1, "global:day", 0, -5, "why")], ENDLESS, are_many=False)
    assert link.has_unsummed
    link.add([settled("c")], ENDLESS, are_many=False)
    link.sum_up()
    link.close()
    with closing(connect(tmp_path / "ledger.db", "ro")) as driver:
        assert driver.execute("SELECT sum(calls), (SELECT sum(calls) FROM rollup_minutes) FROM sums").fetchone() == (
            2,
            2,
        )


def test_what_a_failed_transaction_brought_is_in_no_sum(tmp_path: Path) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.add([settled("a")], ENDLESS)

    def refuse(_driver: sqlite3.Connection, _changed: object) -> Any:
        raise sqlite3.OperationalError("disk full")

    look, link.look = link.look, refuse
    with pytest.raises(sqlite3.OperationalError):
        link.add([settled("b"), settled("c")], ENDLESS)
    link.look = look
    link.sum_up()
    total = Files(tmp_path).usage(UsageQuestion("key", UTC)).total
    assert (total["calls"], len(summed(tmp_path))) == (1, 3)
    link.close()


def test_numbers_that_begin_anew_are_summed_up_as_well(tmp_path: Path) -> None:
    with closing(connect(opened(tmp_path) / "ledger.db")) as driver:
        apply(driver, [(ENDLESS, settled("a", at_ms=1_000)), (ENDLESS, settled("b", at_ms=2_000))])
        prune(driver, 5_000)
        assert sums.newest(driver) == 0
        apply(driver, [(ENDLESS, settled("c"))])
    assert Files(tmp_path).usage(UsageQuestion("key", UTC)).total["calls"] == 3


def test_while_much_is_brought_in_other_work_is_done_in_between(tmp_path: Path) -> None:
    pauses: list[int] = []
    path = opened(tmp_path) / "ledger.db"
    link = Link(path, 1, lambda: pauses.append(len(summed(tmp_path))))
    link.sum_up()
    budget = 1_700_006_400
    keys = [f"k{number}" for number in range(2_500)]
    link.add([settled(key, key=key, charges=((f"key:{key}:day", budget),)) for key in keys], ENDLESS)
    assert not pauses
    link.sum_up()
    assert len(pauses) >= 2 * 4, "for budgets, sums, days and minutes"
    assert set(pauses) == {0}, "nobody sees a part of it"
    assert len(summed(tmp_path)) == 2 * len(keys) + 1
    link.close()


def test_what_waits_is_brought_in_once_nothing_came_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link(opened(tmp_path) / "ledger.db", 1)
    link.sum_up()
    link.add([settled("a")], ENDLESS)
    link.sum_up(at_once=False)
    assert link.has_unsummed
    monkeypatch.setattr(sums, "_QUIET_SECONDS", 0.0)
    link.sum_up(at_once=False)
    assert not link.has_unsummed
    link.close()
