"""Alert rules that fire below a limit: what was never counted is not missing, and what has stopped is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stores_samples import settled
from test_stores_rollups import HOUR, MINUTE, NOON, add, opened

from proxy.alerts.measuring import Asked, measured_now
from proxy.policy.alerting.rules import AlertRule
from proxy.stores.questions.queries import Files


def measured(folder: Path, *calls: tuple[str, int], began: int = NOON, low: tuple[str, ...] = (), **rule: Any) -> Any:
    """At noon, by who has called so many milliseconds before it. `carol` is no key any more."""
    driver = opened(folder)
    if calls:
        add(driver, *(settled(f"r{n}", at_ms=NOON - ago, key=key) for n, (key, ago) in enumerate(calls)))
    driver.close()
    asked = Asked(Files(folder), NOON, began, low, lambda name: name != "carol")
    return measured_now(AlertRule("r", **{"metric": "calls", "below": 2.0, "over_seconds": 7200.0, **rule}), asked)


@pytest.mark.parametrize(
    ("calls", "began", "value"),
    [
        ([], NOON, None),  # the very first start
        ([("bob", 5 * MINUTE)], NOON - HOUR, None),
        ([], NOON - 2 * HOUR, 0.0),
        ([("bob", 5 * MINUTE)], NOON - 2 * HOUR, 1.0),
        ([("bob", 3 * HOUR)], NOON, 0.0),
        ([("bob", 30 * 24 * HOUR), ("bob", 5 * MINUTE)], NOON, 1.0),
    ],
)
def test_too_little_is_told_of_what_was_counted_as_long_as_the_rule_looks_back(
    calls: list[tuple[str, int]], began: int, value: float | None, tmp_path: Path
) -> None:
    assert measured(tmp_path, *calls, began=began) == {"": value}


def test_too_much_is_told_at_once_and_so_is_what_is_no_count(tmp_path: Path) -> None:
    assert measured(tmp_path, ("bob", MINUTE), below=None, above=0.0) == {"": 1.0}
    assert measured(tmp_path, metric="cost_usd_per_call", below=1.0) == {"": 0.03}


def test_of_each_who_has_stopped_has_nothing_and_who_is_new_is_not_judged(tmp_path: Path) -> None:
    calls = ("alice", 3 * HOUR), ("carol", 3 * HOUR), ("bob", MINUTE), ("bob", 3 * HOUR), ("new", MINUTE)
    assert measured(tmp_path, *calls, each="key") == {"alice": 0.0, "bob": 1.0, "new": None}
    fired = ("dave", "carol")  # who has stopped for long is not over for that
    assert measured(tmp_path, low=fired, each="key") == {"alice": 0.0, "bob": 1.0, "new": None, "dave": 0.0}
    assert measured(tmp_path, low=fired, each="key", min_calls=1) == {"bob": 1.0, "new": 1.0}
