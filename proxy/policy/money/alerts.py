"""Which thresholds of a budget have been passed, and which of them nobody was told of. Amounts are pusd."""

from __future__ import annotations

from proxy.policy.money.budgets import Budget

_WHOLE = 10_000  # hundredths of a percent


def percent_text(hundredths: int) -> str:
    """`80%`, `62.5%`."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02}".rstrip("0") + "%" if rest else f"{whole}%"


def threshold_pusd(budget: Budget, hundredths: int) -> int:
    """From which amount on this part of the budget is spent."""
    return -(-budget.cap_pusd * hundredths // _WHOLE)


def newly_passed(budget: Budget, spent_pusd: int, told_pusd: int) -> tuple[int, ...]:
    """The budget's thresholds that are reached and lie above `told_pusd`, the highest one told of in this period.

    What is told is an amount, so that nothing is told twice when spending is corrected downwards and comes again; under
    another cap the thresholds are other amounts. A budget of nothing has none.
    """
    return tuple(part for part in budget.alerts if told_pusd < threshold_pusd(budget, part) <= spent_pusd)
