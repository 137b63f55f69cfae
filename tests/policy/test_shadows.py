"""Budgets and limits in shadow: they count as the others do, say what they would refuse, and decide nothing."""

from __future__ import annotations

from datetime import UTC

import pytest
from holding import take
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.build_money import budgets_for, limits_for
from proxy.config.models_money import BudgetSection, LimitSection
from proxy.policy.limits.limiter import Denied, Limiter
from proxy.policy.money.account import Exceeded, Fits, Room
from proxy.policy.money.books import Books
from proxy.policy.money.bounds import Bound
from proxy.policy.money.budgets import GLOBAL, Budget, BudgetRules, Limit, LimitOf, key_scope
from proxy.policy.money.quote import Quote, Unbounded, judge_in_shadow

NOON = 20_000 * 86_400 + 43_200
TODAY = 20_000 * 86_400
ALICE = (key_scope("alice"), GLOBAL)
REAL = Budget("key:alice:day", ALICE[0], "day", 1_000, UTC)
NS = 10**9
SHADOW = Budget("key:alice:day#2", ALICE[0], "day", 100, UTC, shadow=True)
IN_FORCE = Budget("key:alice:day#2", ALICE[0], "day", 100, UTC)


def stands(books: Books) -> dict[str, tuple[int, int]]:
    return {standing.budget.id: (standing.spent_pusd, standing.held_pusd) for standing in books.state(NOON)}


def taken(books: Books, hold_id: str, amount: int, in_shadow: int) -> None:
    take(books, hold_id, ALICE, "alice", amount, NOON)
    assert books.take_in_shadow(hold_id, {SHADOW.id: in_shadow}, NOON) == ((SHADOW.id, TODAY),)


def test_a_budget_in_shadow_counts_holds_and_spending_and_has_no_part_in_any_verdict() -> None:
    books = Books([REAL, SHADOW])
    assert books.has_shadows
    taken(books, "a", 300, 60)
    assert stands(books) == {REAL.id: (0, 300), SHADOW.id: (0, 60)}
    assert books.room(ALICE, "alice", NOON) == Room(700, 1_000)
    assert books.judge(ALICE, "alice", 700, NOON) == Fits()
    assert books.shadow_rooms(ALICE, "alice", NOON) == [(SHADOW.id, Room(40, 100))]
    assert books.settle("a", 250) == 0
    assert stands(books) == {REAL.id: (250, 0), SHADOW.id: (250, 0)}
    assert books.shadow_rooms(ALICE, "alice", NOON) == [(SHADOW.id, Room(-150, -150))]
    alone = Books([SHADOW])
    assert (alone.is_bound(ALICE), alone.room(ALICE, "alice", NOON)) == (False, None)


def test_what_a_call_spends_of_a_budget_that_was_in_shadow_when_it_began_counts_at_once() -> None:
    books = Books([REAL, SHADOW])
    taken(books, "a", 300, 0)
    books.replace([REAL, IN_FORCE])
    assert books.hold("b", books.budget_set(ALICE, "alice", NOON), 10, 0)
    books.settle("a", 85)
    assert not books.hold("c", books.budget_set(ALICE, "alice", NOON), 10, 0)
    assert stands(books) == {REAL.id: (85, 10), SHADOW.id: (85, 10)}


def test_a_stream_grows_past_a_budget_in_shadow_and_is_told_of() -> None:
    books = Books([REAL, SHADOW])
    taken(books, "a", 60, 60)
    assert books.grow("a", 60) == Fits()
    assert stands(books) == {REAL.id: (0, 120), SHADOW.id: (0, 120)}
    assert books.overdrawn("a") == [SHADOW.id]
    books.replace([REAL, IN_FORCE])
    assert books.grow("a", 60) == Exceeded(IN_FORCE, 0, TODAY + 86_400)
    assert books.overdrawn("a") == []
    assert books.void("a")
    assert stands(books) == {REAL.id: (0, 0), SHADOW.id: (0, 0)}


def test_what_was_counted_in_shadow_counts_when_the_budget_is_in_force() -> None:
    books = Books([SHADOW])
    take(books, "a", ALICE, "alice", 70, NOON)
    books.take_in_shadow("a", {SHADOW.id: 70}, NOON)
    books.settle("a", 70)
    take(books, "b", ALICE, "alice", 20, NOON)
    books.take_in_shadow("b", {SHADOW.id: 20}, NOON)
    books.replace([IN_FORCE])
    assert not books.has_shadows
    assert books.judge(ALICE, "alice", 31, NOON) == Exceeded(IN_FORCE, 30, TODAY + 86_400)
    assert books.room(ALICE, "alice", NOON) == Room(10, 30)
    books.settle("b", 5)
    assert stands(books) == {SHADOW.id: (75, 0)}


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 300), st.booleans()), max_size=12))
def test_nothing_stays_held_and_both_have_spent_the_same(calls: list[tuple[int, int, int, bool]]) -> None:
    """Whatever is held, grows and costs, and though the budget is in force from the sixth call on."""
    books = Books([REAL, SHADOW])
    for number, (amount, in_shadow, _, grows) in enumerate(calls):
        if number == 5:
            books.replace([REAL, IN_FORCE])
        take(books, str(number), ALICE, "alice", amount, NOON)
        books.take_in_shadow(
            str(number), {name: in_shadow for name, _ in books.shadow_rooms(ALICE, "alice", NOON)}, NOON
        )
        if grows:
            books.grow(str(number), 7)
    for number, (_, _, cost, _) in enumerate(calls):
        books.settle(str(number), cost)
    spent = sum(cost for _, _, cost, _ in calls)
    assert stands(books) == {REAL.id: (spent, 0), SHADOW.id: (spent, 0)}
    assert all(account.is_idle for account in books._accounts.values())


BOUND = Bound(
    input_tokens=20, pusd=100, pusd_without_output=20, pusd_per_output_token=1, output_tokens=80, most_injected=80
)


@pytest.mark.parametrize(
    ("quote", "room", "verdict"),
    [
        (Quote(None, BOUND, False), Room(100, 100), (100, None)),
        (Quote(None, BOUND, False), Room(99, 100), (100, "budget_in_flight")),
        (Quote(None, BOUND, False), Room(99, 99), (100, "budget_exceeded")),
        (Quote(None, BOUND, True), Room(1_000, 1_000), (100, None)),
        (Quote(None, None, False, Unbounded("price")), Room(9, 9), (0, "model_not_priced")),
        (Quote(None, None, False, Unbounded("price", near=("a/b",))), Room(9, 9), (0, "model_not_found")),
        (Quote(None, None, False, Unbounded("endpoint")), Room(9, 9), (0, "model_not_priced")),
        (Quote(None, Bound(0, 0, 0, 0, 0), False), Room(-5, -5), (0, None)),
    ],
)
def test_what_a_budget_in_shadow_says(quote: Quote, room: Room, verdict: tuple[int, str | None]) -> None:
    assert judge_in_shadow(quote, room, BudgetRules()) == verdict
    if quote.bound is None:
        assert judge_in_shadow(quote, room, BudgetRules(unpriced="allow")) == (0, None)


@pytest.mark.parametrize("of", ["requests", "tokens", "concurrent"])
def test_a_limit_in_shadow_refuses_in_words_what_the_same_in_force_refuses(of: LimitOf) -> None:
    """Each call at every second, four at once; tokens are 10 a call."""
    per = None if of == "concurrent" else "minute"
    amount = 30 if of == "tokens" else 3
    shadow, force = Limit("l", ALICE[0], of, amount, per, shadow=True), Limit("l", ALICE[0], of, amount, per)
    trial, real = Limiter([shadow]), Limiter([force])
    would, did = [], []
    for second in range(70):
        under_way = []
        for _ in range(4):
            assert trial.of(ALICE).take(10, second * NS) == ""
            taken, denied = trial.take_in_shadow(trial.of(ALICE), ALICE, 10, second * NS)
            under_way.append(taken)
            would.append([limit.id for limit in denied])
            passed = real.of(ALICE).take(10, second * NS) is not None
            did.append([] if passed else ["l"])
            if passed:
                under_way.append(real.of(ALICE))
        for taken in under_way:
            taken.give_back(10, 10, second * NS)
    assert would == did
    assert {(), ("l",)} == {tuple(one) for one in would}
    assert trial.of(ALICE).headers(70 * NS) == ""


def test_what_a_limit_in_shadow_has_let_pass_counts_when_it_is_in_force() -> None:
    limiter = Limiter([Limit("l", ALICE[0], "requests", 3, "minute", shadow=True)])
    for _ in range(5):
        limiter.of(ALICE).take(0, 0)
        limiter.take_in_shadow(limiter.of(ALICE), ALICE, 0, 0)
    in_force = Limit("l", ALICE[0], "requests", 3, "minute")
    limiter.replace([in_force])
    assert not limiter.has_shadows
    assert limiter.of(ALICE).judge(0, 0) == Denied(in_force, 20.0)


@pytest.mark.parametrize(
    ("entries", "ids"),
    [
        ([(5, False)], ["global:day"]),
        ([(5, True)], ["global:day"]),
        ([(5, False), (3, True)], ["global:day", "global:day#2"]),
        ([(3, True), (5, False)], ["global:day#2", "global:day"]),
        ([(3, True), (5, False), (4, False)], ["global:day#3", "global:day", "global:day#2"]),
    ],
)
def test_one_that_is_tried_out_renames_none_in_force(entries: list[tuple[int, bool]], ids: list[str]) -> None:
    budgets = [BudgetSection.model_validate({"usd": usd, "per": "day", "shadow": shadow}) for usd, shadow in entries]
    found = list(budgets_for(GLOBAL, budgets, UTC, ()))
    assert [(budget.id, budget.shadow) for budget in found] == list(zip(ids, [s for _, s in entries], strict=True))
    limits = [LimitSection.model_validate({"requests": n, "per": "day", "shadow": shadow}) for n, shadow in entries]
    names = [identity.replace("global:", "global:requests:") for identity in ids]
    assert [(limit.id, limit.amount) for limit in limits_for(GLOBAL, limits)] == list(
        zip(names, [n for n, _ in entries], strict=True)
    )
