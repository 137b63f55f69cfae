"""What keys share: the last tenth is for whoever holds little, and nobody's turn waits for another's crowd."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.limits.turns import Turns
from proxy.web.client.gate import Shares


def test_one_key_alone_has_nine_tenths() -> None:
    shares = Shares(100)
    assert sum(shares.take("a", 1) for _ in range(200)) == 90
    assert shares.total == 90


def test_there_is_room_for_who_comes_new() -> None:
    shares = Shares(100)
    while shares.take("a", 1):
        pass
    assert sum(shares.take("b", 1) for _ in range(200)) == 10
    assert not shares.take("c", 1), "all is taken"
    shares.give_back("a", 1)
    assert not shares.take("a", 1), "who holds most is refused first"
    assert shares.take("c", 1)


def test_keys_that_ask_alike_get_alike() -> None:
    shares = Shares(120)
    taken = Counter(key for _ in range(120) for key in ("a", "b", "c") if shares.take(key, 1))
    assert taken == {"a": 36, "b": 36, "c": 36}


def test_what_would_not_fit_is_not_taken_in_part() -> None:
    shares = Shares(100)
    assert not shares.take("a", 101)
    assert shares.total == 0
    assert shares.take("a", 90)
    shares.give_back("a", 90)
    assert shares.take("a", 40)


@pytest.mark.parametrize("most", [0, 1, 2, 9, 10])
def test_a_small_ceiling_is_kept(most: int) -> None:
    shares = Shares(most)
    assert sum(shares.take(key, 1) for key in "aabbccddeeff") <= most


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-50, 50)), max_size=60), st.integers(0, 100))
def test_the_sum_is_what_is_held_and_never_above_the_most(steps: list[tuple[str, int]], most: int) -> None:
    shares, held = Shares(most), Counter[str]()
    for key, amount in steps:
        if amount >= 0:
            if shares.take(key, amount):
                held[key] += amount
        elif held[key] >= -amount:
            shares.give_back(key, -amount)
            held[key] += amount
    assert shares.total == held.total() <= most


def served(turns: Turns[str], number: int) -> list[str]:
    return [who for _ in range(number) if (who := turns.next()) is not None]


def test_keys_take_turns_whatever_their_crowd() -> None:
    turns = Turns[str]()
    for _ in range(100):
        turns.join("a", 1, "a")
    for _ in range(3):
        turns.join("b", 1, "b")
    assert Counter(served(turns, 6)) == {"a": 3, "b": 3}
    assert len(served(turns, 1000)) == 97
    assert served(turns, 1) == []
    assert turns.next() is None


def test_within_a_key_the_first_is_first() -> None:
    turns = Turns[str]()
    for who in "xyz":
        turns.join("a", 1, who)
    assert served(turns, 3) == ["x", "y", "z"]


def test_who_asks_for_more_waits_for_longer() -> None:
    turns = Turns[str]()
    for _ in range(50):
        turns.join("large", 10, "large")
        turns.join("small", 1, "small")
    assert Counter(served(turns, 33)) == {"small": 30, "large": 3}


def test_who_comes_anew_has_saved_no_turns_up() -> None:
    turns = Turns[str]()
    for _ in range(1000):
        turns.join("a", 1, "a")
    served(turns, 500)
    for _ in range(100):
        turns.join("b", 1, "b")
    assert Counter(served(turns, 20)) == {"a": 10, "b": 10}


def test_who_leaves_and_comes_back_is_not_served_twice_as_often() -> None:
    turns = Turns[str]()
    for _ in range(1000):
        turns.join("a", 1, "a")
    seen = Counter[str]()
    for _ in range(100):
        turns.join("b", 5, "b")
        seen.update(served(turns, 3))
    assert seen["a"] >= 4 * seen["b"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 1000)), max_size=50))
def test_everybody_who_waits_is_served_once(waiting: list[tuple[str, int]]) -> None:
    turns = Turns[str]()
    for number, (key, cost) in enumerate(waiting):
        turns.join(key, cost, f"{key}{number}")
    got = served(turns, len(waiting) + 3)
    assert sorted(got) == sorted(f"{key}{number}" for number, (key, _) in enumerate(waiting))
