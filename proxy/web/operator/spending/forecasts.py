"""Where budgets will stand when their periods end, and when they run out: asked of the roll-ups' hours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.analysis.bills import BillDay
from proxy.policy.analysis.forecast import HISTORY_HOURS, Ahead, Confidence, forecast, foreseen
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import GLOBAL, Budget, key_of, tenant_of
from proxy.policy.tenants import children
from proxy.stores.questions.analytics import HOUR_MS, AnalyticsQuestion
from proxy.web.operator.admin_api import AdminApi, instant
from proxy.web.operator.answers import Answer

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

_TOTAL_HOURS = 90 * 24  # how far ahead is looked where nothing ends
_TOO_SHORT = ("minute", "hour")
_MOST = 200  # budgets, most of which ask for their hours
_PATTERN = frozenset("*?[")


class AtEnd(Struct, frozen=True):
    """What will have been spent: with one chance in ten, in two and in nine of ten at most so much."""

    p10: str
    p50: str
    p90: str


class BudgetForecast(Struct, frozen=True):
    """One budget. `at_end_usd` is null for one that never starts anew, `exhausted_at` where it lasts until `resets_at`, or
    for 90 days. `hours` of history are what it rests on."""

    budget: str
    scope: str
    per: str
    cap_usd: str
    spent_usd: str
    resets_at: str | None
    at_end_usd: AtEnd | None
    exhausted_at: str | None
    exhausted_in_seconds: int | None
    confidence: Confidence
    hours: int
    shadow: bool = False


class CreditForecast(Struct, frozen=True):
    """What the limit of a provider's key left when it was read (`read_at`), and when that runs out; null: not within 90
    days, or too little was seen yet to say so. `tenant` null: everybody's key."""

    provider: str
    tenant: str | None
    left_usd: str
    read_at: str
    exhausted_at: str | None
    exhausted_in_seconds: int | None
    confidence: Confidence
    hours: int


class ForecastAnswer(Struct, frozen=True):
    """Every budget whose periods last a day or longer, the one that runs out first at the top. `left_off` more were not
    looked at: those of which least is spent."""

    at: str
    budgets: list[BudgetForecast]
    credits: list[CreditForecast]
    left_off: int = 0


class ForecastOrders:
    """Takes no parameters."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {"forecast": self._forecast}

    async def _forecast(self, _: dict[str, Any]) -> Answer:
        await self._state.flushed()
        admin_api, now = self._state.admin_api(), time.time()
        return await asyncio.to_thread(forecasts, admin_api, admin_api.books.state(now), now)


def forecasts(admin_api: AdminApi, standings: Sequence[Standing], now: float) -> ForecastAnswer:
    """It asks files and may run in a thread; the books may not, so that where they stand is an argument."""
    found = [s for s in standings if s.budget.per not in _TOO_SHORT and admin_api.bounds.has_budget(s.budget)]
    found.sort(key=lambda s: s.spent_pusd * 10**6 // max(1, s.budget.cap_pusd), reverse=True)
    histories = _Histories(admin_api, now, [standing.budget for standing in found[:_MOST]])
    rows = [_row(standing, histories.of(standing.budget), now) for standing in found[:_MOST]]
    rows.sort(key=lambda row: (row.exhausted_in_seconds is None, row.exhausted_in_seconds or 0, row.budget))
    return ForecastAnswer(instant(int(now * 1000)), rows, credit_forecasts(admin_api, now), max(0, len(found) - _MOST))


def credit_forecasts(admin_api: AdminApi, now: float) -> list[CreditForecast]:
    """Of the keys whose provider names a limit."""
    rows = [
        credit_forecast(admin_api, bill, now)
        for bill in admin_api.files.newest_bills()
        if admin_api.bounds.has(bill.tenant)
    ]
    return [row for row in rows if row is not None]


def credit_forecast(admin_api: AdminApi, bill: BillDay, now: float) -> CreditForecast | None:
    """Of one of them; None where it has no limit. With little history the present rate is what was billed this day."""
    seen = bill.seen
    if seen.left_pusd is None:
        return None
    only = {"provider": bill.provider, **({"tenant": bill.tenant} if bill.tenant else {})}
    history = _hours(admin_api, only, now)
    billed, elapsed = bill.billed_pusd, (seen.at_ms - bill.since_ms) / HOUR_MS
    found = forecast(Ahead(billed, billed + max(0, seen.left_pusd), elapsed, _TOTAL_HOURS), history)
    hours = foreseen(found, elapsed)
    out = None if hours is None else int(hours * 3600)
    return CreditForecast(
        provider=bill.provider,
        tenant=bill.tenant or None,
        left_usd=usd_text(seen.left_pusd),
        read_at=instant(seen.at_ms),
        exhausted_at=None if out is None else instant(int((now + out) * 1000)),
        exhausted_in_seconds=out,
        confidence=found.confidence,
        hours=len(history),
    )


def _row(standing: Standing, history: list[int], now: float) -> BudgetForecast:
    budget, ends = standing.budget, standing.resets_at
    left = _TOTAL_HOURS if ends is None else max(0.0, (ends - now) / 3600)
    elapsed = len(history) if ends is None else max(0.0, (now - standing.period) / 3600)
    found = forecast(Ahead(standing.spent_pusd, budget.cap_pusd, elapsed, left), history)
    out = None if found.out_in_hours is None else int(found.out_in_hours * 3600)
    at_end = AtEnd(usd_text(found.p10_pusd), usd_text(found.p50_pusd), usd_text(found.p90_pusd))
    return BudgetForecast(
        budget=budget.id,
        scope=budget.scope,
        per=budget.per,
        cap_usd=usd_text(budget.cap_pusd),
        spent_usd=usd_text(standing.spent_pusd),
        resets_at=None if ends is None else instant(ends * 1000),
        at_end_usd=None if ends is None else at_end,
        exhausted_at=None if out is None else instant(int((now + out) * 1000)),
        exhausted_in_seconds=out,
        confidence=found.confidence,
        hours=len(history),
        shadow=budget.shadow,
    )


def _whose(admin_api: AdminApi, budget: Budget) -> list[dict[str, str]]:
    """Which roll-ups have what it binds; none where they cannot tell: by tag, or what judges spend."""
    narrowed: dict[str, str] = {}
    if (only := budget.only) is not None:
        if only.tag is not None:
            return []
        wanted = {"model": only.model, "provider": only.provider, "key": only.key, "tenant": only.tenant}
        narrowed = {of: pattern for of, pattern in wanted.items() if pattern is not None}
    if budget.scope == GLOBAL:
        return [narrowed]
    if (key := key_of(budget.scope)) is not None:
        return [{**narrowed, "key": key}]
    if (tenant := tenant_of(budget.scope)) is not None:
        return [{**narrowed, "tenant": one} for one in (tenant, *children(admin_api.settings.tenants, tenant))]
    return []


class _Histories:
    """What every hour cost, of what each of some budgets binds; those of single keys are read together."""

    def __init__(self, admin_api: AdminApi, now: float, budgets: Sequence[Budget]) -> None:
        self._admin_api, self._now = admin_api, now
        self._known: dict[tuple[tuple[str, str], ...], list[int]] = {}
        keys = {only["key"] for budget in budgets for only in _whose(admin_api, budget) if only.keys() == {"key"}}
        plain = tuple(key for key in keys if not _PATTERN & set(key))
        if plain:
            by_key: dict[str, dict[int, int]] = {key: {} for key in plain}
            question = replace(_asked({}, now), by=("key",), keys=plain)
            for (at_ms, (key,)), pusd in admin_api.files.costs(question).items():
                by_key[key][at_ms] = pusd
            self._known = {(("key", key),): _in_a_row(costs, now) for key, costs in by_key.items()}

    def of(self, budget: Budget) -> list[int]:
        """Of one of them, from the first hour that anything is known of to the last that is over."""
        history: list[int] = []
        for only in _whose(self._admin_api, budget):
            asked = tuple(sorted(only.items()))
            if asked not in self._known:
                self._known[asked] = _hours(self._admin_api, only, self._now)
            history = _added(history, self._known[asked])
        return history


def _hours(admin_api: AdminApi, only: dict[str, str], now: float) -> list[int]:
    costs = admin_api.files.costs(_asked(only, now))
    return _in_a_row({at_ms: pusd for (at_ms, _), pusd in costs.items()}, now)


def _asked(only: dict[str, str], now: float) -> AnalyticsQuestion:
    end_ms = _this_hour(now)
    return AnalyticsQuestion((), UTC, "hour", end_ms - HISTORY_HOURS * HOUR_MS, end_ms, only)


def _this_hour(now: float) -> int:
    return int(now * 1000) // HOUR_MS * HOUR_MS


def _in_a_row(costs: dict[int, int], now: float) -> list[int]:
    """By the hour (UTC epoch milliseconds), as a list that ends with the last one that is over."""
    end_ms = _this_hour(now)
    hours = [costs.get(at_ms, 0) for at_ms in range(end_ms - HISTORY_HOURS * HOUR_MS, end_ms, HOUR_MS)]
    first = next((number for number, amount in enumerate(hours) if amount), len(hours))
    return hours[first:]


def _added(hours: list[int], others: list[int]) -> list[int]:
    """Two histories as one; both end now."""
    longer, shorter = (hours, others) if len(hours) >= len(others) else (others, hours)
    begin = len(longer) - len(shorter)
    return [*longer[:begin], *(a + b for a, b in zip(longer[begin:], shorter, strict=True))]
