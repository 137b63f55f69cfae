"""A breaker under clocks that the test sets."""

from __future__ import annotations

import pytest

from proxy.policy.breaker import FAILURES_TO_OPEN, LONGEST_OPEN_SECONDS, OPEN_SECONDS, Breaker


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
