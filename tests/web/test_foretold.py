"""Forecasts and anomalies as they are asked of a ledger with weeks in it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.ledger import apply

from proxy.policy.analysis.bills import Reading, begin
from proxy.policy.money.account import Standing
from proxy.policy.money.budgets import Budget
from proxy.stores.database import connect
from proxy.stores.journal.records import Record, Row, Settled
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.bills import keep_days
from proxy.stores.questions.queries import Files
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.spending.anomalies import anomalies
from proxy.web.operator.spending.forecasts import forecasts

USD, HOUR = 10**12, 3600
NOW = 1_700_049_600 + 1800  # half past noon, UTC
WEEKS = 3
_NUMBERS = count()


def settled(at: float, **changes: Any) -> Settled:
    values: dict[str, Any] = {
        "key": "alice", "endpoint": "chat/completions", "asked": "m", "model": "m", "provider": "openrouter", "status": 200,
        "outcome": "ok", "input_tokens": 4000, "output_tokens": 100, "cached_input_tokens": 3000, "cost_pusd": USD // 100,
        "source": "reported", "first_token_ms": 300, "total_ms": 900, "stream": True,
    }  # fmt: skip
    number = next(_NUMBERS)
    return Settled(Row(f"req_{number}.1", f"req_{number}", 1, int(at * 1000), **{**values, **changes}), ())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three weeks in which alice spends ten cents an hour; since an hour ten times as much, her prompt begins otherwise, and
    a session calls without end."""
    folder = tmp_path_factory.mktemp("weeks")
    open_ledger(folder / "ledger.db")
    records: list[Record] = []
    begun = NOW // HOUR * HOUR
    for hour in range(WEEKS * 168):
        at = begun - (hour + 2) * HOUR
        records += [settled(at + minute * 60) for minute in range(10)]
    records += [settled(begun - 1800 + number, cached_input_tokens=500) for number in range(140)]
    for minute in range(20):
        records += [
            settled(NOW - 1200 + minute * 60, session="ses-1", input_tokens=1000 * (minute + 1), cost_pusd=USD // 1000)
            for _ in range(4)
        ]  # fmt: skip
    reading = Reading(NOW * 1000, "k", USD, USD, 1, left_pusd=24 * USD // 10)
    with closing(connect(folder / "ledger.db")) as driver:
        driver.execute("BEGIN IMMEDIATE")
        with driver:
            apply(driver, [(Position(1, number), record) for number, record in enumerate(records)])
            keep_days(driver, [begin(("openrouter", ""), reading)], [], NOW * 1000)
    return SimpleNamespace(files=Files(folder), bounds=Bounds(), settings=SimpleNamespace(tenants={}))


def test_a_budget_is_foretold_from_its_own_weeks_and_credit_from_its_providers(desk: Any) -> None:
    budget = Budget("key:alice:month", "key:alice", "month", 100 * USD, UTC)
    begun = NOW - 15 * 24 * HOUR
    standing = Standing(budget, begun, 37 * USD, 0, 63 * USD, NOW + 15 * 24 * HOUR)
    found = forecasts(desk, [standing], NOW)
    (row,) = found.budgets
    assert (row.confidence, row.hours) == ("high", WEEKS * 168 + 1)  # the hour that goes on is not among them
    assert row.at_end_usd is not None
    low, middle, high = (float(row.at_end_usd.p10), float(row.at_end_usd.p50), float(row.at_end_usd.p90))
    assert 37 < low < 73 < middle < 100 and middle < high
    assert row.exhausted_at is None or middle > 95
    (credit,) = found.credits
    assert (credit.provider, credit.left_usd) == ("openrouter", "2.400000000000")
    assert credit.exhausted_in_seconds is not None and 10 * HOUR < credit.exhausted_in_seconds < 24 * HOUR


def test_what_is_unusual_is_told_with_its_reason_what_cost_most_first(desk: Any) -> None:
    found = anomalies(desk, NOW)
    told = {(row.kind, row.of, row.name): row for row in found.anomalies}
    assert set(told) == {("spending", "key", "alice"), ("cache_hits", "model", "m"), ("loop", "session", "ses-1")}
    assert found.anomalies[0].kind == "spending"
    assert "usually $0.10; 100 % of it went to m" in told["spending", "key", "alice"].why
    assert (
        "tokens a call, 3,000 before. Their beginning is the same up to about token"
        in told["cache_hits", "model", "m"].why
    )
    assert told["loop", "session", "ses-1"].cost_usd == "0.080000000000"
    others = SimpleNamespace(**{**vars(desk), "bounds": Bounds(("globex",))})
    assert anomalies(others, NOW).anomalies == [], "nothing of anybody else's"


def test_an_empty_ledger_has_neither(tmp_path: Path) -> None:
    nobody: Any = SimpleNamespace(files=Files(tmp_path), bounds=Bounds(), settings=SimpleNamespace(tenants={}))
    assert (forecasts(nobody, [], NOW).budgets, anomalies(nobody, NOW).anomalies) == ([], [])
