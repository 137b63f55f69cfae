"""A breaker under clocks that the test sets."""

from __future__ import annotations

import pytest

from proxy.policy.retries.breaker import (
    FAILURES_TO_OPEN,
    LONGEST_OPEN_SECONDS,
    MOST_TARGETS,
    OPEN_SECONDS,
    Breaker,
    Breakers,
    News,
)
from proxy.policy.values import Target


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(now)
    return breaker


@pytest.mark.parametrize(("failures", "is_open"), [(0, False), (1, False), (4, False), (5, True), (6, True)])
def test_five_failures_in_a_row_open_it(failures: int, is_open: bool) -> None:
    breaker = Breaker()
    for _ in range(failures):
        assert breaker.seconds_closed_to(0.0) == 0.0 or failures > FAILURES_TO_OPEN
        breaker.failed(0.0)
    assert breaker.is_open is is_open
    assert repr(breaker) == f"<Breaker {'open' if is_open else 'closed'}, {failures} failures in a row>"


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed(0.0)
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.seconds_closed_to(0.0) == 0.0


@pytest.mark.parametrize(("later", "left"), [(0.0, 10.0), (4.0, 6.0), (9.5, 0.5), (10.0, 0.0), (99.0, 0.0)])
def test_an_open_one_says_how_long_it_stays_so(later: float, left: float) -> None:
    assert opened(100.0).seconds_closed_to(100.0 + later) == left


def test_one_probe_at_a_time_goes_out() -> None:
    breaker = opened(100.0)
    assert breaker.seconds_closed_to(110.0) == 0.0
    assert breaker.seconds_closed_to(110.0) == 1.0
    assert breaker.seconds_closed_to(500.0) == 1.0


def test_a_probe_that_succeeds_closes_it_and_forgets_everything() -> None:
    breaker = opened(100.0)
    assert breaker.seconds_closed_to(110.0) == 0.0
    breaker.failed(110.0)
    assert breaker.seconds_closed_to(130.0) == 0.0
    breaker.succeeded()
    assert [breaker.seconds_closed_to(130.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(200.0)
    assert breaker.seconds_closed_to(200.0) == OPEN_SECONDS


def test_every_probe_that_fails_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now, waits = opened(0.0), 0.0, []
    for _ in range(5):
        waits.append(breaker.seconds_closed_to(now))
        now += waits[-1]
        assert breaker.seconds_closed_to(now) == 0.0
        breaker.failed(now)
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert breaker.seconds_closed_to(now) == LONGEST_OPEN_SECONDS


def test_calls_that_fail_together_open_it_no_longer_than_five_would() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.failed(7.0)
    assert breaker.seconds_closed_to(7.0) == OPEN_SECONDS


def test_a_probe_that_told_nothing_gives_its_place_back() -> None:
    breaker = opened(100.0)
    assert breaker.seconds_closed_to(110.0) == 0.0
    breaker.abandoned()
    assert breaker.is_open
    assert breaker.seconds_closed_to(110.0) == 0.0
    assert breaker.seconds_closed_to(110.0) == 1.0


LIVE, DEAD, OTHER = Target("p", "live"), Target("p", "dead"), Target("q", "live")


def told(*news: News, target: Target = DEAD) -> Breakers:
    breakers = Breakers(["p", "q"])
    for one in news:
        breakers.tell(target, one, 100.0)
    return breakers


@pytest.mark.parametrize(
    ("news", "closed"),
    [
        ("answered", ()),
        ("nothing", ()),
        ("failing", (DEAD,)),
        ("silent", (DEAD,)),
        ("unreachable", (DEAD, LIVE)),
        ("refused", (DEAD, LIVE)),
    ],
)
def test_one_dead_model_never_closes_the_others(news: News, closed: tuple[Target, ...]) -> None:
    breakers = told(*[news] * FAILURES_TO_OPEN)
    for target in (LIVE, DEAD, OTHER):
        assert (breakers.seconds_closed_to(target, 100.0) > 0) == (target in closed)
    assert breakers.by_provider["p"].is_open == (LIVE in closed)
    assert [name for name, _ in breakers.open_targets("p")] == (["dead"] if closed == (DEAD,) else [])


def test_failures_of_two_kinds_are_counted_apart() -> None:
    breakers = told("unreachable", "silent", "unreachable", "silent", "unreachable", "silent")
    assert breakers.seconds_closed_to(DEAD, 100.0) == 0.0
    assert told(*["unreachable"] * 4, "failing", "unreachable").seconds_closed_to(LIVE, 100.0) == 0.0


def test_a_probe_the_target_stops_gives_the_providers_place_back() -> None:
    breakers = told(*["failing"] * 5, *["unreachable"] * 5)
    assert breakers.seconds_closed_to(DEAD, 109.0) == 1.0
    assert breakers.seconds_closed_to(DEAD, 110.0) == 0.0
    breakers.tell(DEAD, "failing", 110.0)
    assert breakers.seconds_closed_to(LIVE, 110.0) == 0.0, "it answered: the provider can be reached"
    assert breakers.seconds_closed_to(DEAD, 110.0) == 20.0


def test_names_that_clients_make_up_take_no_room_without_end() -> None:
    breakers = told()
    for number in range(3 * MOST_TARGETS):
        breakers.tell(Target("p", f"m{number}"), "failing", 0.0)
        breakers.tell(DEAD, "failing", 0.0)
    assert len(breakers._by_target) == MOST_TARGETS
    assert breakers.seconds_closed_to(DEAD, 1.0) > 0


def test_a_provider_without_one_is_never_left_alone() -> None:
    breakers = Breakers([])
    for _ in range(9):
        breakers.tell(DEAD, "unreachable", 0.0)
    assert breakers.seconds_closed_to(DEAD, 0.0) == 0.0


def test_others_go_on_with_what_is_known_of_the_same_providers() -> None:
    old = told(*["failing"] * 5)
    for _ in range(5):
        old.tell(OTHER, "unreachable", 100.0)
    new = Breakers(["p", "q", "r"])
    new.take_over(old, ["p", "gone"])
    assert new.seconds_closed_to(DEAD, 100.0) > 0
    assert new.seconds_closed_to(OTHER, 100.0) == 0.0


def test_what_calls_under_way_find_out_is_known_to_those_that_take_over() -> None:
    """A reload does not end calls: theirs are told to the breakers they began with."""
    old, new = Breakers(["p"]), Breakers(["p"])
    new.take_over(old, ["p"])
    assert new.are_calm
    for _ in range(5):
        old.tell(DEAD, "unreachable", 100.0)
    assert not new.are_calm and new.seconds_closed_to(DEAD, 100.0) > 0
    old.tell(DEAD, "answered", 200.0)
    assert old.are_calm and new.are_calm


def test_a_provider_that_was_asked_and_is_not_there_is_left_alone_until_it_is() -> None:
    breakers = Breakers(["p"])
    breakers.asked("p", 100.0, is_there=False)
    assert not breakers.are_calm and breakers.seconds_closed_to(LIVE, 100.0) > 0
    breakers.asked("p", 101.0, is_there=True)
    assert breakers.are_calm and breakers.seconds_closed_to(LIVE, 101.0) == 0.0
