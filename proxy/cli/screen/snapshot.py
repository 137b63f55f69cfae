"""What the daemon answered at one moment, as values."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from proxy.cli.screen.columns import Span, in_unit
from proxy.cli.screen.forecast import Burn, burn_of
from proxy.cli.tables import in_units, unit_of
from proxy.web.operator.answers import BudgetAnswer, BudgetsAnswer, LiveAnswer, ProviderAnswer, ProvidersAnswer


class Snapshot(Struct, frozen=True):
    """`now` is the daemon's clock; `up_seconds` None where nobody knows. `unit` is the operator's own ("" none), and
    `in_units` what calls under way cost in it by their ids, and budgets' caps by their names."""

    now: datetime
    live: LiveAnswer
    providers: list[ProviderAnswer]
    budgets: list[BudgetAnswer]
    burn: Burn
    today_usd: Decimal
    up_seconds: float | None
    unit: str = ""
    in_units: dict[str, str] = {}

    def beside(self, name: str) -> dict[str, Span]:
        """The cell of a call or a budget in that unit, by heading."""
        return {in_unit(self.unit): (in_units(self.in_units[name]), "")} if self.unit else {}


class _Row(Struct):
    cost_usd: str
    key: str | None = None


class _Usage(Struct):
    since: str
    rows: list[_Row]
    total: _Row


def snapshot(answers: dict[str, Any], running_since: float | None) -> Snapshot:
    """From answers by name: live, providers, budgets, usage (since an hour ago, by key), today.

    Raises msgspec.ValidationError.
    """
    live = msgspec.convert(answers["live"], LiveAnswer)
    usage, today = msgspec.convert(answers["usage"], _Usage), msgspec.convert(answers["today"], _Usage)
    unit = unit_of([answers["usage"]["total"]], "cost")
    now = datetime.fromisoformat(live.at)
    # usage counts whole quarter-hours: from the one in which the hour began
    counted = int((now - datetime.fromisoformat(usage.since)).total_seconds())
    return Snapshot(
        now=now,
        live=live,
        providers=msgspec.convert(answers["providers"], ProvidersAnswer).providers,
        budgets=msgspec.convert(answers["budgets"], BudgetsAnswer).budgets,
        burn=burn_of(counted, usage.total.cost_usd, {row.key or "": row.cost_usd for row in usage.rows}),
        today_usd=Decimal(today.total.cost_usd),
        up_seconds=None if running_since is None else max(0.0, now.timestamp() - running_since),
        unit=unit,
        in_units=_in_units(answers, unit) if unit else {},
    )


def _in_units(answers: dict[str, Any], unit: str) -> dict[str, str]:
    costs = {row["request_id"]: row[f"cost_{unit}"] for row in answers["live"]["calls"]}
    return costs | {row["budget"]: row[f"cap_{unit}"] for row in answers["budgets"]["budgets"]}
