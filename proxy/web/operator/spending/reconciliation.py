"""How providers' bills and the ledger agree, day by day, as the admin port and the commands tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.policy.analysis.bills import BillDay, State, day_of
from proxy.policy.money.amounts import usd_text
from proxy.stores.questions.bills import KeptCorrection
from proxy.web.operator.admin_api import AdminApi, EpochMs, instant
from proxy.web.operator.answers import Answer
from proxy.web.reading import read_ask

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

_USUAL_MS = 30 * 86_400_000


class BillDayRow(Struct, frozen=True):
    """One UTC day of one key of a provider; `tenant` null: everybody's. `drift_usd` is what was billed for our own use beyond what
    the ledger has, `foreign_usd` what others used. Of `sampled_calls` the provider said costs that are off by
    `sampled_off_usd` in all. Counted from `since` to `until`."""

    provider: str
    tenant: str | None
    day: str
    state: State
    billed_usd: str
    booked_usd: str
    foreign_usd: str
    drift_usd: str
    drift_percent: float
    calls: int
    causes: list[str]
    sampled_calls: int
    sampled_off_usd: str
    source: str
    since: str
    until: str


class CorrectionRow(Struct, frozen=True):
    """What the ledger's sum of a day lacks beside the bill (below zero: has too much). Rows of calls stay as they are."""

    at: str
    provider: str
    tenant: str | None
    day: str
    delta_usd: str
    cause: str


class ReconciliationAnswer(Struct, frozen=True):
    """Days and corrections, the newest first."""

    days: list[BillDayRow]
    corrections: list[CorrectionRow]


class ReconciliationAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Since when; None: 30 days."""

    since_ms: EpochMs | None = None


class ReconciliationOrders:
    """`look` reads every bill now; it may raise as `StoreError` or TimeoutError."""

    def __init__(self, state: LiveState, look: Callable[[], Awaitable[None]]) -> None:
        self._state, self._look = state, look
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "reconciliation": self._reconciliation,
            "reconcile": self._reconcile,
        }

    async def _reconciliation(self, params: dict[str, Any]) -> Answer:
        return await asyncio.to_thread(reconciliation, self._state.admin_api(), params, time.time())

    async def _reconcile(self, _: dict[str, Any]) -> Answer:
        await self._look()
        return await self._reconciliation({})


def reconciliation(admin_api: AdminApi, params: dict[str, Any], now: float) -> ReconciliationAnswer:
    """The answer; an admin of a tenant sees the tenant's own keys. Raises as `Files` does."""
    ask = read_ask(params, ReconciliationAsk)
    since_ms = int(now * 1000) - _USUAL_MS if ask.since_ms is None else max(0, ask.since_ms)
    days, made = admin_api.files.bills(day_of(since_ms))
    mine = admin_api.bounds.has
    return ReconciliationAnswer(
        [day_row(day) for day in days if mine(day.tenant)],
        [_correction(one) for one in made if mine(one.made.tenant)],
    )


def day_row(day: BillDay) -> BillDayRow:
    """One day, as answers and alerts tell it."""
    return BillDayRow(
        provider=day.provider,
        tenant=day.tenant or None,
        day=day.day,
        state=day.state,
        billed_usd=usd_text(day.billed_pusd),
        booked_usd=usd_text(day.booked_pusd),
        foreign_usd=usd_text(day.foreign_pusd),
        drift_usd=usd_text(day.drift_pusd),
        drift_percent=round(100 * day.drift_ratio, 3),
        calls=day.calls,
        causes=list(day.known_causes),
        sampled_calls=day.sampled,
        sampled_off_usd=usd_text(day.sampled_off_pusd),
        source=day.source,
        since=instant(day.since_ms),
        until=instant(day.seen.at_ms),
    )


def _correction(kept: KeptCorrection) -> CorrectionRow:
    made = kept.made
    delta = usd_text(made.delta_pusd)
    return CorrectionRow(instant(kept.at_ms), made.provider, made.tenant or None, made.day, delta, made.cause)
