"""Past calls, the newest first, a page at a time: every call once, whatever is asked for."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from harness.ledger import apply
from msgspec.structs import replace
from stores_samples import row, settled, voided

from proxy.stores.database import connect
from proxy.stores.journal.records import Record, Refused
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.asked_quarters import fill, is_filled, prune
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.past_calls import CallsQuestion, Place
from proxy.stores.questions.queries import Files

REFUSED = {"provider": "", "source": "none", "status": 402, "cost_pusd": 0, "error": "budget_exceeded"}
RECORDS: list[Record] = [
    settled("old", at_ms=1000, key="bob", session="s1"),
    voided("hard", at_ms=2000, error="upstream_timeout"),
    settled("hard", 2, at_ms=2500, tags="nightly,eval", tenant="acme"),
    Refused(row("poor", at_ms=3000, **REFUSED)),
    settled("twin", at_ms=3000, model="anthropic/claude", asked="fast"),
    settled("new", at_ms=9000, key="ci-7"),
]
ALL = ["new", "twin", "poor", "hard", "old"]


HOUR_MS = 3_600_000
HOURS = 12
BY_THE_HOUR: list[Record] = [
    settled(
        f"h{hour}",
        at_ms=hour * HOUR_MS + 7,
        key=f"k{hour % 4}",
        tenant=f"t{hour % 3}",
        provider=f"p{hour % 5}",
        model=f"m{hour % 6}",
        asked="rare" if hour == 3 else "usual",
    )
    for hour in range(HOURS)
]


def written(folder: Path, records: list[Record]) -> Files:
    open_ledger(folder / "ledger.db")
    with closing(connect(folder / "ledger.db")) as driver:
        driver.execute("BEGIN")
        for number, record in enumerate(records):
            apply(driver, [(Position(1, number), record)])
        driver.execute("COMMIT")
    return Files(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return written(tmp_path_factory.mktemp("past"), RECORDS)


@pytest.fixture(scope="module")
def by_the_hour(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return written(tmp_path_factory.mktemp("hours"), BY_THE_HOUR)


QUESTIONS = [
    (CallsQuestion(), ALL),
    (CallsQuestion({"key": "ci-*"}), ["new"]),
    (CallsQuestion({"model": "openai/*"}), ["new", "poor", "hard", "old"]),
    (CallsQuestion({"model": "fast"}), ["twin"]),
    (CallsQuestion({"tag": "eval"}), ["hard"]),
    (CallsQuestion({"tag": "ev"}), []),
    (CallsQuestion({"session": "s1", "key": "bob"}), ["old"]),
    (CallsQuestion({"session": "s1"}, outcome="failed"), []),
    (CallsQuestion({"session": "s?"}), ["old"]),
    (CallsQuestion({"tag": "nightly"}, outcome="failed"), []),
    (CallsQuestion({"tenant": "acme"}), ["hard"]),
    (CallsQuestion(tenants=("acme", "globex")), ["hard"]),
    (CallsQuestion({"error": "budget_*"}), ["poor"]),
    (CallsQuestion(outcome="refused"), ["poor"]),
    (CallsQuestion(outcome="failed"), ["hard"]),
    (CallsQuestion(outcome="ok"), ["new", "twin", "hard", "old"]),
    (CallsQuestion(since_ms=2000, until_ms=9000), ["twin", "poor", "hard"]),
    (CallsQuestion(since_ms=9001), []),
]


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_a_question_is_answered_with_what_fits(files: Files, question: CallsQuestion, expected: list[str]) -> None:
    calls, more = files.past_calls(question)
    assert ([rows[0].request_id for rows in calls], more) == (expected, None)
    assert all([one.attempt for one in rows] == list(range(1, len(rows) + 1)) for rows in calls)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("at_once", [0, 1, 2, 100])
@pytest.mark.parametrize("seconds", [-1.0, 60.0])
def test_pages_hold_every_call_once_however_little_is_looked_at(
    files: Files, limit: int, at_once: int, seconds: float
) -> None:
    found: list[str] = []
    before: Place | None = None
    for _ in range(20):
        calls, before = files.past_calls(
            CallsQuestion(before=before, limit=limit, at_once=at_once, longest_seconds=seconds)
        )
        assert len(calls) <= limit
        found += [rows[0].request_id for rows in calls]
        if before is None:
            break
    assert found == ALL


RARE = [
    (CallsQuestion({"key": "k0"}), [8, 4, 0]),
    (CallsQuestion({"key": "k[01]", "provider": "p0"}), [5, 0]),
    (CallsQuestion({"provider": "p4"}), [9, 4]),
    (CallsQuestion({"tenant": "t2"}, since_ms=3 * HOUR_MS), [11, 8, 5]),
    (CallsQuestion(tenants=("t1", "t2")), [11, 10, 8, 7, 5, 4, 2, 1]),
    (CallsQuestion({"key": "k*"}, tenants=("t1",)), [10, 7, 4, 1]),
    (CallsQuestion({"key": "k0"}, tenants=()), []),
    (CallsQuestion({"model": "m1"}), [7, 1]),
    (CallsQuestion({"model": "m[12]"}, until_ms=7 * HOUR_MS), [2, 1]),
    (CallsQuestion({"model": "rare"}), [3]),
    (CallsQuestion({"model": "usual", "key": "k3"}), [11, 7]),
    (CallsQuestion({"model": "m1", "key": "k2"}), []),
    (CallsQuestion({"model": "m1"}, since_ms=HOUR_MS, tenants=("t1",)), [7, 1]),
]


@pytest.mark.parametrize(("question", "hours"), RARE)
@pytest.mark.parametrize("at_once", [0, 100])
@pytest.mark.parametrize("limit", [1, 50])
def test_what_is_in_few_hours_is_found_in_all_of_them(
    by_the_hour: Files, question: CallsQuestion, hours: list[int], at_once: int, limit: int
) -> None:
    found, before = list[str](), None
    for _ in range(HOURS):
        asked = replace(question, before=before, at_once=at_once, limit=limit, longest_seconds=60)
        calls, before = by_the_hour.past_calls(asked)
        found += [rows[0].request_id for rows in calls]
        if before is None:
            break
    assert found == [f"h{hour}" for hour in hours]


def test_hours_without_any_are_passed_over_in_one_look(by_the_hour: Files) -> None:
    look = CallsQuestion({"provider": "p0"}, until_ms=4 * HOUR_MS, at_once=0, longest_seconds=-1)
    calls, _ = by_the_hour.past_calls(look)
    assert [rows[0].request_id for rows in calls] == ["h0"]
    assert by_the_hour.past_calls(replace(look, since_ms=HOUR_MS)) == ([], None)
    assert by_the_hour.past_calls(replace(look, only={"key": "nobody"})) == ([], None)
    calls, _ = by_the_hour.past_calls(replace(look, only={"model": "rare"}, until_ms=HOURS * HOUR_MS))
    assert [rows[0].request_id for rows in calls] == ["h3"]
    assert by_the_hour.past_calls(replace(look, only={"model": "rarest"})) == ([], None)


def test_an_older_ledger_finds_them_before_and_after_it_knows_of_what_was_there(tmp_path: Path) -> None:
    files, look = written(tmp_path, BY_THE_HOUR), CallsQuestion({"model": "rare"}, at_once=0, longest_seconds=60)
    with closing(connect(tmp_path / "ledger.db")) as driver, driver:
        driver.execute("DELETE FROM asked_quarters")
        driver.execute("UPDATE rollup_state SET asked_seq = 0, asked_until_seq = (SELECT max(seq) FROM attempts)")
    found = files.past_calls(look)
    with closing(connect(tmp_path / "ledger.db")) as driver, driver:
        assert not fill(driver) and is_filled(driver)
        prune(driver, 3 * HOUR_MS)
        assert driver.execute("SELECT count(*), min(quarter) FROM asked_quarters").fetchone() == (2 * (HOURS - 3), 12)
    assert [rows[0].request_id for rows in found[0]] == ["h3"] and files.past_calls(look) == found


def test_a_name_is_known_though_the_transaction_failed_that_brought_it_first(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    link, end = Link(tmp_path / "ledger.db", 1), Position(9, 9)

    def fail(*_: object) -> NoReturn:
        raise OSError

    for number, asked in enumerate(["before", "again", "before", "again"]):
        look, link.look = link.look, fail if number == 1 else link.look
        with suppress(OSError):
            link.add([settled(f"r{number}", at_ms=number, asked=asked)], end)
        link.look = look
    link.close()
    found, _ = Files(tmp_path).past_calls(CallsQuestion({"model": "again"}, at_once=0, longest_seconds=60))
    assert [rows[0].request_id for rows in found] == ["r3"]
    with closing(connect(tmp_path / "ledger.db", "ro")) as driver:
        names = driver.execute(
            "SELECT quarter, name FROM asked_quarters WHERE name IN ('before', 'again') ORDER BY 1, 2"
        )
        assert names.fetchall() == [(0, "again"), (0, "before")]


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert Files(tmp_path).past_calls(CallsQuestion()) == ([], None)
