"""Tables over limits: what a bucket lets pass, what is taken together, what a client is told."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.limits.limiter import Denied, Limiter, Limits, duration_text, pairs_of
from proxy.policy.money.budgets import GLOBAL, Limit, LimitOf, Per, key_scope

ALICE = (key_scope("alice"), GLOBAL)


def limit(of: LimitOf, amount: int, scope: str = ALICE[0], per: Per | None = "minute") -> Limit:
    return Limit(f"{scope}:{of}:{per}", scope, of, amount, None if of == "concurrent" else per)


def ns(seconds: float) -> int:
    return int(seconds * 10**9 + 0.5)


class Taken(NamedTuple):
    """A call under way."""

    limits: Limits
    tokens: int

    def give_back(self, used: int | None = None, now: float = 0.0) -> None:
        self.limits.give_back(self.tokens, used, ns(now))


def take(limiter: Limiter, now: float, tokens: int = 0) -> Taken | Denied:
    limits = limiter.of(ALICE)
    denied = limits.judge(tokens, ns(now))
    assert (limits.take(tokens, ns(now)) is None) == (denied is not None)
    return denied or Taken(limits, tokens)


def taken(limiter: Limiter, now: float, tokens: int = 0) -> Taken:
    found = take(limiter, now, tokens)
    assert isinstance(found, Taken)
    return found


def headers(limiter: Limiter, now: float) -> str:
    return limiter.of(ALICE).headers(ns(now))


@pytest.mark.parametrize("amount", [1, 3, 7, 60, 61, 997])
def test_the_whole_amount_may_come_at_once_and_then_at_the_rate(amount: int) -> None:
    limiter = Limiter([limit("requests", amount)])
    for _ in range(amount):
        taken(limiter, 1000.1)
    denied = take(limiter, 1000.1)
    assert isinstance(denied, Denied)
    assert denied.retry_after_seconds == pytest.approx(60 / amount, abs=1e-8)
    assert isinstance(take(limiter, 1000.1 + 60 / amount * 0.999), Denied)
    taken(limiter, 1000.1 + denied.retry_after_seconds + 1e-6)
    assert isinstance(take(limiter, 1000.1 + denied.retry_after_seconds + 2e-6), Denied)


@pytest.mark.parametrize(
    ("per", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86_400), ("week", 604_800), ("month", 2_592_000)]
)
def test_a_period_has_its_length(per: Per, seconds: int) -> None:
    limiter = Limiter([limit("requests", 1, per=per)])
    taken(limiter, 0.0)
    denied = take(limiter, 0.0)
    assert denied == Denied(limit("requests", 1, per=per), float(seconds))


def test_tokens_are_reserved_and_corrected() -> None:
    limiter = Limiter([limit("tokens", 1000)])
    first = taken(limiter, 0.0, 800)
    assert isinstance(take(limiter, 0.0, 300), Denied)
    first.give_back(100)
    second = taken(limiter, 0.0, 900)
    assert isinstance(take(limiter, 0.0, 1), Denied)
    second.give_back(1900)
    denied = take(limiter, 0.0, 1)
    assert isinstance(denied, Denied)
    assert denied.retry_after_seconds == pytest.approx(60.06)


def test_a_reservation_is_cut_to_the_limit() -> None:
    limiter = Limiter([limit("tokens", 1000)])
    first = taken(limiter, 0.0, 50_000)
    first.give_back(1000)
    assert take(limiter, 0.0, 50_000) == Denied(limit("tokens", 1000), 60.0)
    taken(limiter, 60.0, 50_000)


def test_a_correction_gives_back_no_more_than_there_is() -> None:
    limiter = Limiter([limit("tokens", 1000)])
    early = taken(limiter, 0.0, 1000)
    early.give_back(0, 100.0)
    taken(limiter, 100.0, 1000)
    assert isinstance(take(limiter, 100.0, 1), Denied)


def test_calls_at_once_are_counted_until_they_are_over() -> None:
    limiter = Limiter([limit("concurrent", 2)])
    first, _ = taken(limiter, 0.0), taken(limiter, 0.0)
    assert take(limiter, 1e9) == Denied(limit("concurrent", 2), 1.0)
    first.give_back()
    taken(limiter, 0.0)
    assert isinstance(take(limiter, 0.0), Denied)


def test_a_denied_call_takes_nothing() -> None:
    limiter = Limiter(
        [limit("requests", 5), limit("tokens", 100), limit("concurrent", 9), limit("requests", 3, GLOBAL)]
    )
    first = taken(limiter, 0.0, 100)
    before = headers(limiter, 0.0)
    for _ in range(50):
        assert take(limiter, 0.0, 100) == Denied(limit("tokens", 100), 60.0)
    assert headers(limiter, 0.0) == before
    first.give_back(0)
    taken(limiter, 0.0, 100)
    fresh = Limiter([limit("requests", 5), limit("tokens", 100, GLOBAL)])
    kept = taken(fresh, 0.0, 100)
    for _ in range(50):
        assert take(fresh, 0.0, 1) == Denied(limit("tokens", 100, GLOBAL), 0.6)
    kept.give_back(0)
    for _ in range(4):
        taken(fresh, 0.0)
    assert isinstance(take(fresh, 0.0), Denied)


def test_the_longest_wait_is_named() -> None:
    hour, minute = limit("requests", 1, per="hour"), limit("requests", 1)
    for limits in ([hour, minute], [minute, hour]):
        limiter = Limiter([*limits, limit("concurrent", 1)])
        taken(limiter, 0.0)
        assert take(limiter, 0.0) == Denied(hour, 3600.0)


def test_without_limits_everything_passes() -> None:
    limiter = Limiter([limit("requests", 1, key_scope("bob"))])
    found = taken(limiter, 0.0, 10**9)
    assert (found.limits.timed, found.limits.slots) == ((), ())
    found.give_back(5)
    assert headers(limiter, 0.0) == ""


def test_other_limits_keep_how_full_the_old_ones_are() -> None:
    limiter = Limiter([limit("requests", 10), limit("concurrent", 5), limit("tokens", 100)])
    calls = [taken(limiter, 0.0, 10) for _ in range(5)]
    limiter.replace([limit("requests", 20), limit("concurrent", 5)])
    assert dict(pairs_of(headers(limiter, 0.0)))["x-ratelimit-remaining-requests"] == "10"
    assert isinstance(take(limiter, 0.0), Denied)
    for call in calls:
        call.give_back(99)
    limiter.replace([limit("requests", 20)])
    for _ in range(10):
        taken(limiter, 0.0)
    assert isinstance(take(limiter, 0.0), Denied)


def test_slots_of_a_limit_taken_away_are_given_back_to_nobody() -> None:
    limiter = Limiter([limit("concurrent", 1)])
    call = taken(limiter, 0.0)
    limiter.replace([])
    call.give_back()
    limiter.replace([limit("concurrent", 1)])
    taken(limiter, 0.0)


def test_a_limit_that_counts_something_else_starts_anew() -> None:
    old, new = Limit("x", ALICE[0], "requests", 1, "minute"), Limit("x", ALICE[0], "requests", 1, "hour")
    limiter = Limiter([old])
    taken(limiter, 0.0)
    limiter.replace([new])
    taken(limiter, 0.0)
    assert take(limiter, 0.0) == Denied(new, 3600.0)


def test_headers_tell_of_the_tightest_limit() -> None:
    limiter = Limiter([limit("requests", 100, per="hour"), limit("requests", 10), limit("tokens", 1000)])
    for _ in range(3):
        taken(limiter, 0.0, 100)
    assert dict(pairs_of(headers(limiter, 0.0))) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "18s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "700",
        "x-ratelimit-reset-tokens": "18s",
    }
    taken(limiter, 0.0, 700).give_back(5000)
    assert dict(pairs_of(headers(limiter, 0.0)))["x-ratelimit-remaining-tokens"] == "0"
    assert dict(pairs_of(headers(limiter, 10_000.0)))["x-ratelimit-reset-tokens"] == "0s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.2, "2s"),
        (59.2, "1m0s"),
        (360, "6m0s"),
        (3599.9, "1h0m0s"),
        (3661, "1h1m1s"),
        (86_400, "24h0m0s"),
    ],
)
def test_durations_are_spelled_as_openai_does(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(1, 50), st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), max_size=60))
def test_no_period_sees_more_than_twice_the_amount(amount: int, gaps: list[tuple[float, int]]) -> None:
    limiter, now, passed = Limiter([limit("tokens", amount)]), 0.0, []
    for gap, tokens in gaps:
        now += gap
        found = take(limiter, now, tokens)
        if isinstance(found, Taken):
            passed.append((now, min(tokens, amount)))
    for start, _ in passed:
        assert sum(tokens for at, tokens in passed if start <= at < start + 60) <= 2 * amount


def test_state_does_not_grow_with_calls() -> None:
    limiter = Limiter([limit("requests", 10**9), limit("concurrent", 10)])
    for number in range(5_000):
        found = taken(limiter, float(number))
        found.give_back()


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0, 60), st.integers(1, 10**6))
def test_another_amount_leaves_how_full_it_is_in_time(amount: int, other: int, now: float, tokens: int) -> None:
    """Whether either of them goes evenly into a minute or not."""
    limiter = Limiter([limit("tokens", amount)])
    taken(limiter, 0.0, tokens)
    before = min(tokens, amount) / amount * 60
    limiter.replace([limit("tokens", other)])
    found = limiter.of(ALICE).judge(other, ns(now))
    wait = 0.0 if found is None else found.retry_after_seconds
    assert wait == pytest.approx(max(0.0, before - now), abs=1e-6)
