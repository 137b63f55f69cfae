"""What budgets come to: what was spent an hour, and whether that lasts until they start anew. Dollars are Decimal."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from proxy.cli.screen.numbers import span
from proxy.policy.money.budgets import GLOBAL, key_scope
from proxy.web.operator.answers import BudgetAnswer

_HOUR = 3600
_FAR = 365 * 24 * _HOUR  # nobody plans beyond


class Burn(Struct, frozen=True):
    """What was spent in the latest `seconds`, altogether and by scope."""

    seconds: int
    total: Decimal
    by_scope: dict[str, Decimal]

    def per_hour(self, scope: str) -> Decimal:
        """USD an hour of one scope; "global" is everything."""
        usd = self.total if scope == GLOBAL else self.by_scope.get(scope, Decimal(0))
        return usd * _HOUR / self.seconds if self.seconds > 0 else Decimal(0)


def burn_of(seconds: int, total: str, by_key: dict[str, str]) -> Burn:
    """From amounts as answers have them."""
    return Burn(seconds, Decimal(total), {key_scope(key): Decimal(usd) for key, usd in by_key.items()})


def forecast(budget: BudgetAnswer, per_hour: Decimal, now: datetime) -> str:
    """ "spent", "spent in 3 h 20 min" at this rate, or "lasts"; what is held for calls under way counts as spent."""
    left = Decimal(budget.left_usd)
    if left <= 0:
        return "spent"
    if per_hour <= 0:
        return "lasts"
    seconds = left * _HOUR / per_hour
    until = seconds_to_reset(budget, now)
    return "lasts" if seconds >= (_FAR if until is None else min(until, _FAR)) else f"spent in {span(int(seconds))}"


def resets_in(budget: BudgetAnswer, now: datetime) -> str:
    """How long until its next period."""
    until = seconds_to_reset(budget, now)
    return "never" if until is None else span(until)


def seconds_to_reset(budget: BudgetAnswer, now: datetime) -> int | None:
    """None for a budget that never starts anew."""
    if budget.resets_at is None:
        return None
    return max(0, int((datetime.fromisoformat(budget.resets_at) - now).total_seconds()))


def used(budget: BudgetAnswer) -> Decimal:
    """The part of its cap that is spent or held; above 1 where more was billed than held, 1 of a cap of nothing."""
    return max(Decimal(0), 1 - _of_cap(budget.left_usd, budget))


def bar(budget: BudgetAnswer, cells: int) -> str:
    """█ is spent, ▒ held for calls under way, ░ left."""
    spent = max(Decimal(0), _of_cap(budget.spent_usd, budget))
    full = min(cells, int(spent * cells))
    held = min(cells, int(used(budget) * cells)) - full
    return "█" * full + "▒" * max(0, held) + "░" * (cells - full - max(0, held))


def _of_cap(usd: str, budget: BudgetAnswer) -> Decimal:
    cap = Decimal(budget.cap_usd)
    return Decimal(usd) / cap if cap else Decimal(0)
