"""A hundred models of one provider, daemon and provider as processes: the best one dies, limps, and comes back. No call is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.storm import CLEAR, MODELS, Effort, Storm, storm, told
from proxy.policy.retries.breaker import FAILURES_TO_OPEN, OPEN_SECONDS

pytestmark = pytest.mark.process


def test_a_hundred_models_differ_in_price_speed_and_failure() -> None:
    orders = CLEAR.orders()
    assert len(orders) == MODELS
    assert sum("every=" in behaviour for behaviour in orders.values()) > MODELS / 3


def test_the_best_of_a_hundred_dies_limps_and_comes_back_and_no_call_is_lost(tmp_path: Path) -> None:
    effort = Effort()
    seen = storm(CLEAR, effort, tmp_path)
    assert seen.lost == 0
    # left after as many calls as its breaker wants; then a probe now and then
    assert 1 <= seen.asked_dead <= FAILURES_TO_OPEN + seen.dead_seconds // OPEN_SECONDS
    # it is tried again while it limps; once it is well it soon has most of its traffic
    assert seen.asked_limping >= effort.limping_asked
    assert seen.back_calls < 400


def test_a_storm_is_told_as_a_row() -> None:
    row = told("best", Storm(1234, 0, 6, 0.31, 60.2, 3, 700, 51, 5.4))
    assert row == "| best | 1,234 | 0 | 0.3 | 6 in 60 s | 3 of 700 | 5 s, 51 calls |"
