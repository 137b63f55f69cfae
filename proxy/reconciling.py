"""Compares what providers say they billed with what the ledger has, every ten minutes, beside calls and never in their way.

Only questions that cost nothing are asked: OpenRouter's `/key`, `/generation` of a few calls (wire.md 1.11 and 1.13), and, with
an admin key, the reports of accounts.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from proxy.alerts.budgets import Alerts
from proxy.errors import ProviderError
from proxy.exchange.background.listings import own_headers
from proxy.exchange.background.lookup import Lookups
from proxy.exchange.upstream import Upstream
from proxy.policy.analysis import reports
from proxy.policy.analysis.bills import (
    CLOSED,
    IN_A_ROW,
    BillDay,
    Reading,
    begin,
    correction,
    follow,
    key_reading,
    midnight_after,
    sampled,
    with_credit,
)
from proxy.policy.money.amounts import to_pusd
from proxy.policy.values import Provider
from proxy.stores.failures import StoreError
from proxy.stores.questions.bills import days_since, keep_days, newest_days, sample_of
from proxy.stores.questions.usage import UsageQuestion
from proxy.telemetry import Telemetry
from proxy.web.client.api import Api
from proxy.web.operator.control_state import LiveState
from proxy.web.operator.orders import Orders
from proxy.web.operator.spending.forecasts import credit_forecast
from proxy.web.operator.spending.reconciliation import ReconciliationOrders, day_row

log = structlog.get_logger()

TYPE, CREDIT_TYPE = "bill.drift", "credit.runs_out"
LEAST_CREDIT_SECONDS = 48 * 3600
EVERY_SECONDS = 600.0
_REPORT_SECONDS = 3600.0
_json = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

ResultT = TypeVar("ResultT")
Account = tuple[str, str]  # a provider, and the tenant whose key it is; "" everybody's
Booked = dict[Account, tuple[int, int]]  # what it cost in all, and in how many calls


def begin_reconciling(
    orders: Orders, api: Api, asks: tuple[Upstream, Lookups], told: tuple[Alerts, Telemetry]
) -> Callable[[], Awaitable[None]]:
    """Look from now on, and at any time on order; what it returns ends that."""
    reconciler = Reconciler(orders.state, api, asks, told)
    orders.by_name |= ReconciliationOrders(orders.state, reconciler.look).by_name
    return reconciler.aclose


class Reconciler:
    """Owned by the daemon. `look` may be called at any time; one look at a time."""

    def __init__(
        self, state: LiveState, api: Api, asks: tuple[Upstream, Lookups], told: tuple[Alerts, Telemetry]
    ) -> None:
        self._state, self._api = state, api
        self._upstream, self._lookups = asks
        self._alerts, self._telemetry = told
        self._turn = asyncio.Lock()
        self._next_reports = 0.0
        self.problems: dict[Account, str] = {}
        self._task = asyncio.create_task(self._run(), name="reconcile")

    async def aclose(self) -> None:
        """Look no more."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if not self._state.admin_api().settings.features.is_on("reconciliation"):
                continue
            try:
                await self.look()
            except (StoreError, TimeoutError) as error:
                log.warning("reconciliation_waits", reason=str(error) or "the ledger does not answer")

    async def look(self) -> None:
        """Read every key's bill once, and keep what follows. Raises TimeoutError or a `StoreError`."""
        async with self._turn:
            known = await self._do(newest_days)
            told: dict[Account, tuple[str, int, int | None]] = {}
            asked = dict(self._accounts())
            for account, provider in asked.items():
                if (found := await self._key(account, provider)) is not None:
                    told[account] = found
            await self._state.flushed()
            booked = await self._booked() if told else {}
            days: list[BillDay] = []
            for account, (label, billed, left) in told.items():
                pusd, calls = booked.get(account, (0, 0))
                pending = self._telemetry.in_flight().get(account[0], 0) + self._lookups.waiting
                reading = Reading(int(time.time() * 1000), label, billed, pusd, calls, pending, left)
                days += await self._followed(known.get(account), reading, asked[account])
            await self._keep(days + await self._reports())

    async def _reports(self) -> list[BillDay]:
        """What accounts' own reports say of the latest days that are not closed; asked once an hour, with an admin key."""
        admins = [one for one in self._api.parts.exchange.accounts.providers.values() if one.admin_key is not None]
        now = time.monotonic()
        if not admins or now < self._next_reports:
            return []
        self._next_reports = now + _REPORT_SECONDS
        over = reports.days_over(int(time.time() * 1000))
        known, _ = await self._do(partial(days_since, day=over[0]))
        done = {(day.provider, day.day) for day in known if day.state in CLOSED}
        found: list[BillDay] = []
        for one in admins:
            if days := [day for day in over if (f"{one.name}{reports.ACCOUNT}", day) not in done]:
                found += await self._reported(replace(one, api_key=one.admin_key), days)
        return found

    async def _reported(self, admin: Provider, days: list[str]) -> list[BillDay]:
        bodies = []
        try:
            for path in reports.paths(admin.kind, days):
                bodies.append(_json.decode(await self._upstream.get_json(admin, path, own_headers(admin))))
            costs = reports.read_costs(admin.kind, bodies)
        except (ProviderError, msgspec.DecodeError, reports.NotAReport) as error:
            log.warning("reconciliation_waits", reason=f"the report of {admin.name}: {error}")
            return []
        now_ms = int(time.time() * 1000)
        return [
            reports.account_day(admin.name, day, costs.get(day, {}), await self._booked_on(admin.name, day), now_ms)
            for day in days
            if bodies
        ]

    async def _booked_on(self, provider: str, day: str) -> dict[str, tuple[int, int]]:
        """What the ledger has of a provider on a UTC day, by model."""
        end = midnight_after(day)
        question = UsageQuestion("model", UTC, end - 86_400_000, end, {"provider": provider})
        report = await asyncio.to_thread(self._state.files.usage, question)
        return {row["model"]: (to_pusd(Decimal(row["cost_usd"])), row["calls"]) for row in report.rows}

    def _accounts(self) -> Iterator[tuple[Account, Provider]]:
        """Every key that its provider tells the bill of."""
        accounts = self._api.parts.exchange.accounts
        for tenant in ("", *accounts.tenants):
            for provider in accounts.with_key_of(tenant).values():
                if Lookups.possible(provider) and not provider.shut and not provider.free:
                    yield (provider.name, tenant), provider

    async def _key(self, account: Account, provider: Provider) -> tuple[str, int, int | None] | None:
        """What the provider says of it; None, and a problem, where it does not."""
        problem = f"{provider.name} does not answer as OpenRouter does"
        found = None
        try:
            body = await self._upstream.get_json(provider, "/key", own_headers(provider))
            found = key_reading(_json.decode(body).get("data") or {})
            if found is not None and provider.admin_key is not None:
                found = with_credit(found, await self._credit(replace(provider, api_key=provider.admin_key)))
        except (ProviderError, msgspec.DecodeError, AttributeError) as error:
            problem = str(error)
        if found is not None:
            self.problems.pop(account, None)
        elif self.problems.get(account) != problem:
            self.problems[account] = problem
            log.warning("reconciliation_waits", reason=problem)
        return found

    async def _credit(self, admin: Provider) -> Mapping[str, Any]:
        """What the account has left, which only a management key is told (wire.md 1.13)."""
        body = await self._upstream.get_json(admin, "/credits", own_headers(admin))
        return _json.decode(body).get("data") or {}

    async def _booked(self) -> Booked:
        """What the ledger has for every key, since ever."""
        accounts = self._api.parts.exchange.accounts
        question = UsageQuestion(("provider", "tenant"), UTC)
        report = await asyncio.to_thread(self._state.files.usage, question)
        found: Booked = {}
        for row in report.rows:
            provider = accounts.find(row["provider"], row["tenant"])
            account = row["provider"], "" if provider is None else provider.tenant
            pusd, calls = found.get(account, (0, 0))
            found[account] = pusd + to_pusd(Decimal(row["cost_usd"])), calls + row["calls"]
        return found

    async def _followed(self, known: BillDay | None, reading: Reading, provider: Provider) -> list[BillDay]:
        if known is None:
            return [begin((provider.name, provider.tenant), reading)]
        for upstream_id, cost_pusd in await self._do(
            partial(sample_of, provider=provider.name, since_ms=known.seen.at_ms)
        ):
            usage = await self._lookups.ask(provider, upstream_id)
            if usage is not None and usage.cost_usd is not None:
                known = sampled(known, cost_pusd, to_pusd(usage.cost_usd))
        return follow(known, reading)

    async def _keep(self, days: list[BillDay]) -> None:
        """Keep days and corrections; tell, once a day, of what has been too far apart at two looks in a row."""
        news = [day for day in days if day.over >= IN_A_ROW and not day.told]
        low = [found for day in days if (found := await self._low(day)) is not None]
        accounts = {(found["provider"], found["tenant"] or "") for found in low}
        days = [
            replace(
                day, told=day.told or day in news, told_credit=day.told_credit or (day.provider, day.tenant) in accounts
            )
            for day in days
        ]
        made = [one for day in days if day.state in CLOSED and (one := correction(day))]
        keep = partial(keep_days, days=days, corrections=made, at_ms=int(time.time() * 1000))
        for day in news:
            log.warning("bill_drift", **msgspec.to_builtins(day_row(day)))
        if news:
            await asyncio.wrap_future(
                self._alerts.tell(TYPE, [msgspec.to_builtins(day_row(day)) for day in news], keep)
            )
        else:
            await self._do(keep)
        if low:
            self._alerts.tell(CREDIT_TYPE, low, _nothing)
        for day in days:
            if day.source == "key":
                self._telemetry.drift[(day.provider, day.tenant)] = day.drift_ratio

    async def _low(self, day: BillDay) -> dict[str, Any] | None:
        """What is told, once a day, of credit that does not last; None where it does."""
        if day.told_credit or day.state in CLOSED:
            return None
        found = await asyncio.to_thread(credit_forecast, self._state.admin_api(), day, time.time())
        if found is None or found.exhausted_in_seconds is None or found.exhausted_in_seconds > LEAST_CREDIT_SECONDS:
            return None
        told: dict[str, Any] = msgspec.to_builtins(found)
        log.warning("credit_runs_out", **told)
        return told

    async def _do(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        return await asyncio.wrap_future(self._state.writer.do(work))


def _nothing(_: sqlite3.Connection) -> None:
    """All is kept by then."""
