"""Questions of analytics as they come over HTTP, and their answers as a table for spreadsheets."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Awaitable, Callable
from datetime import tzinfo
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from proxy.stores.questions.analytics import AnalyticsQuestion, AnalyticsReport, By, Interval, Order
from proxy.web.operator.admin_api import AdminApi, Declined, EpochMs
from proxy.web.operator.answers import Answer
from proxy.web.operator.cells import harmless, sources_text
from proxy.web.reading import read_ask

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

ANALYTICS_FILTERS = ("key", "tenant", "provider", "model", "endpoint", "session", "flag")
MOST_ROWS = 50_000
_SHORT_MS = {"minute": 3_600_000, "hour": 86_400_000}  # how far back they begin where nobody says
_SHARES = ("p50", "p95")


class AnalyticsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """As `AnalyticsQuestion`; `tz` None is the zone of the configuration."""

    by: list[By] = []
    interval: Interval | None = None
    since_ms: EpochMs | None = None
    until_ms: EpochMs | None = None
    tz: str | None = None
    key: str | None = None
    tenant: str | None = None
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None
    session: str | None = None
    flag: str | None = None


class Shares(Struct, frozen=True):
    """Milliseconds that half, and 95 of 100, took at most, to 5 %; None where there was nothing to measure."""

    p50: int | None
    p95: int | None


class AnalyticsRow(Struct, frozen=True):
    """The fields of every row, beside one for each of `by`. `errors` of the `attempts` failed; times are of those that went
    well; `refused` calls were never sent."""

    calls: int
    attempts: int
    errors: int
    refused: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    cost_usd: str
    sources: dict[str, int]
    first_token_ms: Shares
    total_ms: Shares
    at: str | None = None


class AnalyticsOrders:
    """Each takes a JSON object with the members of `AnalyticsAsk`; what differs is which rows come first."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        orders: dict[str, Order] = {
            "analytics_usage": "calls",
            "analytics_performance": "time",
            "analytics_costs": "cost",
        }
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            name: partial(self._answer, order) for name, order in orders.items()
        }

    async def _answer(self, order: Order, params: dict[str, Any]) -> Answer:
        ask = read_ask(params, AnalyticsAsk)
        zone = self._state.zone(ask.tz)
        await self._state.flushed()
        return await asyncio.to_thread(analytics, self._state.admin_api(), ask, (order, zone), time.time())


def analytics(admin_api: AdminApi, ask: AnalyticsAsk, how: tuple[Order, tzinfo], now: float) -> AnalyticsReport:
    """The answer, rows ordered and days counted as `how` says. Raises as `Files` does, and `Declined` for too many rows."""
    order, zone = how
    since_ms = ask.since_ms
    if since_ms is None and ask.interval in _SHORT_MS:
        since_ms = int(now * 1000) - _SHORT_MS[ask.interval]
    only = {name: text for name in ANALYTICS_FILTERS if (text := getattr(ask, name)) is not None}
    by = tuple(dict.fromkeys(ask.by))
    question = AnalyticsQuestion(by, zone, ask.interval, since_ms, ask.until_ms, only, order, admin_api.bounds.tenants)
    report = admin_api.files.analytics(question)
    if len(report.rows) > MOST_ROWS:
        raise Declined(
            f"the answer has {len(report.rows):,} rows; ask for a longer interval, a shorter time or less by"
        )
    return report


def as_csv(answer: Any) -> str:
    """The rows of a report, a heading first: what stands for itself, then amounts, then times."""
    report = msgspec.to_builtins(answer)
    by = report["by"]
    shown = [name for name in report["total"] if name not in ("sources", "first_token_ms", "total_ms")]
    times = [(name, share) for name in ("first_token_ms", "total_ms") for share in _SHARES]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["at", *by, *shown, "sources", *(f"{name}_{share}" for name, share in times)])
    for row in report["rows"]:
        names = [harmless(row[name]) for name in by]
        sources = sources_text(row["sources"])
        writer.writerow(
            [row["at"], *names, *(row[name] for name in shown), sources, *(row[name][share] for name, share in times)]
        )
    return text.getvalue()
