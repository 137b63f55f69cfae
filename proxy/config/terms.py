"""What bounds stored keys, read from the text that is kept of it.

What checks such a text is large (proxy/config/models_money.py). A daemon that starts has a copy of itself read the texts
there are, and `remember`s what that found.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from proxy.policy.money.budgets import Only

MOST_TEXTS = 1024  # of ten thousand keys most are bounded as others are


class BudgetTerm(Struct, frozen=True):
    """As `BudgetSection` has it."""

    usd: Decimal
    per: Literal["minute", "hour", "day", "week", "month", "total"]
    tz: str | None
    share: Decimal
    shadow: bool
    alerts: list[str] | None
    name: str | None
    only: Only | None
    each: Literal["session", "key", "tag"] | None


class LimitTerm(Struct, frozen=True):
    """As `LimitSection` has it."""

    requests: int | None
    tokens: int | None
    concurrent: int | None
    per: Literal["minute", "hour", "day", "week", "month"] | None
    shadow: bool
    name: str | None


class Terms(Struct):
    """By the texts that say them."""

    budgets: dict[str, list[BudgetTerm]] = {}
    limits: dict[str, list[LimitTerm]] = {}


_known = Terms()


def remember(found: Terms) -> None:
    """Take on what was read elsewhere."""
    _known.budgets.update(found.budgets)
    _known.limits.update(found.limits)


def terms_of(texts: Iterable[tuple[str, str]]) -> Terms:
    """What these pairs of limits and budgets say, as far as it makes sense, of so many as are remembered."""
    found = Terms()
    for limits, budgets in dict.fromkeys(texts):
        if max(len(found.limits), len(found.budgets)) >= MOST_TEXTS:
            break
        try:
            found.limits[limits], found.budgets[budgets] = limits_of(limits), budgets_of(budgets)
        except ValueError:
            continue
    return found


@lru_cache(maxsize=MOST_TEXTS)
def budgets_of(text: str) -> list[BudgetTerm]:
    """Budgets of a key, kept as JSON text. Raises ValueError where they make no sense."""
    found = _known.budgets.get(text)
    return list(map(_budget, _told(text))) if found is None else found


@lru_cache(maxsize=MOST_TEXTS)
def limits_of(text: str) -> list[LimitTerm]:
    """The same for limits."""
    found = _known.limits.get(text)
    return list(map(_limit, _told(text))) if found is None else found


def _budget(told: dict[str, Any]) -> BudgetTerm:
    from proxy.config.models_money import BudgetSection  # only where there are some

    its = BudgetSection.model_validate(told)
    only = None if its.only is None else Only(**its.only.model_dump())
    return BudgetTerm(its.usd, its.per, its.tz, its.share, its.shadow, its.alerts, its.name, only, its.each)


def _limit(told: dict[str, Any]) -> LimitTerm:
    from proxy.config.models_money import LimitSection

    its = LimitSection.model_validate(told)
    return LimitTerm(its.requests, its.tokens, its.concurrent, its.per, its.shadow, its.name)


def _told(text: str) -> list[dict[str, Any]]:
    return msgspec.json.decode(text, type=list[dict[str, Any]])
