"""What is unusual of late: asked of the roll-ups, and of the sessions of the last hour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.policy.analysis.anomalies import Anomaly, Figures, Kind, Of, of_key, of_model, of_session
from proxy.policy.money.amounts import to_pusd, usd_text
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.questions.analytics import DAY_MS, HOUR_MS, AnalyticsQuestion, By
from proxy.stores.questions.analytics_ledger import TooMuch
from proxy.web.operator.admin_api import AdminApi, instant
from proxy.web.operator.answers import Answer

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

_USUAL_DAYS, _HOURS_DAYS = 7, 28
_LOOP_MS = 30 * MINUTE_MS


class AnomalyRow(Struct, frozen=True):
    """One thing that is unusual: `now` against `usual`, both in `unit`, and `why`. `cost_usd` is what it has cost beyond the
    usual."""

    kind: Kind
    of: Of
    name: str
    now: float
    usual: float
    unit: str
    cost_usd: str
    why: str


class AnomaliesAnswer(Struct, frozen=True):
    """Since the beginning of the hour before this one; what has cost most comes first."""

    at: str
    since: str
    anomalies: list[AnomalyRow]


class AnomalyOrders:
    """Takes no parameters."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {"anomalies": self._anomalies}

    async def _anomalies(self, _: dict[str, Any]) -> Answer:
        await self._state.flushed()
        return await asyncio.to_thread(anomalies, self._state.admin_api(), time.time())


def anomalies(admin_api: AdminApi, now: float) -> AnomaliesAnswer:
    """It asks files and may run in a thread. Raises as `Files` does."""
    now_ms = int(now * 1000)
    since_ms = now_ms // HOUR_MS * HOUR_MS - HOUR_MS
    found = [
        *_of_keys(admin_api, since_ms, now_ms),
        *_of_models(admin_api, since_ms, now_ms),
        *_of_sessions(admin_api, now_ms),
    ]
    found.sort(key=lambda one: (-one.cost_pusd, one.kind, one.name))
    rows = [
        AnomalyRow(a.kind, a.of, a.name, round(a.now, 6), round(a.usual, 6), a.unit, usd_text(a.cost_pusd), a.why)
        for a in found
    ]
    return AnomaliesAnswer(instant(now_ms), instant(since_ms), rows)


def _of_keys(admin_api: AdminApi, since_ms: int, now_ms: int) -> list[Anomaly]:
    found: list[Anomaly] = []
    parts: dict[str, list[tuple[str, int]]] = {}
    for row in _rows(admin_api, ("key", "model"), since_ms, now_ms):
        parts.setdefault(row["key"], []).append((row["model"], _pusd(row)))
    recent = _rows(admin_api, ("key",), since_ms, now_ms)
    if not recent:
        return []
    hours: dict[str, dict[int, int]] = {}
    past_ms, tenants = since_ms - _HOURS_DAYS * DAY_MS, admin_api.bounds.tenants
    keys = tuple(row["key"] for row in recent)
    question = AnalyticsQuestion(("key",), UTC, "hour", past_ms, since_ms, tenants=tenants, keys=keys)
    for (at_ms, (key,)), pusd in admin_api.files.costs(question).items():
        hours.setdefault(key, {})[at_ms] = pusd
    for row in recent:
        past = hours.get(row["key"], {})
        count = (since_ms - min(past, default=since_ms)) // HOUR_MS
        spent = [*past.values(), *[0] * (count - len(past))]  # hours without a call cost nothing
        found += of_key(row["key"], _figures(row, since_ms, now_ms), spent, parts.get(row["key"], []))
    return found


def _of_models(admin_api: AdminApi, since_ms: int, now_ms: int) -> list[Anomaly]:
    begun_ms = since_ms - _USUAL_DAYS * DAY_MS
    usual = {
        row["model"]: _figures(row, begun_ms, since_ms) for row in _rows(admin_api, ("model",), begun_ms, since_ms)
    }
    found: list[Anomaly] = []
    for row in _rows(admin_api, ("model",), since_ms, now_ms):
        if row["model"] in usual:
            found += of_model(row["model"], _figures(row, since_ms, now_ms), usual[row["model"]])
    return found


def _of_sessions(admin_api: AdminApi, now_ms: int) -> list[Anomaly]:
    """Of the last half hour; nothing where so many calls were made that they cannot be added up one by one."""
    question = AnalyticsQuestion(
        ("session",), UTC, "minute", now_ms - _LOOP_MS, now_ms, tenants=admin_api.bounds.tenants
    )
    try:
        rows = admin_api.files.analytics(question).rows
    except TooMuch:
        return []
    by_session: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["session"]:
            by_session.setdefault(row["session"], []).append(row)
    found: list[Anomaly] = []
    for session, minutes in by_session.items():
        latest = _without_pause(minutes)
        calls, inputs = [row["calls"] for row in latest], [row["input_tokens"] for row in latest]
        found += of_session(session, calls, inputs, sum(map(_pusd, latest)))
    return found


def _without_pause(minutes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The latest minutes that follow one another."""
    latest: list[dict[str, Any]] = []
    for row in reversed(minutes):
        if latest and _ms(latest[-1]["at"]) - _ms(row["at"]) > MINUTE_MS:
            break
        latest.append(row)
    return latest[::-1]


def _rows(admin_api: AdminApi, by: tuple[By, ...], since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    return admin_api.files.analytics(
        AnalyticsQuestion(by, UTC, None, since_ms, until_ms, tenants=admin_api.bounds.tenants)
    ).rows


def _figures(row: dict[str, Any], since_ms: int, until_ms: int) -> Figures:
    counted = {name: row[name] for name in Figures.__struct_fields__ if isinstance(row.get(name), int)}
    hours, first_token_ms = (until_ms - since_ms) / HOUR_MS, row["first_token_ms"]["p95"]
    return Figures(hours, cost_pusd=_pusd(row), first_token_ms=first_token_ms, **counted)


def _pusd(row: dict[str, Any]) -> int:
    return to_pusd(Decimal(row["cost_usd"]))


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)
