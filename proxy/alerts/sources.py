"""What alert rules may be about that is no analytics: how budgets and credits will stand, bills, and what is unusual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from proxy.policy.alerting.rules import AlertRule
from proxy.policy.analysis.bills import BillDay
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import PUSD_PER_USD, dollars, usd_text
from proxy.policy.money.budgets import key_of, tenant_of
from proxy.web.operator.admin_api import AdminApi
from proxy.web.operator.alerting import Found
from proxy.web.operator.spending.anomalies import AnomalyRow, anomalies
from proxy.web.operator.spending.forecasts import BudgetForecast, credit_forecasts, forecasts

_HOUR_SECONDS = 3600
_Told = tuple[str, float | None, str]  # what is watched, its value, and what explains it


def _budgets(rule: AlertRule, admin_api: AdminApi, standings: Sequence[Standing], now: float) -> Iterator[_Told]:
    for row in forecasts(admin_api, standings, now).budgets:
        if not _fits(rule, {"key": key_of(row.scope), "tenant": tenant_of(row.scope)}):
            continue
        value = _hours(row.exhausted_in_seconds) if rule.metric == "budget_hours" else _end_ratio(row)
        end = "" if row.at_end_usd is None else f"; {dollars(row.at_end_usd.p50)} expected by {row.resets_at}"
        yield row.budget, value, f"{dollars(row.spent_usd)} of {dollars(row.cap_usd)} are spent{end}"


def _credits(rule: AlertRule, admin_api: AdminApi, _: Sequence[Standing], now: float) -> Iterator[_Told]:
    for row in credit_forecasts(admin_api, now):
        if _fits(rule, {"provider": row.provider, "tenant": row.tenant}):
            why = f"{dollars(row.left_usd)} were left at {row.read_at}"
            yield _account(row.provider, row.tenant), _hours(row.exhausted_in_seconds), why


def _bills(rule: AlertRule, admin_api: AdminApi, _: Sequence[Standing], __: float) -> Iterator[_Told]:
    value: dict[str, Callable[[BillDay], float]] = {
        "drift_ratio": lambda day: abs(day.drift_ratio),
        "drift_usd": lambda day: abs(day.drift_pusd) / PUSD_PER_USD,
        "foreign_usd": lambda day: day.foreign_pusd / PUSD_PER_USD,
    }
    for day in admin_api.files.newest_bills():
        if _fits(rule, {"provider": day.provider, "tenant": day.tenant}):
            sums = [dollars(usd_text(pusd)) for pusd in (day.billed_pusd, day.booked_pusd)]
            why = ", ".join([f"{day.day}: {sums[0]} billed, {sums[1]} booked", *day.known_causes])
            yield _account(day.provider, day.tenant), value[rule.metric](day), why


def _anomalies(rule: AlertRule, admin_api: AdminApi, _: Sequence[Standing], now: float) -> Iterator[_Told]:
    wanted = rule.metric.removeprefix("anomaly_")
    for row in anomalies(admin_api, now).anomalies:
        if wanted in ("anomalies", "usd", row.kind) and _fits(rule, {row.of: row.name}):
            yield _subject(row), float(row.cost_usd) if wanted == "usd" else 1.0, row.why


def _hours(seconds: int | None) -> float | None:
    return None if seconds is None else seconds / _HOUR_SECONDS


def _end_ratio(row: BudgetForecast) -> float | None:
    cap = float(row.cap_usd)
    return None if row.at_end_usd is None or not cap else float(row.at_end_usd.p50) / cap


def _account(provider: str, tenant: str | None) -> str:
    return f"{provider} of {tenant}" if tenant else provider


def _subject(row: AnomalyRow) -> str:
    return f"{row.kind} of {row.of} {row.name}"


def _fits(rule: AlertRule, names: Mapping[str, str | None]) -> bool:
    """Whether it is among those that the rule is only about."""
    return all(fnmatchcase(names.get(of) or "", pattern) for of, pattern in rule.only.items())


def _found(source: Callable[[AlertRule, AdminApi, Sequence[Standing], float], Iterator[_Told]]) -> Measuring:
    def measured(rule: AlertRule, admin_api: AdminApi, standings: Sequence[Standing], now: float) -> Found:
        told = list(source(rule, admin_api, standings, now))
        return Found({name: value for name, value, _ in told}, {name: why for name, _, why in told})

    return measured


Measuring = Callable[[AlertRule, AdminApi, Sequence[Standing], float], Found]
SOURCES: dict[str, Measuring] = {
    "budgets": _found(_budgets),
    "credits": _found(_credits),
    "bills": _found(_bills),
    "anomalies": _found(_anomalies),
}
"""By the name a measure has for it. They ask files and may run in a thread; where budgets stand is an argument."""
