"""The arithmetic of the bill."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.mock.answer import Turn, compose
from proxy.mock.asked import Profile, read_asked
from proxy.mock.behaviours import parse_behaviour
from proxy.mock.bill import Bill, Row
from proxy.mock.catalogue import price_of


def row(
    model: str = "mock/echo?tokens=10", *, streamed: bool = True, name: str = "gen-1", profile: Profile = "openrouter"
) -> Row:
    fields = {"model": model, "messages": [{"role": "user", "content": "12345678"}]}
    asked = read_asked(profile, "chat/completions", fields)
    behaviour = parse_behaviour(model)
    answer = compose(asked, behaviour, price_of(model))
    return Row(name, Turn(asked, behaviour, answer, model, "x" * 20, 1_784_050_000), streamed, 1)


FULL = Decimal("0.000022")  # 2 × 0.000001 + 10 × 0.000002


def test_a_finished_stream_costs_all_it_said() -> None:
    one = row()
    one.complete()
    one.leave()
    assert (one.cost, one.completed, one.cancelled, one.output_tokens_emitted) == (FULL, True, False, 10)


def test_a_stream_its_client_left_costs_what_it_emitted() -> None:
    one = row()
    one.output_tokens_emitted = 3
    one.leave()
    assert (one.cost, one.completed, one.cancelled) == (Decimal("0.000008"), False, True)


def test_a_provider_that_bills_on_is_paid_in_full() -> None:
    one = row("mock/echo?tokens=10&bills_after_disconnect=1")
    one.output_tokens_emitted = 3
    one.leave()
    assert one.cost == FULL


def test_a_call_that_is_not_streamed_costs_all_of_it_whoever_leaves() -> None:
    one = row(streamed=False)
    one.leave()
    assert (one.cost, one.cancelled) == (FULL, True)


@pytest.mark.parametrize(("profile", "cost"), [("openrouter", 0), ("openai", 2), ("anthropic", 2)])
def test_a_stream_that_said_nothing_is_free_at_openrouter_and_costs_its_prompt_elsewhere(
    profile: Profile, cost: int
) -> None:
    one = row(profile=profile)
    one.leave()
    assert one.cost == Decimal(cost) / 1_000_000


def test_a_fixed_price_shrinks_with_what_was_emitted() -> None:
    one = row("mock/echo?tokens=10&cost=0.03")
    one.output_tokens_emitted = 3
    assert one.cost == Decimal("0.009")
    one.complete()
    assert one.cost == Decimal("0.03")


def test_a_refused_call_and_a_broken_stream_are_free() -> None:
    refused, broken = row(), row()
    refused.refuse(429)
    broken.output_tokens_emitted = 3
    broken.forgive()
    assert (refused.cost, refused.status, broken.cost, broken.finish_reason) == (0, 429, 0, "error")


def test_the_total_is_the_sum_of_the_rows_as_text() -> None:
    bill = Bill()
    for at in range(3):
        one = row(name=f"gen-{at}")
        one.complete()
        bill.add(one)
    seen = bill.as_json()
    assert (seen["count"], seen["total"], seen["rows"][0]["cost"]) == (3, "0.000066", "0.000022")
    assert sum(Decimal(item["cost"]) for item in seen["rows"]) == bill.total
    bill.clear()
    assert bill.as_json() == {"rows": [], "count": 0, "total": "0"}


def test_the_oldest_rows_are_folded_into_the_total() -> None:
    bill, unsaid = Bill(), row()
    first = row(name="gen-first")
    first.complete()
    bill.add(first)
    for at in range(100_000):
        bill.add(Row(f"gen-{at}", unsaid.turn, True, 0))
    assert bill.find("gen-first") is None
    assert len(bill.rows) == 100_000
    assert (bill.as_json()["count"], bill.total) == (100_001, FULL)
