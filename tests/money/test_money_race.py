"""The cap race: whatever runs at once, not one call more reaches the provider than the budget pays for."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from harness.crowd import Answer, crowd
from harness.daemon import Daemon
from harness.mock import Mock
from money_books import StartToll, ask, books_of, eventually, priced, settled

EXACT = "openrouter/mock/slow?ttft=0.5&interval=0&tokens=1&cost=0.03"
DEARER = "slow?ttft=0.3&interval=0&tokens=1&cost=0.0295"
DOLLAR = [{"usd": 1, "per": "month"}]
CALLS = 200
FIT = 33
REFUSED = {402: "budget_exceeded", 429: "budget_in_flight"}


def check(daemon: Daemon, mock: Mock, answers: list[Answer]) -> None:
    """Exactly 33 were served and billed; the rest were refused as designed; the books say what the bill says."""
    assert Counter(answer.status for answer in answers)[200] == FIT
    assert all(answer.whole for answer in answers)
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} <= set(REFUSED)
    assert all(answer.code == REFUSED[answer.status] for answer in refused)
    books = eventually(daemon, lambda books: sum(row.times for row in books.refused) == CALLS - FIT)
    assert books.held == []
    assert books.cost == mock.billed() == Decimal("0.99")
    assert {budget: books.spent_by(budget) for budget, _ in books.spent} == dict.fromkeys(
        [budget for budget, _ in books.spent], Decimal("0.99")
    )


@pytest.mark.parametrize("stream", [False, True])
def test_thirty_three_of_two_hundred_calls_fit_into_a_dollar(start_toll: StartToll, mock: Mock, stream: bool) -> None:
    daemon = start_toll(alice={"budgets": DOLLAR}, models={"m": priced(EXACT)})
    answers = crowd(daemon, [ask("m", stream=stream)] * CALLS)
    check(daemon, mock, answers)
    assert len(mock.bill()) == FIT
    # spending leaves one cent: what is refused now is refused for good
    late = daemon.chat("m", max_tokens=100)
    assert (late.status, late.error["code"]) == (402, "budget_exceeded")


def test_three_budgets_are_taken_at_once_or_not_at_all(start_toll: StartToll, mock: Mock) -> None:
    budgets = [{"usd": 5, "per": "day"}, {"usd": 1, "per": "month"}]
    daemon = start_toll(alice={"budgets": budgets}, budgets=[{"usd": 2, "per": "total"}], models={"m": priced(EXACT)})
    check(daemon, mock, crowd(daemon, [ask("m")] * CALLS))
    assert len({budget for budget, _ in books_of(daemon).spent}) == 3


def test_waiting_admits_no_call_too_many(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(alice={"budgets": DOLLAR}, models={"m": priced(EXACT)}, budget_policy={"wait": 300})
    answers = crowd(daemon, [ask("m", stream=bool(n % 2)) for n in range(CALLS)])
    check(daemon, mock, answers)
    assert {answer.status for answer in answers} == {200, 402}


def test_calls_that_settle_below_their_holds_make_room_for_others(start_toll: StartToll, mock: Mock) -> None:
    cheap = "openrouter/mock/slow?ttft=0.02&interval=0&tokens=1&cost=0.01"
    daemon = start_toll(alice={"budgets": DOLLAR}, models={"m": priced(cheap)}, budget_policy={"wait": 300})
    answers = crowd(daemon, [ask("m")] * CALLS)
    books = settled(daemon)
    # the hundredth finds $0.01 left, too little for its hold of $0.03
    assert Counter(answer.status for answer in answers) == {200: 98, 402: CALLS - 98}
    assert books.cost == mock.billed() == Decimal("0.98")


@pytest.mark.parametrize("stream", [False, True])
def test_a_dearer_fallback_takes_a_hold_of_its_own(start_toll: StartToll, mock: Mock, stream: bool) -> None:
    # the first target holds $0.0147; the fallback a little over $0.0294, of which 33 fit
    target = {**priced("first/error?status=503", 1), "fallbacks": [f"second/{DEARER}"]}
    daemon = start_toll(
        alice={"budgets": DOLLAR},
        models={"m": target},
        providers={"first": mock.provider("mock"), "second": mock.provider("mock")},
        budget_policy={"wait": 300},
    )
    answers = crowd(daemon, [ask("m", stream=stream, max_tokens=14_700)] * CALLS)
    assert Counter(answer.status for answer in answers)[200] == FIT
    books = settled(daemon)
    assert books.cost == mock.billed() == FIT * Decimal("0.0295")
    assert Counter(row.source for row in books.rows.values() if row.provider == "second") == {"reported": FIT}
    assert {row.source for row in books.rows.values() if row.provider == "first"} == {"none"}
    holds = {row.provider: row.hold_pusd for row in books.rows.values()}
    assert holds["first"] == 14_700_000_000
    assert 29_500_000_000 <= holds["second"] < 30_300_000_000


def test_retries_pay_once_for_each_attempt_that_was_billed(start_toll: StartToll, mock: Mock) -> None:
    flaky = "first/error?status=503&times=40&cost=0.03&tokens=1"
    daemon = start_toll(
        alice={"budgets": DOLLAR},
        models={"m": priced(flaky)},
        providers={"first": mock.provider("mock")},
        retries={"attempts": 3, "first_wait": 0.01},
        budget_policy={"wait": 300},
    )
    answers = crowd(daemon, [ask("m", stream=bool(n % 2)) for n in range(CALLS)])
    books = settled(daemon)
    served = sum(answer.status == 200 for answer in answers)
    assert books.cost == mock.billed() == served * Decimal("0.03") <= 1
    assert len(books.rows) == len(mock.bill())
    assert sum(row.source == "none" for row in books.rows.values()) == sum(row["status"] == 503 for row in mock.bill())
