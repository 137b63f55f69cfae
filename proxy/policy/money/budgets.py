"""Budgets and limits as values: who they bind, how much, and in which periods.

A budget names its `scope`: "global", or "key:NAME". Tenant, model, provider and session scopes
would be further rows of the same table. One in `shadow` counts as the others do and refuses nothing.
"""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from typing import Literal

from msgspec import Struct

Per = Literal["minute", "hour", "day", "week", "month", "total"]
LimitOf = Literal["requests", "tokens", "concurrent"]

GLOBAL = "global"


def key_scope(name: str) -> str:
    """The scope of everything one key does."""
    return f"key:{name}"


def key_of(scope: str) -> str | None:
    """The key a scope is of; None where it is another one."""
    prefix, colon, name = scope.partition(":")
    return name if colon and prefix == "key" else None


class Budget(Struct, frozen=True):
    """At most `cap_pusd` per period. `id` is unique and stable across restarts ("key:alice:day").

    Periods begin in `zone`. One key may hold at most `share` of the cap at once. `alerts` are the parts whose passing
    is told, in hundredths of a percent, each once and rising.
    """

    id: str
    scope: str
    per: Per
    cap_pusd: int
    zone: tzinfo
    share: Decimal = Decimal(1)
    shadow: bool = False
    alerts: tuple[int, ...] = ()


class Limit(Struct, frozen=True):
    """At most `amount` requests or tokens per period, or `amount` calls at once (`per` None)."""

    id: str
    scope: str
    of: LimitOf
    amount: int
    per: Per | None = None
    shadow: bool = False


class BudgetRules(Struct, frozen=True):
    """`wait_seconds` in line for others' holds to settle; what happens to models without a price under a budget.

    `unknown_maximum` output tokens are held where nobody knows a model's largest output, and `tool_uses` runs of each
    of a provider's own tools where the request sets no limit.
    """

    unpriced: Literal["deny", "allow"] = "deny"
    wait_seconds: float = 15.0
    unknown_maximum: int = 32_768
    tool_uses: int = 5
