"""What budgets will have spent: back-tested on made series, and told within its interval."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sin
from random import Random

import pytest

from proxy.policy.analysis.forecast import Ahead, forecast, foreseen

CENT = 10**10
WEEKS = 5
Series = Callable[[Random, int], float]


def office(chance: Random, hour: int) -> float:
    is_work = hour % 168 < 120 and 8 <= hour % 24 < 18
    return (10 if is_work else 0.4) * chance.uniform(0.6, 1.4)


def steady(chance: Random, hour: int) -> float:
    return 5 * chance.uniform(0.8, 1.2)


def bursts(chance: Random, hour: int) -> float:
    return 60 if chance.random() < 0.1 else 0.5


def waves(chance: Random, hour: int) -> float:
    return (4 + 3 * sin(2 * pi * hour / 24)) * chance.uniform(0.5, 1.5)


def growing(chance: Random, hour: int) -> float:
    return (2 + hour / 240) * chance.uniform(0.7, 1.3)


@pytest.mark.parametrize("series", [office, steady, bursts, waves, growing])
def test_half_way_the_mean_error_is_at_most_a_fifth_and_the_interval_holds(series: Series) -> None:
    errors, inside = [], 0
    for seed in range(20):
        chance = Random(seed)
        spent = [int(series(chance, hour) * CENT) for hour in range(WEEKS * 168)]
        begun, half = (WEEKS - 1) * 168, (WEEKS - 1) * 168 + 84
        found = forecast(Ahead(sum(spent[begun:half]), 10**18, 84, 84), spent[half - 28 * 24 : half])
        true = sum(spent[begun:])
        errors.append(abs(found.p50_pusd - true) / true)
        inside += found.p10_pusd <= true <= found.p90_pusd
    assert sum(errors) / len(errors) <= 0.2
    assert inside >= 14


HOUR = 100


@pytest.mark.parametrize(
    ("ahead", "history", "out"),
    [
        pytest.param(Ahead(500, 1000, 10, 14), [HOUR] * 700, 5.0, id="half is left, five hours of it"),
        pytest.param(Ahead(500, 1000, 10, 4), [HOUR] * 700, None, id="the period ends before"),
        pytest.param(Ahead(1000, 1000, 10, 14), [HOUR] * 700, 0.0, id="nothing is left"),
        pytest.param(Ahead(2000, 1000, 10, 14), [], 0.0, id="more than that is gone"),
        pytest.param(Ahead(0, 1000, 10, 14), [], None, id="nothing known and nothing spent"),
        pytest.param(Ahead(500, 1000, 5, 19), [], 5.0, id="nothing known but the rate of now"),
        pytest.param(Ahead(500, 1000, 0, 24), [], 1.0, id="just begun"),
        pytest.param(Ahead(0, 1000, 10, 14), [0] * 700, None, id="nobody ever called"),
        pytest.param(Ahead(500, 1000, 10, 0), [HOUR] * 700, None, id="the period is over"),
    ],
)
def test_when_a_budget_runs_out(ahead: Ahead, history: list[int], out: float | None) -> None:
    found = forecast(ahead, history)
    assert found.out_in_hours == out
    assert found.p10_pusd <= found.p50_pusd <= found.p90_pusd
    assert found.confidence == ("high" if history else "low")


@pytest.mark.parametrize(
    ("elapsed", "history", "out"),
    [
        pytest.param(0.1, [], None, id="six minutes say nothing of the nineteen hours ahead"),
        pytest.param(4.0, [], None, id="nor do four hours"),
        pytest.param(5.0, [], 19.0, id="five do"),
        pytest.param(0.1, [HOUR] * 48, 19.0, id="two days of history do, whenever the day began"),
    ],
)
def test_nothing_is_foreseen_of_what_lies_too_far_ahead(elapsed: float, history: list[int], out: float | None) -> None:
    billed = int(elapsed * HOUR)
    found = forecast(Ahead(billed, billed + 19 * HOUR, elapsed, 2160), history)
    assert foreseen(found, elapsed) == out
