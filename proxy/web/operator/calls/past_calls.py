"""Calls under way, one past call, and past calls as a list: what was asked for, and one line a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from proxy.policy.money.amounts import usd_text
from proxy.stores.journal.records import Row
from proxy.stores.questions.past_calls import CallsQuestion, Place
from proxy.web.operator.admin_api import FILTERS, EpochMs, instant
from proxy.web.operator.answers import Answer
from proxy.web.operator.live.traffic import Traffic
from proxy.web.reading import read_ask

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

PAST_FILTERS = (*FILTERS, "tag", "error")


class PastCallsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Names or patterns, except `outcome`; `before` is the `next` of the page before."""

    since_ms: EpochMs | None = None
    until_ms: EpochMs | None = None
    key: str | None = None
    model: str | None = None
    provider: str | None = None
    tenant: str | None = None
    session: str | None = None
    tag: str | None = None
    error: str | None = None
    outcome: Literal["ok", "failed", "refused"] | None = None
    before: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class PastCallRow(Struct, frozen=True):
    """One past call: its last attempt's status and error, and what all of its attempts used and cost; `source` is the
    last's. `refused`: it was never sent upstream, or no further."""

    request_id: str
    at: str
    key: str
    endpoint: str
    asked: str
    model: str
    provider: str
    status: int
    error: str | None
    refused: bool
    stream: bool
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    source: str
    first_token_ms: int | None
    total_ms: int
    times: int
    tenant: str | None
    session: str | None
    tags: list[str]


class PastCallsAnswer(Struct, frozen=True):
    """Calls by their beginning, the newest first. `next`: for more, ask with this as `before`; None at the end."""

    calls: list[PastCallRow]
    next: str | None


class CallOrders:
    """`by_name` holds the questions about calls; they raise as `Orders` says."""

    def __init__(self, state: LiveState, traffic: Traffic) -> None:
        self._state = state
        self._traffic = traffic
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "live": self._live,
            "show": self._show,
            "past_calls": self._past_calls,
        }

    async def _live(self, _: dict[str, Any]) -> Answer:
        await self._traffic.feed.caught_up()
        return self._traffic.calls(self._state.admin_api().bounds, time.monotonic())

    async def _show(self, params: dict[str, Any]) -> Answer:
        await self._state.flushed()
        return await asyncio.to_thread(self._state.admin_api().show, str(params.get("request_id")))

    async def _past_calls(self, params: dict[str, Any]) -> Answer:
        asked, bounds = read_ask(params, PastCallsAsk, strict=False), self._state.admin_api().bounds
        question = calls_question(asked, bounds.tenants)
        await self._state.flushed()
        return calls_answer(await asyncio.to_thread(self._state.files.past_calls, question))


def calls_question(ask: PastCallsAsk, tenants: tuple[str, ...] | None = None) -> CallsQuestion:
    """The same for the ledger; `tenants` as there. Raises ValueError."""
    only = {name: text for name in PAST_FILTERS if (text := getattr(ask, name))}
    return CallsQuestion(
        only=only,
        outcome=ask.outcome,
        since_ms=max(0, ask.since_ms or 0),
        **({} if ask.until_ms is None else {"until_ms": ask.until_ms}),
        before=None if ask.before is None else _place(ask.before),
        limit=ask.limit,
        tenants=tenants,
    )


def calls_answer(found: tuple[list[list[Row]], Place | None]) -> PastCallsAnswer:
    """The same as JSON has it."""
    calls, place = found
    return PastCallsAnswer([_row(rows) for rows in calls], None if place is None else f"{place[0]}-{place[1]}")


def _place(text: str) -> Place:
    at_ms, _, seq = text.partition("-")
    if not (at_ms.isdecimal() and seq.isdecimal() and len(text) < 40):
        raise ValueError("before must be the `next` of an earlier answer")
    return int(at_ms), int(seq)


def _row(rows: list[Row]) -> PastCallRow:
    first, last = rows[0], rows[-1]
    return PastCallRow(
        request_id=first.request_id,
        at=instant(first.at_ms),
        key=first.key,
        endpoint=first.endpoint,
        asked=first.asked,
        model=last.model,
        provider=last.provider,
        status=last.status,
        error=last.error,
        refused=not last.provider and last.source == "none",
        stream=first.stream,
        attempts=sum(1 for row in rows if row.provider),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cost_usd=usd_text(sum(row.cost_pusd for row in rows)),
        source=last.source,
        first_token_ms=last.first_token_ms,
        total_ms=last.total_ms,
        times=last.times,
        tenant=first.tenant or None,
        session=first.session or None,
        tags=first.tags.split(",") if first.tags else [],
    )
