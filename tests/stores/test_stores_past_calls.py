"""Past calls, the newest first, a page at a time: every call once, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stores_samples import row, settled, voided

from proxy.stores.database import connect
from proxy.stores.ledger import apply
from proxy.stores.opening import open_ledger
from proxy.stores.past_calls import CallsQuestion, Place
from proxy.stores.queries import Files
from proxy.stores.records import Record, Refused
from proxy.stores.segments import Position

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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("past")
    open_ledger(folder / "ledger.db")
    batch = [(Position(1, number), record) for number, record in enumerate(RECORDS)]
    with closing(connect(folder / "ledger.db")) as driver:
        driver.execute("BEGIN")
        apply(driver, batch)
        driver.execute("COMMIT")
    yield Files(folder)


QUESTIONS = [
    (CallsQuestion(), ALL),
    (CallsQuestion({"key": "ci-*"}), ["new"]),
    (CallsQuestion({"model": "openai/*"}), ["new", "poor", "hard", "old"]),
    (CallsQuestion({"model": "fast"}), ["twin"]),
    (CallsQuestion({"tag": "eval"}), ["hard"]),
    (CallsQuestion({"tag": "ev"}), []),
    (CallsQuestion({"session": "s1", "key": "bob"}), ["old"]),
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


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert Files(tmp_path).past_calls(CallsQuestion()) == ([], None)
