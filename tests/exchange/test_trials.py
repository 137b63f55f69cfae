"""An experiment whose shares are written otherwise while it goes on."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from proxy.exchange.routing.trials import Kept, Trial, Trials, read_kept
from proxy.policy.experiments.stepping import Order
from proxy.policy.experiments.values import Arm, Experiment

THREE = (Arm("a", 90), Arm("b", 5), Arm("c", 5))
RAMP = (5.0, 25.0, 50.0, 100.0)


def taken_on(trials: Trials, experiment: Experiment, now: float = 2, **kept: Kept) -> Trial:
    trials.take_on([experiment], kept, now)
    trial = trials.find(experiment.name)
    assert trial is not None
    return trial


def written(*shares: float, ramp: tuple[float, ...] = ()) -> Experiment:
    arms = tuple(Arm(target, share) for target, share in zip("abc", shares, strict=False))
    return Experiment("e", "smart", arms, ramp=ramp)


@pytest.mark.parametrize(
    ("orders", "ramp", "then", "lots"),
    [
        pytest.param([], (), written(50, 25, 25), (50, 25, 25), id="more"),
        pytest.param([], (), written(0, 50, 50), (0, 50, 50), id="all"),
        pytest.param([], (), written(100, 0, 0), (100, 0, 0), id="none"),
        pytest.param([], (), written(90, 1, 9), (90, 1, 9), id="the same, shared out otherwise"),
        pytest.param([("ramp", 60)], (), written(90, 5, 5), (40, 30, 30), id="written as before, set by hand"),
        pytest.param([("ramp", 60)], (), written(80, 10, 10), (80, 10, 10), id="set by hand before"),
        pytest.param([("ramp", 50)], RAMP, written(90, 5, 5, ramp=(5, 10)), (90, 5, 5), id="a ramp that ends before"),
        pytest.param([("ramp", 50)], RAMP, written(90, 5, 5, ramp=(20, 40, 80)), (60, 20, 20), id="another ramp"),
        pytest.param([("ramp", 50)], RAMP, written(90, 5, 5), (90, 5, 5), id="no ramp any more"),
        pytest.param([], (), written(90, 5, 5, ramp=(40, 80)), (60, 20, 20), id="a ramp from now on"),
        pytest.param([("hold", None)], (), written(60, 20, 20), (60, 20, 20), id="held"),
        pytest.param([("rollback", None)], (), written(60, 20, 20), (100, 0, 0), id="rolled back"),
        pytest.param([("finish", "b")], (), written(60, 20, 20), (0, 100, 0), id="finished"),
    ],
)
def test_shares_that_are_written_otherwise_are_in_force_at_once(
    orders: list[tuple[Order, Any]], ramp: tuple[float, ...], then: Experiment, lots: tuple[float, ...]
) -> None:
    trials = Trials()
    before = taken_on(trials, replace(then, arms=THREE, ramp=ramp), 1)
    for order in orders:
        trials.order(before, order, 1)
    kept = read_kept(trials.news())
    after, restarted = taken_on(trials, then), taken_on(Trials(), then, **kept)
    assert after.lots == restarted.lots == lots
    assert after.standing.state == before.standing.state
    again = taken_on(trials, then, 3)
    assert again.standing == after.standing, "once"


def test_what_an_older_version_kept_stands_as_it_stood() -> None:
    trials = Trials()
    trials.order(taken_on(trials, written(90, 10)), ("ramp", 60), 1)
    kept = read_kept(trials.news())
    assert taken_on(Trials(), written(90, 10), e=replace(kept["e"], written=())).lots == (40, 60)
    assert read_kept({"e": b"{", "f": b'{"identity": 1}'}) == {}
