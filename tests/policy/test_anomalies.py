"""What is unusual, and what explains it: each kind once, and what is too little to be told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.policy.analysis.anomalies import Anomaly, Figures, of_key, of_model, of_session

USD = 10**12
USUAL = Figures(
    hours=168, calls=10_000, attempts=10_000, errors=50, input_tokens=20_000_000, output_tokens=1_000_000,
    cached_input_tokens=12_000_000, cost_pusd=100 * USD, first_token_ms=700,
)  # fmt: skip
NOW = Figures(
    hours=1.5, calls=100, attempts=100, errors=1, input_tokens=200_000, output_tokens=10_000, cached_input_tokens=120_000,
    cost_pusd=USD, first_token_ms=720,
)  # fmt: skip


def only(found: Sequence[Anomaly]) -> Anomaly | None:
    assert len(found) <= 1, found
    return found[0] if found else None


@pytest.mark.parametrize(
    ("changes", "kind", "why"),
    [
        ({}, None, ""),
        ({"cost_pusd": 3 * USD}, "cost_per_call", "the price is another one"),
        ({"cost_pusd": 3 * USD, "input_tokens": 800_000, "cached_input_tokens": 480_000}, "cost_per_call", "calls read 4.0 times as many tokens"),
        ({"cost_pusd": 3 * USD, "output_tokens": 50_000}, "cost_per_call", "calls write 5.0 times as many tokens"),
        ({"calls": 9, "cost_pusd": USD}, None, ""),
        ({"errors": 20}, "errors", "20 of 100 attempts failed, usually 0.5%"),
        ({"errors": 9}, None, ""),
        ({"cached_input_tokens": 15_000}, "cache_hits", "150 tokens a call, 1,200 before. Their beginning is the same up to about token 150,"),
        ({"cached_input_tokens": 0}, "cache_hits", "another one from its first tokens on"),
        ({"cached_input_tokens": 80_000}, None, ""),
        ({"first_token_ms": 2_400}, "first_token", "95 of 100 first tokens come within 2,400 ms, usually 700 ms; calls read about"),
        ({"first_token_ms": 1_100}, None, ""),
        ({"first_token_ms": None}, None, ""),
        ({"cost_pusd": 0}, "silent_zero", "100 calls with 10,000 tokens written cost nothing, usually $0.01 a call"),
        ({"cost_pusd": 0, "output_tokens": 0}, None, ""),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_model_explains_itself(changes: dict[str, Any], kind: str | None, why: str) -> None:
    found = only(of_model("openai/gpt-4o", replace(NOW, **changes), USUAL))
    assert (None if found is None else found.kind) == kind
    if found is not None:
        assert why in found.why and found.name == "openai/gpt-4o"
        assert found.cost_pusd == (2 * USD if found.kind == "cost_per_call" else 0)


def test_a_model_nobody_has_used_before_has_nothing_usual() -> None:
    assert of_model("new", NOW, Figures(hours=168)) == []


QUIET = [USD // 2, USD // 4, 0] * 100
PARTS = [("openai/gpt-4o-mini", USD), ("openai/gpt-4o", 8 * USD)]


@pytest.mark.parametrize(
    ("changes", "hours", "kind"),
    [
        ({"cost_pusd": 9 * USD}, QUIET, "spending"),
        ({"cost_pusd": USD // 2}, QUIET, None),
        ({"cost_pusd": 9 * USD}, QUIET[:20], None),
        ({"cost_pusd": 9 * USD}, [6 * USD, 3 * USD, USD] * 100, None),
        ({"cost_pusd": USD // 20}, [0] * 100, None),
        ({"refused": 150, "cost_pusd": 0}, QUIET, "refusals"),
        ({"refused": 9, "calls": 0, "cost_pusd": 0}, QUIET, None),
        ({"refused": 50, "cost_pusd": 0}, QUIET, None),
    ],
)
def test_what_is_odd_about_a_key(changes: dict[str, Any], hours: list[int], kind: str | None) -> None:
    found = only(of_key("alice", replace(NOW, **changes), hours, PARTS))
    assert (None if found is None else found.kind) == kind
    if kind == "spending":
        assert found is not None and found.cost_pusd == 9 * USD - USD // 4 * 3 // 2
        assert "$6.00 an hour, usually $0.25; 88 % of it went to openai/gpt-4o" in found.why


@pytest.mark.parametrize(
    ("calls", "inputs", "found"),
    [
        ([5] * 20, [1_000 * (minute + 1) for minute in range(20)], True),
        ([5] * 14, [1_000 * (minute + 1) for minute in range(14)], False),
        ([5] * 10 + [0] + [5] * 9, [1_000 * (minute + 1) for minute in range(20)], False),
        ([2] * 20, [1_000 * (minute + 1) for minute in range(20)], False),
        ([5] * 20, [1_000] * 20, False),
        ([], [], False),
    ],
)
def test_a_session_that_goes_on_without_a_pause_with_more_to_read_each_time_is_a_loop(
    calls: list[int], inputs: list[int], found: bool
) -> None:
    loop = only(of_session("ses-1", calls, inputs, USD))
    assert (loop is not None) is found
    if loop is not None:
        assert (loop.kind, loop.cost_pusd) == ("loop", USD)
        assert "100 calls in 20 minutes without a pause" in loop.why and "4,000 now" in loop.why
