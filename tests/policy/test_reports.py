"""Reports of accounts: as the mock tells them, as the documents of providers show them, and what is none."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from proxy.mock.reports import activity_body, anthropic_costs_body, openai_costs_body
from proxy.policy.analysis.bills import correction
from proxy.policy.analysis.reports import NotAReport, account_day, days_over, paths, read_costs

CENT = 10**10
DAYS = ["2026-11-24", "2026-11-25"]
NOON = 1_795_780_800_000  # 2026-11-27 12:00 UTC
OPENAI = {
    "start_time": 1_795_478_400,  # 2026-11-24
    "results": [
        {"amount": {"value": "0.0610", "currency": "usd"}, "line_item": "gpt-4o-2024-08-06, output"},
        {"amount": {"value": Decimal("0.01"), "currency": "usd"}, "line_item": None},
    ],
}
CLAUDE = {
    "starting_at": "2026-11-24T00:00:00Z",
    "results": [{"currency": "USD", "amount": "123.45", "model": "claude-sonnet-4-5-20250929"}],
}
ACTIVITY = {
    "date": "2026-11-24",
    "model": "openai/gpt-4o",
    "usage": Decimal("0.02"),
    "byok_usage_inference": Decimal("0.5"),
}


def read(kind: Any, *bodies: Any) -> Any:
    return read_costs(kind, bodies)


def test_what_each_provider_reports_is_read_in_its_own_unit() -> None:
    assert read("openai", {"data": [OPENAI]}) == {
        "2026-11-24": {"gpt-4o-2024-08-06, output": 61 * CENT // 10, "": CENT}
    }
    assert read("anthropic", {"data": [CLAUDE]}) == {"2026-11-24": {"claude-sonnet-4-5-20250929": 12345 * CENT // 100}}
    assert read("openrouter", {"data": [ACTIVITY, ACTIVITY]}, {"data": []}) == {
        "2026-11-24": {"openai/gpt-4o": 104 * CENT}
    }


def test_the_mock_reports_as_they_do() -> None:
    turn = SimpleNamespace(created=OPENAI["start_time"], asked=SimpleNamespace(model="m", input_tokens=3))
    rows: Any = [SimpleNamespace(turn=turn, cost=Decimal("0.015"), output_tokens_emitted=2)] * 2
    bodies = {
        "openai": openai_costs_body(rows),
        "anthropic": anthropic_costs_body(rows),
        "openrouter": activity_body(rows, None, "2026-11-27"),
    }
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    for kind, body in bodies.items():
        assert read(kind, decode(msgspec.json.encode(body))) == {"2026-11-24": {"m": 3 * CENT}}, kind
    assert activity_body(rows, None, "2026-11-24") == {"data": []}  # it is not over


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("openai", {"data": None}),
        ("openai", {"error": {"message": "no"}}),
        ("openai", {"data": [OPENAI], "has_more": True}),
        ("openai", {"data": [{**OPENAI, "results": [{"amount": {"value": 1, "currency": "eur"}}]}]}),
        ("anthropic", {"data": [{**CLAUDE, "results": [{"currency": "USD", "amount": "much"}]}]}),
        ("anthropic", {"data": [{**CLAUDE, "results": [{"currency": "USD", "amount": "NaN"}]}]}),
        ("openrouter", {"data": [{**ACTIVITY, "usage": None}]}),
        ("openrouter", {"data": [{**ACTIVITY, "usage": 10**12}]}),
    ],
)
def test_what_is_no_report_is_refused(kind: Any, body: Any) -> None:
    with pytest.raises(NotAReport):
        read(kind, body)


def test_only_days_that_are_over_are_asked_for_and_nothing_of_whoever_reports_no_costs() -> None:
    assert days_over(NOON) == ["2026-11-24", "2026-11-25", "2026-11-26"]
    assert paths("openrouter", DAYS) == ["/activity?date=2026-11-24", "/activity?date=2026-11-25"]
    (openai,) = paths("openai", DAYS)
    assert openai.startswith("/organization/costs?start_time=1795478400&end_time=1795651200&bucket_width=1d&")
    (claude,) = paths("anthropic", DAYS)
    assert "starting_at=2026-11-24T00:00:00Z&ending_at=2026-11-26T00:00:00Z" in claude
    assert paths("mock", DAYS) == []


@pytest.mark.parametrize(
    ("day", "costs", "state", "causes", "delta_cents"),
    [
        ("2026-11-26", {"gpt-4o": 100}, "provisional", [], None),
        ("2026-11-25", {"gpt-4o": 100}, "matched", [], None),
        ("2026-11-25", {"gpt-4o": 90, "": 10}, "matched", [], None),
        ("2026-11-25", {"gpt-4o": 100, "o3": 60}, "explained", ["foreign use"], None),
        ("2026-11-25", {"gpt-4o": 120}, "explained", ["unknown"], 20),
        ("2026-11-25", {}, "explained", ["unknown"], -100),
    ],
)
def test_the_day_of_an_account(
    day: str, costs: dict[str, int], state: str, causes: list[str], delta_cents: int | None
) -> None:
    billed = {what: cents * CENT for what, cents in costs.items()}
    made = account_day("openai", day, billed, {"openai/gpt-4o": (100 * CENT, 7)}, NOON)
    assert (made.provider, made.state, list(made.causes)) == ("openai/account", state, causes)
    assert made.over == (2 if state == "explained" else 0)
    found = correction(made)
    assert (None if found is None else found.delta_pusd) == (None if delta_cents is None else delta_cents * CENT)
