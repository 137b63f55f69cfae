"""When a budget's period begins and ends, on the clock of its time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from math import floor

from proxy.policy.money.budgets import Budget

# Clocks are put forward and back by multiples of this, so that no hour begins between two steps.
_HALF_HOUR_SECONDS = 1800
LAST_START = 253_370_764_800  # in the year 9999: every zone has a month after it


def period_start(budget: Budget, now: float) -> int:
    """The UTC epoch second in which the period of `now` began; 0 for "total".

    A midnight that a change of clocks leaves out begins when the clocks change, one that comes
    twice begins the first time.
    """
    if budget.per == "total":
        return 0
    local = datetime.fromtimestamp(floor(now), budget.zone)
    if budget.per == "minute":
        return _epoch(local.replace(second=0))
    if budget.per == "hour":
        return _epoch(local.replace(minute=0, second=0))
    return _epoch(_first_day(budget, local))


def is_period(budget: Budget, period: int) -> bool:
    """Whether this can be one of the budget's periods, whoever remembered it."""
    return period == 0 if budget.per == "total" else 0 <= period <= LAST_START


def period_end(budget: Budget, start: int) -> int | None:
    """The UTC epoch second in which the next period begins; None for "total"."""
    if budget.per == "total":
        return None
    if budget.per == "minute":
        return start + 60
    if budget.per == "hour":
        return _hour_end(budget, start)
    local = datetime.fromtimestamp(start, budget.zone)
    days = {"day": 1, "week": 7, "month": 31}[budget.per]
    return _epoch(_first_day(budget, _midnight(local) + timedelta(days)))


def _first_day(budget: Budget, local: datetime) -> datetime:
    """The midnight in which the day, week or month of a local time begins."""
    midnight = _midnight(local)
    if budget.per == "week":
        return midnight - timedelta(midnight.weekday())
    return midnight.replace(day=1) if budget.per == "month" else midnight


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, fold=0)


def _hour_end(budget: Budget, start: int) -> int:
    """Where a clock is put back or forward by half an hour, an hour on it lasts 90 minutes or 30."""
    later = start
    while (following := period_start(budget, later)) <= start:
        later += _HALF_HOUR_SECONDS
    return following


def _epoch(local: datetime) -> int:
    return _same(int(local.timestamp()))


_same = lru_cache(1024)(int)  # one number for all budgets of a period, however many keys have one
