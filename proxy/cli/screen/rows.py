"""Calls under way and budgets as rows of `top`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from proxy.cli.screen.columns import ROOMY, Column, Layout, Span
from proxy.cli.screen.forecast import bar, forecast, resets_in, used
from proxy.cli.screen.numbers import clock, count, growing, rate
from proxy.policy.money.amounts import dollars
from proxy.web.operator.answers import BudgetAnswer, LiveCall

_SPENT = "Spent"
_NEARLY = Decimal("0.9")
_MUCH = Decimal("0.75")

CALLS = (
    Column("", 1),
    Column("Age", 7, is_number=True),
    Column("Key", 8, most=16),
    Column("Model", 11, most=44),
    Column("Provider", 10, most=16, shown_from=68),
    Column("Phase", 9, shown_from=50),
    Column("Tokens", 6, is_number=True, shown_from=57),
    Column("Tok/s", 6, is_number=True, shown_from=75),
    Column("Cost", 9, is_number=True),
    Column("Request", 28, shown_from=140),
)
BUDGETS_UNIT_FROM = 106
BUDGETS = (
    Column("Budget", 18, most=34),
    Column(_SPENT, 10, most=24),
    Column("", 4, is_number=True),
    Column("of", 10, is_number=True, shown_from=ROOMY),
    Column("$/hour", 9, is_number=True, shown_from=44),
    Column("At this rate", 19, shown_from=64),
    Column("Resets in", 10, shown_from=75),
)


def call_cells(call: LiveCall, *, is_selected: bool = False) -> dict[str, Span]:
    """A call under way, by heading."""
    pace = call.tokens_per_second
    return {
        "": ("›" if is_selected else "", ""),
        "Age": (clock(call.age_seconds), ""),
        "Key": (call.key or "-", ""),
        "Model": (call.model or call.endpoint, "bold"),
        "Provider": (call.provider or "-", ""),
        "Phase": ("left" if call.client_left else call.phase, "green" if call.phase == "streaming" else "dim"),
        "Tokens": (count(call.output_tokens), ""),
        "Tok/s": ("-" if pace is None else f"{pace:.1f}" if pace < 1000 else count(int(pace)), ""),
        "Cost": (growing(Decimal(call.cost_usd)), ""),
        "Request": (call.request_id, "dim"),
    }


def budget_cells(budget: BudgetAnswer, per_hour: Decimal, now: datetime, layout: Layout) -> dict[str, Span]:
    """A budget, by heading; its bar is as long as its column. One in shadow refuses nothing and is never urgent."""
    part = used(budget)
    tone = "red" if part >= _NEARLY else "yellow" if part >= _MUCH else "green"
    fate = forecast(budget, per_hour, now)
    if budget.shadow:
        fate, tone = f"shadow: {fate.removeprefix('spent in ')}", "dim"
    cells = next(width for column, width in layout.columns if column.heading == _SPENT)
    return {
        "Budget": (budget.budget, ""),
        _SPENT: (bar(budget, cells), tone),
        "": (f"{int(part * 100)}%", ""),
        "of": (dollars(budget.cap_usd), ""),
        "$/hour": (rate(per_hour), ""),
        "At this rate": (
            fate,
            "dim" if fate == "lasts" or budget.shadow else "bold red" if fate == "spent" else "yellow",
        ),
        "Resets in": (resets_in(budget, now), "dim"),
    }


def fullest(budgets: Sequence[BudgetAnswer], most: int) -> list[BudgetAnswer]:
    """As many as there is room for, those that are used most, in the order they came."""
    chosen = {budget.budget for budget in sorted(budgets, key=used, reverse=True)[:most]}
    return [budget for budget in budgets if budget.budget in chosen]
