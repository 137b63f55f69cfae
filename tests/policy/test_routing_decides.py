"""Routing: what is eligible, who is chosen, when a session stays, who recovers; as tables over the pure decision."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from proxy.policy.routing.board import Board, Kind, board_of, kind_of
from proxy.policy.routing.deciding import Chance, Choice, decide, refused_for_money
from proxy.policy.routing.observing import Observed
from proxy.policy.routing.values import BITS, NAMED, Ask, Candidate, Health, Speed, Stuck
from proxy.policy.routing.words import decision_of
from proxy.policy.strategies import Ceilings, Strategy, Weights
from proxy.policy.values import Target

TOOLS, PICTURES = BITS["tools"], BITS["pictures"]


def candidate(name: str, usd: float = 1.0, quality: float = 0.5, takes: int = TOOLS, weight: float = 1.0) -> Candidate:
    """`usd` a million tokens, in and out alike; cached ones cost a tenth."""
    price = usd / 1e6
    return Candidate(Target("p", name), name, takes, 8000, 4000, price, price, price / 10, quality, "x", weight)


CHEAP, GOOD, SEES = (
    candidate("cheap", 0.1, 0.2),
    candidate("good", 10, 0.95),
    candidate("sees", 2, 0.6, TOOLS | PICTURES),
)
SPEEDS = {
    CHEAP.target: Speed(3.0, 40.0, calls=50, basis="measured"),
    GOOD.target: Speed(2.0, 40.0, calls=50, basis="measured"),
    SEES.target: Speed(0.3, 200.0, calls=50, basis="measured"),
}


def board(strategy: str | Strategy, *candidates: Candidate, kind: Kind | None = None) -> Board:
    how = NAMED[strategy] if isinstance(strategy, str) else strategy
    some = candidates or (CHEAP, GOOD, SEES)
    return board_of(some, lambda target: SPEEDS.get(target, Speed()), how, kind or Kind())


def chosen(choice: Choice) -> str:
    return choice.order[0].candidate.label if choice.order else ""


@pytest.mark.parametrize(
    ("strategy", "ask", "expected"),
    [
        ("cost", Ask(), "cheap"),
        ("quality", Ask(), "good"),
        ("speed", Ask(), "sees"),
        ("cost", Ask(needs=PICTURES), "sees"),
        ("cost", Ask(needs=BITS["audio"]), ""),
        (
            "cost",
            Ask(input_tokens=8001),
            "cheap",
        ),  # too long for all, which is a guess: the largest window has the word
        ("cost", Ask(input_tokens=8001, beyond=(Target("other", "m"),)), ""),
        ("quality", Ask(input_tokens=1000, left_usd=0.001), "cheap"),  # 1,400 tokens at the good one cost 0.014
        ("quality", Ask(output_tokens=3000, left_usd=0.029), "sees"),  # a maximum is held whole: 0.03 at the good one
        ("quality", Ask(output_tokens=9000, left_usd=0.041), "good"),  # but no more than it gives
        ("quality", Ask(input_tokens=10, most_input_tokens=2000, left_usd=0.023), "sees"),  # and so is every byte
    ],
)
def test_the_strategy_chooses_among_what_is_capable(strategy: str, ask: Ask, expected: str) -> None:
    assert chosen(decide(board(strategy), ask, Health(), None, Chance())) == expected


def test_what_has_no_price_is_not_chosen_under_a_budget_that_would_refuse_it() -> None:
    unpriced = Candidate(Target("p", "new"), "new", quality=1.0, is_priced=False)
    by_picture = Candidate(Target("p", "draws"), "draws", quality=0.9)
    under = Ask(left_usd=1.0, needs_price=True)
    for ask, expected in ((Ask(needs_price=True), "new"), (Ask(left_usd=1.0), "new"), (under, "draws")):
        assert chosen(decide(board("quality", unpriced, by_picture), ask, Health(), None, Chance())) == expected
    choice = decide(board("quality", unpriced, CHEAP), under, Health(), None, Chance(explore=0.0))
    assert [one.model for one in decision_of(choice, under, Health(), "").dropped] == ["new"]


def test_where_the_budget_is_too_small_for_any_the_cheapest_is_asked_for_its_refusal() -> None:
    ask = Ask(left_usd=0.0, needs_price=True)
    choice = decide(board("quality", candidate("new", 5), GOOD, CHEAP), ask, Health(), None, Chance())
    assert not choice.order
    assert [row.candidate.label for row in refused_for_money(choice)] == ["cheap", "new", "good"]
    blind = decide(board("quality"), Ask(needs=BITS["audio"], left_usd=0.0), Health(), None, Chance())
    assert refused_for_money(blind) == ()


def test_ceilings_bar_whoever_passes_them_and_the_words_say_so() -> None:
    thrifty = Strategy("thrifty", Weights(quality=1.0), Ceilings(usd_per_mtok=5, first_token_seconds=1))
    ask = Ask(input_tokens=100)
    decision = decision_of(decide(board(thrifty), ask, Health(), None, Chance()), ask, Health(), "dec_1")
    assert (decision.selected_model, decision.rule, decision.fallback_models) == ("sees", "only", [])
    assert {one.model: one.reason for one in decision.dropped} == {
        "cheap": "first token after 3.0 s, above the ceiling of 1 s",
        "good": "$10.00 a million tokens, above the ceiling of $5",
    }
    assert decision.estimated_cost_usd == "0.001000000000" and decision.estimated_latency_ms == 2300


def test_without_calls_of_our_own_nothing_is_sure() -> None:
    fresh = candidate("fresh", 0.05)
    choice = decide(board("cost", fresh, candidate("other", 50)), Ask(), Health(), None, Chance())
    assert decision_of(choice, Ask(), Health(), "").confidence <= 0.6
    known = decide(board("cost"), Ask(), Health(), None, Chance())
    assert decision_of(known, Ask(), Health(), "").confidence > 0.6


def test_the_near_best_share_the_calls_and_a_few_look_elsewhere() -> None:
    alike = [candidate(f"m{n}", 1.0) for n in range(4)]
    picks = Counter(
        chosen(decide(board("balanced", *alike, CHEAP), Ask(), Health(), None, Chance(1.0, n / 100, 1.0)))
        for n in range(100)
    )
    assert set(picks) >= {"m0", "m1", "m2", "m3"} and max(picks.values()) < 40
    explored = decide(board("cost"), Ask(), Health(), None, Chance(0.01, 0.0, 1.0))
    assert (explored.rule, chosen(explored)) == ("explore", "sees")


def test_weights_are_a_draw_and_who_is_drained_comes_last() -> None:
    some = (candidate("a", weight=3), candidate("b", weight=1), candidate("drained", weight=0))
    drawn = [decide(board("weighted", *some), Ask(), Health(), None, Chance(1, n / 100, 1)) for n in range(100)]
    assert Counter(map(chosen, drawn)) == {"a": 75, "b": 25}
    assert {choice.order[-1].candidate.label for choice in drawn} == {"drained"}


def test_the_least_busy_goes_first() -> None:
    busy = Health(busy={CHEAP.target: 3, GOOD.target: 1})
    assert chosen(decide(board("least_busy"), Ask(), busy, None, Chance())) == "sees"


def test_a_spent_budget_makes_cost_weigh_more() -> None:
    full, empty = (kind_of(Ask(0, 500, used=used), stream=True) for used in (0.0, 1.0))
    assert chosen(decide(board("budget_aware", CHEAP, GOOD, kind=full), Ask(), Health(), None, Chance())) == "good"
    assert chosen(decide(board("budget_aware", CHEAP, GOOD, kind=empty), Ask(), Health(), None, Chance())) == "cheap"


@pytest.mark.parametrize(
    ("here", "cached", "stays"),
    [
        ("sees", 7000, True),  # 7,000 cached tokens of it cost less than 7,000 new ones anywhere near
        ("sees", 0, False),  # nothing is cached: the cheaper one pays
        ("gone", 7000, False),
    ],
)
def test_a_session_stays_where_leaving_does_not_pay(here: str, cached: int, stays: bool) -> None:
    near = candidate("near", 1.5, 0.7)
    choice = decide(
        board("quality", SEES, near), Ask(input_tokens=7100), Health(), Stuck(Target("p", here), cached), Chance()
    )
    assert (choice.rule == "session") is stays
    assert chosen(choice) == ("sees" if stays else "near")


def test_who_is_left_alone_is_not_asked_and_who_recovers_gets_a_little() -> None:
    closed = Health(closed={CHEAP.target: "it failed"})
    assert chosen(decide(board("cost"), Ask(), closed, None, Chance())) == "sees"
    coming = Health(shares={CHEAP.target: 0.05})
    took = [chosen(decide(board("cost"), Ask(), coming, None, Chance(1, 0, n / 100))) for n in range(100)]
    assert Counter(took) == {"cheap": 5, "sees": 95}


def test_three_calls_count_and_what_has_changed_is_seen_within_a_few() -> None:
    observed, target = Observed(), Target("p", "x")
    track = observed.track(target, stream=True)
    for _ in range(2):
        track.succeeded(0.1, 100.0, 0.0)
    assert observed.speed(target, 1.0, stream=True).basis == "guessed"
    for _ in range(20):
        track.succeeded(0.1, 100.0, 0.0)
    before = observed.speed(target, 1.0, stream=True)
    assert (before.basis, round(before.first_token_seconds, 3), before.calls) == ("measured", 0.1, 22)
    for _ in range(12):
        track.succeeded(2.0, 10.0, 1.0)
    after = observed.speed(target, 1.0, stream=True)
    assert after.first_token_seconds > 1 and after.p95_seconds == 2.0
    for _ in range(5):
        observed.track(target, stream=False).succeeded(
            None, None, 1.0
        )  # of one token, and not streamed: nothing to measure
    assert observed.speed(target, 1.0, stream=False) == Speed(calls=5)
    for _ in range(3):
        track.failed(2.0)
    assert observed.share(target, stream=True) == 0.05
    shares = []
    for _ in range(6):
        track.succeeded(0.1, 100.0, 3.0)
        shares.append(observed.share(target, stream=True))
    assert shares == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]


def test_five_hundred_candidates_take_less_than_a_few_milliseconds() -> None:
    """The figure is in docs/performance.md; here only that it is no other order, on however slow a machine."""
    many = board("balanced", *(candidate(f"m{n}", 1 + n / 50, n / 500) for n in range(500)))
    began = time.process_time()
    for _ in range(20):
        decide(many, Ask(needs=TOOLS, input_tokens=500), Health(), None, Chance())
    assert (time.process_time() - began) / 20 < 0.02
