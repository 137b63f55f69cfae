"""Tables over what budgets let pass, and what becomes of holds."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from holding import take

from proxy.policy.money.account import Exceeded, Fits, InFlight, Room, Standing
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import GLOBAL, Budget, Per, key_scope

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
TODAY = 20_000 * DAY
ALICE = (key_scope("alice"), GLOBAL)
BOB = (key_scope("bob"), GLOBAL)


def budget(id: str = "global:day", cap: int = 100, scope: str = GLOBAL, per: Per = "day", share: str = "1") -> Budget:
    return Budget(id, scope, per, cap, UTC, Decimal(share))


ALICES = budget("key:alice:day", 50, key_scope("alice"))


def spent(books: Books, id: str = "global:day", now: float = NOON) -> tuple[int, int]:
    return next((s.spent_pusd, s.held_pusd) for s in books.state(now) if s.budget.id == id)


def books_with(settled: int, held: int, own: Budget | None = None) -> Books:
    books = Books([own or budget()])
    books.load("global:day", TODAY, settled)
    if held:
        take(books, "other", BOB, "bob", held, NOON)
    return books


@pytest.mark.parametrize(
    ("settled", "held", "amount", "verdict"),
    [
        (0, 0, 100, Fits),
        (0, 0, 101, Exceeded),
        (40, 0, 60, Fits),
        (40, 0, 61, Exceeded),
        (40, 60, 1, InFlight),
        (40, 30, 31, InFlight),
        (40, 30, 30, Fits),
        (40, 60, 61, Exceeded),
        (100, 0, 1, Exceeded),
        (100, 0, 0, Fits),
        (150, 0, 0, Fits),
    ],
)
def test_spending_refuses_for_good_and_holds_for_now(settled: int, held: int, amount: int, verdict: type) -> None:
    assert isinstance(books_with(settled, held).judge(ALICE, "alice", amount, NOON), verdict)


def test_a_refusal_says_what_is_left_and_when_it_resets() -> None:
    assert books_with(40, 0).judge(ALICE, "alice", 61, NOON) == Exceeded(budget(), 60, TODAY + DAY)
    assert books_with(140, 0).judge(ALICE, "alice", 61, NOON) == Exceeded(budget(), 0, TODAY + DAY)
    for_ever = budget(per="total")
    assert Books([for_ever]).judge(ALICE, "alice", 101, NOON) == Exceeded(for_ever, 100, None)


def test_without_a_budget_everything_fits() -> None:
    books = Books([ALICES])
    assert books.judge(BOB, "bob", 10**18, NOON) == Fits()
    assert take(books, "h", BOB, "bob", 10**18, NOON) == ()
    assert books.room(BOB, "bob", NOON) is None
    assert books.settle("h", 5) == 0
    assert (books.is_bound(BOB), books.is_bound(ALICE)) == (False, True)


def test_what_is_over_for_good_is_named_before_what_is_in_the_way_for_now() -> None:
    books = Books([ALICES, budget()])
    take(books, "h", ALICE, "alice", 40, NOON)
    books.load("global:day", TODAY, 60)
    assert books.judge(ALICE, "alice", 41, NOON) == Exceeded(budget(), 40, TODAY + DAY)
    assert books.judge(ALICE, "alice", 20, NOON) == InFlight(ALICES)


def test_the_first_budget_in_the_way_is_named() -> None:
    books = Books([budget(), ALICES])
    assert books.judge(ALICE, "alice", 200, NOON) == Exceeded(ALICES, 50, TODAY + DAY)
    take(books, "h", ALICE, "alice", 45, NOON)
    take(books, "g", BOB, "bob", 55, NOON)
    assert books.judge(ALICE, "alice", 10, NOON) == InFlight(ALICES)
    assert books.judge(BOB, "bob", 10, NOON) == InFlight(budget())


def test_a_hold_is_taken_from_every_budget_and_names_its_periods() -> None:
    month = budget("global:month", 1000, per="month")
    books = Books([ALICES, budget(), month])
    charges = take(books, "h", ALICE, "alice", 30, NOON)
    assert charges == (("key:alice:day", TODAY), ("global:day", TODAY), ("global:month", books.state(NOON)[2].period))
    assert [s.held_pusd for s in books.state(NOON)] == [30, 30, 30]
    assert books.settle("h", 12) == 0
    assert [(s.spent_pusd, s.held_pusd) for s in books.state(NOON)] == [(12, 0)] * 3


@pytest.mark.parametrize(("actual", "over"), [(0, 0), (29, 0), (30, 0), (31, 1), (500, 470)])
def test_a_settlement_says_what_was_billed_above_the_hold(actual: int, over: int) -> None:
    books = Books([budget()])
    take(books, "h", ALICE, "alice", 30, NOON)
    assert books.settle("h", actual) == over
    assert spent(books) == (actual, 0)


def test_nothing_is_above_a_hold_of_nothing_that_no_budget_asked_for() -> None:
    books = Books([ALICES])
    take(books, "free of budgets", BOB, "bob", 0, NOON)
    assert books.settle("free of budgets", 99) == 0
    take(books, "h", ALICE, "alice", 0, NOON)
    assert books.settle("h", 99) == 99


def test_a_hold_is_resolved_once() -> None:
    books = Books([budget()])
    take(books, "a", ALICE, "alice", 30, NOON)
    take(books, "b", ALICE, "alice", 30, NOON)
    assert books.open_holds == 2
    assert books.settle("a", 10) == 0
    assert books.settle("a", 10) is None
    assert books.void("a") is False
    assert books.void("b") is True
    assert books.void("b") is False
    assert books.settle("b", 99) is None
    assert books.settle("never", 99) is None
    assert (spent(books), books.open_holds) == ((10, 0), 0)


@pytest.mark.parametrize("amounts", [(0, 0), (0, 30), (30, 0), (0, 0, 30, 0)])
def test_holds_of_nothing_go_beside_others(amounts: tuple[int, ...]) -> None:
    books = Books([budget(share="0.5")])
    for number, amount in enumerate(amounts):
        take(books, str(number), ALICE, "alice", amount, NOON)
    assert spent(books) == (0, sum(amounts))
    for number, amount in enumerate(amounts):
        assert books.settle(str(number), amount) == 0
    assert (spent(books), books.open_holds) == ((sum(amounts), 0), 0)


def test_a_period_gone_by_stays_while_a_hold_of_nothing_is_open_there() -> None:
    books = Books([budget()])
    take(books, "a", ALICE, "alice", 0, NOON)
    take(books, "b", ALICE, "alice", 0, NOON)
    assert spent(books, now=NOON + DAY) == (0, 0)
    assert [books.settle(name, 3) for name in ("a", "b")] == [3, 3]
    assert spent(books, now=NOON + DAY) == (0, 0)


def test_a_hold_grows_where_every_cap_leaves_room_and_settles_as_one() -> None:
    books = Books([budget(), ALICES])
    take(books, "h", ALICE, "alice", 20, NOON)
    take(books, "other", BOB, "bob", 40, NOON)
    assert books.grow("h", 20) == Fits()
    assert (spent(books), spent(books, "key:alice:day")) == ((0, 80), (0, 40))
    assert books.grow("h", 11) == Exceeded(ALICES, 10, TODAY + DAY)
    assert (spent(books), spent(books, "key:alice:day")) == ((0, 80), (0, 40))
    assert books.grow("other", 21) == Exceeded(budget(), 20, TODAY + DAY)
    assert books.settle("h", 45) == 5
    assert books.void("other") is True
    assert (spent(books), books.open_holds) == ((45, 0), 0)


def test_a_hold_of_a_period_gone_by_grows_there() -> None:
    books = Books([budget()])
    take(books, "h", ALICE, "alice", 20, NOON)
    take(books, "late", ALICE, "alice", 90, NOON + DAY)
    assert books.grow("h", 20) == Fits()
    assert (books.settle("h", 40), spent(books, now=NOON + DAY)) == (0, (0, 90))


def test_after_a_restart_a_period_gone_by_has_still_spent_what_it_had() -> None:
    books = Books([budget()])
    for period, amount in ((TODAY - DAY, 70), (TODAY, 0)):
        books.load("global:day", period, amount)
    assert books.restore("yesterdays", "alice", 20, (("global:day", TODAY - DAY),))
    assert isinstance(books.grow("yesterdays", 11), Exceeded)
    assert isinstance(books.grow("yesterdays", 10), Fits)


def test_a_hold_is_taken_once() -> None:
    books = Books([budget()])
    take(books, "h", ALICE, "alice", 30, NOON)
    with pytest.raises(ValueError, match="open already"):
        take(books, "h", ALICE, "alice", 30, NOON)
    assert books.restore("h", "alice", 30, ()) is False
    assert spent(books) == (0, 30)


def test_amounts_are_never_negative() -> None:
    books = Books([budget()])
    with pytest.raises(ValueError, match="negative"):
        take(books, "h", ALICE, "alice", -1, NOON)
    take(books, "h", ALICE, "alice", 1, NOON)
    with pytest.raises(ValueError, match="negative"):
        books.settle("h", -1)
    assert spent(books) == (0, 1)


def test_a_new_period_begins_with_nothing_and_late_settlements_go_into_the_old_one() -> None:
    books = Books([budget()])
    take(books, "late", ALICE, "alice", 60, NOON)
    take(books, "other", ALICE, "alice", 40, NOON)
    assert books.judge(ALICE, "alice", 100, NOON + DAY) == Fits()
    assert spent(books, now=NOON + DAY) == (0, 0)
    books.settle("late", 50)
    assert spent(books, now=NOON + DAY) == (0, 0)
    assert take(books, "next", ALICE, "alice", 10, NOON + DAY) == (("global:day", TODAY + DAY),)


def test_closed_periods_are_forgotten_once_nothing_is_held_there() -> None:
    books = Books([budget()])
    for day in range(100):
        take(books, f"h{day}", ALICE, "alice", 10, NOON + day * DAY)
        if day:
            books.settle(f"h{day - 1}", 5)
    account = books._accounts["global:day"]
    assert spent(books, now=NOON + 99 * DAY) == (0, 10)
    assert list(account.counters) == [TODAY + 99 * DAY]
    assert account.counters[TODAY + 99 * DAY].held_by_key == {"alice": 10}


def test_a_clock_that_jumps_back_reopens_nothing() -> None:
    books = Books([budget()])
    books.load("global:day", TODAY, 100)
    for now in (NOON - DAY, NOON - 40 * DAY, 0.0, NOON):
        assert books.judge(ALICE, "alice", 1, now) == Exceeded(budget(), 0, TODAY + DAY)
    assert take(books, "h", ALICE, "alice", 0, NOON - DAY) == (("global:day", TODAY),)
    assert books.judge(ALICE, "alice", 1, NOON + DAY) == Fits()
    assert books.judge(ALICE, "alice", 100, NOON - DAY) == Fits()


def test_a_restart_finds_what_was_held() -> None:
    first = Books([ALICES, budget()])
    charges = take(first, "h", ALICE, "alice", 40, NOON)
    again = Books([ALICES, budget()])
    assert again.restore("h", "alice", 40, charges) is True
    assert again.state(NOON) == first.state(NOON)
    assert again.judge(ALICE, "alice", 11, NOON) == InFlight(ALICES)
    assert again.settle("h", 41) == 1


def test_a_restored_hold_of_a_period_gone_by_settles_there() -> None:
    books = Books([budget()])
    books.load("global:day", TODAY, 3)
    books.restore("old", "alice", 40, (("global:day", TODAY - DAY),))
    assert spent(books) == (3, 0)
    assert books.settle("old", 40) == 0
    assert spent(books) == (3, 0)


def test_budgets_nobody_configures_any_more_are_passed_over() -> None:
    books = Books([budget()])
    books.load("gone", TODAY, 99)
    assert books.restore("h", "alice", 40, (("gone", TODAY), ("global:day", TODAY))) is True
    books.replace([budget(), budget("gone")])
    assert books.settle("h", 30) == 0
    assert (spent(books), spent(books, "gone")) == ((30, 0), (0, 0))
    assert books.adjust("never", TODAY, 5) is False


def test_other_caps_keep_what_is_spent_and_held() -> None:
    books = Books([budget()])
    books.load("global:day", TODAY, 30)
    take(books, "h", ALICE, "alice", 50, NOON)
    books.replace([budget(cap=60)])
    assert spent(books) == (30, 50)
    assert books.judge(ALICE, "alice", 30, NOON) == InFlight(budget(cap=60))
    assert books.judge(ALICE, "alice", 31, NOON) == Exceeded(budget(cap=60), 30, TODAY + DAY)
    assert books.settle("h", 50) == 0
    assert books.room(ALICE, "alice", NOON) == Room(-20, -20)
    books.replace([budget(cap=200)])
    assert books.judge(ALICE, "alice", 120, NOON) == Fits()


def test_a_budget_taken_out_and_put_back_has_not_forgotten() -> None:
    books = Books([budget(), ALICES])
    take(books, "h", ALICE, "alice", 50, NOON)
    books.replace([budget()])
    assert [s.budget.id for s in books.state(NOON)] == ["global:day"]
    books.settle("h", 50)
    books.replace([budget(), ALICES])
    assert books.judge(ALICE, "alice", 1, NOON) == Exceeded(ALICES, 0, TODAY + DAY)


def test_another_zone_reopens_nothing_either() -> None:
    books = Books([budget()])
    books.load("global:day", TODAY, 100)
    assert isinstance(books.judge(ALICE, "alice", 1, NOON), Exceeded)
    moved = msgspec.structs.replace(budget(), zone=ZoneInfo("America/New_York"))
    books.replace([moved])
    verdict = books.judge(ALICE, "alice", 1, NOON)
    assert isinstance(verdict, Fits | Exceeded)
    assert books.judge(ALICE, "alice", 1, NOON - DAY) == books.judge(ALICE, "alice", 1, NOON)


@pytest.mark.parametrize(
    ("held", "amount", "verdict"),
    [
        ([], 50, Fits),
        ([], 80, Fits),
        ([10], 40, Fits),
        ([10], 41, InFlight),
        ([80], 1, InFlight),
        ([50], 1, InFlight),
        ([0], 80, Fits),
    ],
)
def test_one_key_holds_no_more_than_its_share_unless_alone(held: list[int], amount: int, verdict: type) -> None:
    books = Books([budget(share="0.5")])
    for number, each in enumerate(held):
        take(books, f"h{number}", ALICE, "alice", each, NOON)
    assert isinstance(books.judge(ALICE, "alice", amount, NOON), verdict)
    assert isinstance(books.judge(BOB, "bob", 20, NOON), Fits)


def test_a_share_counts_what_is_held_and_not_what_is_spent() -> None:
    books = Books([budget(share="0.5")])
    for number in range(2):
        take(books, f"h{number}", ALICE, "alice", 50, NOON)
        books.settle(f"h{number}", 40)
    assert books.judge(ALICE, "alice", 20, NOON) == Fits()


def test_what_is_left_is_that_of_the_tightest_budget() -> None:
    books = Books([ALICES, budget()])
    books.load("key:alice:day", TODAY, 10)
    books.load("global:day", TODAY, 65)
    take(books, "h", BOB, "bob", 20, NOON)
    assert books.room(ALICE, "alice", NOON) == Room(15, 35)
    books.load("global:day", TODAY, 200)
    assert books.room(ALICE, "alice", NOON) == Room(-120, -100)


def test_a_key_that_holds_something_is_left_the_rest_of_its_share() -> None:
    books = Books([budget(share="0.5")])
    assert books.room(ALICE, "alice", NOON) == Room(100, 100)
    take(books, "h", ALICE, "alice", 30, NOON)
    assert books.room(ALICE, "alice", NOON) == Room(20, 100)
    assert books.room(BOB, "bob", NOON) == Room(70, 100)


def test_corrections_count_at_once() -> None:
    books = books_with(100, 0)
    assert books.adjust("global:day", TODAY, -30) is True
    assert spent(books) == (70, 0)
    assert books.adjust("global:day", TODAY, -100) is True
    assert books.room(ALICE, "alice", NOON) == Room(130, 130)
    assert books.adjust("global:day", TODAY - DAY, 5) is True
    assert spent(books) == (-30, 0)


def test_the_state_shows_where_every_budget_stands() -> None:
    books = books_with(40, 25)
    assert books.state(NOON) == [Standing(budget(), TODAY, 40, 25, 35, TODAY + DAY)]
    total = budget("global:total", 10, per="total")
    assert Books([total]).state(NOON) == [Standing(total, 0, 0, 0, 10, None)]


def test_thirty_three_of_two_hundred_calls_fit() -> None:
    books = Books([budget(cap=10**12)])
    taken = 0
    for number in range(200):
        if isinstance(books.judge(ALICE, "alice", 3 * 10**10, NOON), Fits):
            take(books, f"h{number}", ALICE, "alice", 3 * 10**10, NOON)
            taken += 1
    assert taken == 33


@pytest.mark.parametrize(("amount", "free", "due"), [(20, 60, 50), (20, 61, 30), (0, 10**9, 30)])
def test_a_hold_is_taken_at_once_where_plenty_is_free_and_else_not_at_all(amount: int, free: int, due: int) -> None:
    books = books_with(10, 30)
    budget_set = books.budget_set(ALICE, "alice", NOON)
    charges = budget_set.charges if books.hold("h", budget_set, amount, free - amount) else None
    is_taken = due == 30 + amount
    assert charges == ((("global:day", TODAY),) if is_taken else None)
    assert spent(books) == (10, due)
    assert books.open_holds == 1 + is_taken


def test_what_leaves_room_changes_with_the_clock_the_caps_and_what_is_corrected() -> None:
    """Whatever is remembered of the budgets that bind a caller is theirs as they are now."""
    books = Books([budget(cap=100), ALICES])
    assert books.room(ALICE, "alice", NOON) == Room(50, 50)
    books.replace([budget(cap=40), ALICES])
    assert books.room(ALICE, "alice", NOON) == Room(40, 40)
    books.adjust("global:day", TODAY, 15)
    assert books.room(ALICE, "alice", NOON) == Room(25, 25)
    assert take(books, "h", ALICE, "alice", 5, NOON + DAY) == (
        ("key:alice:day", TODAY + DAY),
        ("global:day", TODAY + DAY),
    )
    assert books.room(ALICE, "alice", NOON) == Room(35, 40)
    books.load("global:day", TODAY + DAY, 30)
    assert books.room(ALICE, "alice", NOON + DAY) == Room(5, 10)
    books.replace([])
    assert books.room(ALICE, "alice", NOON + DAY) is None
