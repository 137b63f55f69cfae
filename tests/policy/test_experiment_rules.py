"""Experiments as tables and as 200 seeded runs: an arm that is worse is sent back, one that is better is found, and no more
often in error than is said, though every run looks again and again."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.errors import ModelNotFound
from proxy.policy.experiments.assigning import arm_of
from proxy.policy.experiments.judging import best, breach_of, measured
from proxy.policy.experiments.stepping import NotNow, Order, live, ordered, step, verdict
from proxy.policy.experiments.sums import Evidence, Moments, Seen
from proxy.policy.experiments.values import Arm, Experiment, Guard, Standing, first_standing, shares
from proxy.policy.features import Features
from proxy.policy.names.access import routed
from proxy.policy.strategies import Pool, Seat
from proxy.policy.values import Caller, Plan, Target

ARMS = (Arm("old", 95), Arm("new", 5))
GUARD = Guard(errors=0.05, cost_ratio=1.5, first_token_ratio=2)
RAMPED = Experiment("e", "smart", ARMS, "call", "cost", GUARD, (5, 25, 50, 100), 3600, 50)
HALVES = Experiment("e", "smart", (Arm("old", 50), Arm("new", 50)), "call", min_calls=50, guard=GUARD)
RUNS = 200
Calls = Callable[[random.Random, int], Seen]


def calls(errors: float = 0.01, cost: float = 1.0, first: float = 1.0, after: int = 0) -> Calls:
    """Calls of two arms; what is given is of the newcomer, from its `after`th call on. Costs differ by a factor of e."""
    count = Counter[int]()

    def call(chance: random.Random, arm: int) -> Seen:
        count[arm] += 1
        is_changed = arm == 1 and count[1] > after
        fails = chance.random() < (errors if is_changed else 0.01)
        usd = 0.002 * math.exp(chance.gauss(0, 1)) * (cost if is_changed else 1)
        token = 0.4 * math.exp(chance.gauss(0, 0.5)) * (first if is_changed else 1)
        return Seen(fails, usd, None if fails else token)

    return call


def run(experiment: Experiment, seed: int, most: int, call: Calls) -> tuple[Standing, Evidence, str]:
    """Until it is rolled back or so many calls are made, one a second, with a look at every tenth. The winner is the first
    one that is ever named."""
    chance, now, winner = random.Random(seed), 0.0, ""
    standing, evidence = first_standing(experiment, now), Evidence.begin(2)
    while standing.state != "rolled_back" and now < most:
        now += 1
        arm = 1 if chance.random() * 100 < shares(experiment, standing)[1] else 0
        evidence.add(arm, call(chance, arm))
        if now % 10 == 0:
            evidence.roll(live(experiment, standing), experiment.min_calls)
            standing = step(experiment, standing, evidence, now)
            found = best(experiment, evidence).arm if not winner else None
            winner = winner or ("" if found is None else experiment.arms[found].target)
    return standing, evidence, winner


def test_an_arm_that_is_no_worse_is_sent_back_in_one_run_of_a_hundred_at_most() -> None:
    back = sum(run(HALVES, seed, 400, calls())[0].state == "rolled_back" for seed in range(RUNS))
    assert back <= 0.01 * RUNS


def test_none_wins_where_both_are_alike_in_95_runs_of_a_hundred() -> None:
    won = sum(run(HALVES, seed, 600, calls())[2] != "" for seed in range(RUNS))
    assert won <= 0.05 * RUNS


@pytest.mark.parametrize(
    ("call", "within"),
    [
        pytest.param(calls(errors=0.25), 200, id="every fourth call fails"),
        pytest.param(calls(first=4), 60, id="four times as slow"),
        pytest.param(calls(cost=4), 250, id="four times as dear"),
        pytest.param(calls(errors=0.5, after=300), 400, id="half of all fail after 300 good ones"),
    ],
)
def test_an_arm_that_is_worse_is_sent_back_in_every_run(call: Calls, within: int) -> None:
    experiment = replace(HALVES, min_calls=50)
    for seed in range(RUNS // 4):
        standing, evidence, _ = run(experiment, seed, 2 * within + 60, call)
        assert standing.state == "rolled_back" and standing.by == "guard", seed
        assert evidence.whole[1].calls <= within, "calls that it took"
        assert "new: " in standing.reason and "the guard is" in standing.reason


def test_an_arm_that_is_cheaper_is_found_in_95_runs_of_a_hundred() -> None:
    winners = Counter(run(HALVES, seed, 1200, calls(cost=0.6))[2] for seed in range(RUNS))
    assert winners["new"] >= 0.95 * RUNS and winners["old"] == 0


def test_true_means_lie_in_the_interval_at_every_look_in_95_runs_of_a_hundred() -> None:
    true, missed = 0.002 * math.exp(0.5), 0
    for seed in range(RUNS):
        chance, evidence, call = random.Random(seed), Evidence.begin(2), calls()
        out = False
        for n in range(1, 601):
            evidence.add(0, call(chance, 0))
            if n >= 50 and n % 25 == 0:
                found = measured(evidence.whole[0], "cost")
                assert found.low is not None and found.high is not None
                out = out or not found.low <= true <= found.high
        missed += out
    assert missed <= 0.05 * RUNS


@given(st.text(min_size=1, max_size=80), st.floats(0, 100), st.floats(0, 100))
def test_who_has_a_newcomer_keeps_it_as_its_share_grows(unit: str, one: float, other: float) -> None:
    fewer, more = sorted((one, other))
    for parts in ((1.0,), (0.3, 0.7)):
        before = arm_of("e", unit.encode(), (100 - fewer, *(fewer * part for part in parts)))
        after = arm_of("e", unit.encode(), (100 - more, *(more * part for part in parts)))
        assert before in (0, after)


def test_arms_get_their_shares_and_experiments_do_not_know_each_other() -> None:
    units = [f"session-{n}".encode() for n in range(4000)]
    got = Counter(arm_of("e", unit, (70, 10, 20)) for unit in units)
    assert [round(got[arm] / 40) for arm in range(3)] == pytest.approx([70, 10, 20], abs=2)
    both = sum(arm_of("e", unit, (50, 50)) == arm_of("f", unit, (50, 50)) for unit in units)
    assert both / 4000 == pytest.approx(0.5, abs=0.03)
    assert {arm_of("e", unit, (0, 100)) for unit in units} == {1}
    assert {arm_of("e", unit, (100, 0)) for unit in units} == {0}


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_moments_of_two_lists_are_those_of_both(one: list[float], other: list[float]) -> None:
    first, second, both = Moments(), Moments(), Moments()
    for value in one:
        first.add(value)
        both.add(value)
    for value in other:
        second.add(value)
        both.add(value)
    found = first + second
    assert found.n == both.n and found.mean == pytest.approx(both.mean, abs=1e-4)
    assert found.squares == pytest.approx(both.squares, rel=1e-6, abs=1e-2)


def evidence_of(old: tuple[int, int], new: tuple[int, int]) -> Evidence:
    """(calls, of them failed) of each arm."""
    evidence = Evidence.begin(2)
    for arm, (count, failed) in enumerate((old, new)):
        for n in range(count):
            evidence.add(arm, Seen(n < failed, 0.001 + n % 3 * 0.0001, 0.5))
    return evidence


@pytest.mark.parametrize(
    ("old", "new", "sign"),
    [
        ((0, 0), (49, 49), "fine"),  # too few to act on
        ((0, 0), (50, 50), "proved"),  # nothing to compare with
        ((900, 0), (50, 4), "doubtful"),
        ((900, 0), (50, 2), "fine"),
        ((900, 0), (60, 30), "proved"),
        ((900, 800), (60, 50), "fine"),  # all fail alike: nobody is better off with the first
    ],
)
def test_the_guard_of_errors(old: tuple[int, int], new: tuple[int, int], sign: str) -> None:
    assert breach_of(RAMPED, evidence_of(old, new)).sign == sign


def test_the_ramp_wants_time_and_calls_and_stands_still_in_doubt() -> None:
    begun = first_standing(RAMPED, 0)
    assert shares(RAMPED, begun) == (95, 5)
    enough, few = evidence_of((900, 0), (50, 0)), evidence_of((900, 0), (49, 0))
    assert step(RAMPED, begun, enough, 3599) is begun
    assert step(RAMPED, begun, few, 10**6) is begun
    onward = step(RAMPED, begun, enough, 3600)
    assert (onward.state, onward.share, onward.by, onward.calls) == ("running", 25, "ramp", (900, 50))
    assert step(RAMPED, onward, enough, 10**6) is onward, "calls count from the step on"
    held = step(RAMPED, onward, evidence_of((900, 0), (100, 8)), 4000)
    assert (held.state, held.by, held.share) == ("held", "guard", 25)
    assert step(RAMPED, held, evidence_of((900, 0), (149, 3)), 5000) is held
    freed = step(RAMPED, held, evidence_of((900, 0), (150, 3)), 5000)
    assert (freed.state, freed.share) == ("running", 25)
    last = replace(freed, share=100.0)
    assert step(RAMPED, last, evidence_of((900, 0), (999, 0)), 10**9) is last


ORDERS: list[tuple[str, Order, float | str | None, tuple[str, float, str] | None]] = [
    ("running", "ramp", None, ("running", 25, "")),
    ("running", "ramp", 60.0, ("running", 60, "")),
    ("running", "ramp", 101.0, None),
    ("running", "hold", None, ("held", 5, "")),
    ("held", "ramp", None, ("running", 5, "")),
    ("running", "rollback", None, ("rolled_back", 5, "")),
    ("rolled_back", "rollback", None, None),
    ("rolled_back", "hold", None, None),
    ("rolled_back", "ramp", None, ("running", 5, "")),
    ("finished", "ramp", 50.0, ("running", 50, "")),
    ("running", "finish", "new", ("finished", 5, "new")),
    ("held", "finish", "other", None),
    ("held", "finish", None, None),  # nobody has won
]


@pytest.mark.parametrize(("state", "order", "given", "became"), ORDERS)
def test_orders(state: str, order: Order, given: float | str | None, became: tuple[str, float, str] | None) -> None:
    standing = replace(first_standing(RAMPED, 0), state=state, winner="new" if state == "finished" else "")
    evidence = evidence_of((40, 0), (40, 0))
    if became is None:
        with pytest.raises(NotNow):
            ordered(RAMPED, standing, evidence, (order, given), 9)
        return
    found = ordered(RAMPED, standing, evidence, (order, given), 9)
    assert (found.state, found.share, found.winner) == became
    assert (found.since, found.by) == (9, "operator")


def test_what_all_calls_get_at_the_end() -> None:
    begun = first_standing(RAMPED, 0)
    assert shares(RAMPED, replace(begun, state="rolled_back")) == (100, 0)
    assert shares(RAMPED, replace(begun, state="finished", winner="new")) == (0, 100)
    three = replace(RAMPED, arms=(Arm("old", 40), Arm("a", 45), Arm("b", 15)))
    assert shares(three, first_standing(replace(three, ramp=()), 0)) == (40, 45, 15)
    assert shares(three, first_standing(three, 0)) == (95, 3.75, 1.25)


def test_a_report_says_why() -> None:
    few = verdict(HALVES, first_standing(HALVES, 0), evidence_of((10, 0), (60, 0)))
    assert few.arm is None and few.reason == "too early: 10 of 50 calls that each arm needs tell of cost"
    alike = verdict(HALVES, first_standing(HALVES, 0), evidence_of((60, 0), (60, 0)))
    assert alike.arm is None and "none is proved better yet" in alike.reason
    assert measured(evidence_of((0, 0), (1, 0)).whole[0], "cost").mean is None
    assert best(replace(HALVES, metric="feedback"), evidence_of((60, 0), (60, 0))).arm is None


@pytest.mark.parametrize(
    ("features", "for_alice", "for_bob"),
    [
        (Features(), True, True),
        (Features(frozenset({"routing"})), False, False),
        (Features(keys={"routing": {"alice": False}}), False, True),
        (Features(frozenset({"routing"}), {"routing": {"alice": True}}), True, False),
        (Features(frozenset({"jobs"}), {"quality": {"alice": False}}), True, True),
    ],
)
def test_parts_are_there_for_everybody_or_by_key(features: Features, for_alice: bool, for_bob: bool) -> None:
    seats = (Seat(Target("p", "a"), "p/a", "p/a"), Seat(Target("p", "b"), "p/b", "p/b"))
    plan = Plan(tuple(seat.target for seat in seats), "smart", pool=Pool("cost", seats))
    everything = replace(plan, label="auto", pool=Pool("cost", seats, is_auto=True))
    for name, is_on in (("alice", for_alice), ("bob", for_bob)):
        assert features.is_on("routing", name) is is_on
        found = routed(features, plan, Caller(name))
        assert (found.pool is not None) is is_on and found.targets == plan.targets
        if not is_on:
            with pytest.raises(ModelNotFound):
                routed(features, everything, Caller(name))
    assert features.is_on("routing") is (for_alice or for_bob)
