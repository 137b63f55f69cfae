"""What would have cost less, and what another model would have cost: the sums of the roll-ups at other prices."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.errors import InvalidValue, ModelNotFound
from proxy.exchange.routing.candidates import Candidates
from proxy.policy.analysis.savings import (
    Advice,
    Choice,
    Confidence,
    Kind,
    Spent,
    advise,
    at_price,
    exact_repeats,
    unused_maximum,
    unused_tools,
)
from proxy.policy.money.amounts import to_pusd, usd_text
from proxy.policy.money.pricebook import Free
from proxy.policy.names.resolution import resolve
from proxy.policy.strategies import Seat
from proxy.policy.values import Caller
from proxy.stores.questions.analytics import DAY_MS, AnalyticsQuestion, By
from proxy.web.operator.admin_api import AdminApi, EpochMs, Unknown, instant
from proxy.web.operator.answers import Answer
from proxy.web.operator.routing_orders import RecommendBody, pool_asked
from proxy.web.reading import read_ask
from proxy.wire.usage import Usage

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

_USUAL_DAYS = 30
_COMMAND = "tollkeeper settings set"  # for admins of no tenant
_SUMMED = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_NO_NAME, _HALF = re.compile(r"[^A-Za-z0-9._-]+"), 30  # a name has at most 64 characters
_TEXT = frozenset({"chat/completions", "completions", "responses", "messages"})


class SavingRow(Struct, frozen=True):
    """One thing that would have cost `saves_usd` less of what was spent in this time, and how to try it: a command, or a
    sentence. `to`: the model to go to, null where it stays the same."""

    kind: Kind
    model: str
    provider: str
    to: str | None
    saves_usd: str
    confidence: Confidence
    why: str
    how: str


class SavingsAnswer(Struct, frozen=True):
    """What saves most comes first. They do not add up: two may be about the same calls."""

    since: str
    spent_usd: str
    savings: list[SavingRow]


class WhatIfRow(Struct, frozen=True):
    """The calls of one name at one provider."""

    model: str
    provider: str
    calls: int
    was_usd: str
    would_be_usd: str


class WhatIfAnswer(Struct, frozen=True):
    """What calls of text have cost, and the same tokens at the price of `model`; what cost most comes first."""

    model: str
    provider: str
    since: str
    was_usd: str
    would_be_usd: str
    rows: list[WhatIfRow]


class SavingsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Since when; None: 30 days."""

    since_ms: EpochMs | None = None


class WhatIfAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`only`: of the calls of these names, a pattern."""

    model: str
    since_ms: EpochMs | None = None
    only: str | None = None


class SavingsOrders:
    """`savings` and `what_if`."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "savings": self._savings,
            "what_if": self._what_if,
        }

    async def _savings(self, params: dict[str, Any]) -> Answer:
        await self._state.flushed()
        return await asyncio.to_thread(savings, self._state.admin_api(), params, time.time())

    async def _what_if(self, params: dict[str, Any]) -> Answer:
        await self._state.flushed()
        return await asyncio.to_thread(what_if, self._state.admin_api(), params, time.time())


def savings(admin_api: AdminApi, params: dict[str, Any], now: float) -> SavingsAnswer:
    """The answer. It asks files and may run in a thread. Raises as `Files` does."""
    since_ms = _since(read_ask(params, SavingsAsk).since_ms, now)
    spent, choices = list(_spent(admin_api, since_ms)), _Choices(admin_api)
    every = list(choices.every())
    owned = [(each, own) for each in spent if (own := choices.of(each.model, each.provider)) is not None]
    found = [one for each, own in owned for one in advise(each, own, [*every, *choices.elsewhere(each)])]
    held = admin_api.files.holds(since_ms, _TEXT, admin_api.bounds.tenants)
    found += [one for each in held if (one := unused_maximum(each)) is not None]
    seen = admin_api.files.repeats(since_ms, _TEXT, admin_api.bounds.tenants)
    found += [one for each in seen if (one := exact_repeats(each)) is not None]
    unused = admin_api.files.unused_tools(since_ms, admin_api.bounds.tenants)
    found += [one for each, own in owned if (one := unused_tools(each, own, unused)) is not None]
    found.sort(key=lambda one: (-one.saves_pusd, one.kind, one.model))
    rows = [_row(one, in_tenant=admin_api.bounds.tenants is not None) for one in found]
    return SavingsAnswer(instant(since_ms), usd_text(sum(one.cost_pusd for one in spent)), rows)


def what_if(admin_api: AdminApi, params: dict[str, Any], now: float) -> WhatIfAnswer:
    """The answer. Raises as `Files` does, and `Unknown` for a model that is not there or has no price."""
    ask = read_ask(params, WhatIfAsk)
    since_ms = _since(ask.since_ms, now)
    choices = _Choices(admin_api)
    choice = choices.of(ask.model, None) if choices.may_use(ask.model) else None
    if choice is None:
        raise Unknown(f"no price is known of {ask.model!r}; `tollkeeper models` shows those there are")
    found: list[tuple[Spent, int]] = []
    for spent in _spent(admin_api, since_ms, ask.only):
        cost = at_price(spent, choice.price)
        if cost is None:
            raise Unknown(f"{ask.model!r} is not priced by the token")
        found.append((spent, cost))
    rows = [
        WhatIfRow(one.model, one.provider, one.calls, usd_text(one.cost_pusd), usd_text(cost)) for one, cost in found
    ]
    was, would_be = sum(one.cost_pusd for one, _ in found), sum(cost for _, cost in found)
    return WhatIfAnswer(ask.model, choice.provider, instant(since_ms), usd_text(was), usd_text(would_be), rows)


def _since(since_ms: int | None, now: float) -> int:
    return int(now * 1000) - _USUAL_DAYS * DAY_MS if since_ms is None else max(0, since_ms)


def _spent(admin_api: AdminApi, since_ms: int, only: str | None = None) -> Iterator[Spent]:
    """What calls of text have used, by name and provider, whichever endpoint they came by; what cost most first."""
    names = {} if only is None else {"model": only}
    by: tuple[By, ...] = ("model", "provider", "endpoint")
    question = AnalyticsQuestion(
        by, UTC, None, since_ms, only=names, tenants=admin_api.bounds.tenants, with_times=False
    )
    sums: dict[tuple[str, str], list[int]] = {}
    for row in admin_api.files.analytics(question).rows:
        if row["provider"] and row["endpoint"] in _TEXT:
            found = [*(row[name] for name in _SUMMED), to_pusd(Decimal(row["cost_usd"]))]
            before = sums.get((row["model"], row["provider"]), [0] * len(found))
            sums[row["model"], row["provider"]] = [a + b for a, b in zip(before, found, strict=True)]
    for (model, provider), (calls, read, written, cached, thought, cost) in sorted(
        sums.items(), key=lambda one: -one[1][-1]
    ):
        yield Spent(model, provider, calls, Usage(read, written, cached, reasoning_tokens=thought), cost)


class _Choices:
    """The models of one desk, looked up once each."""

    def __init__(self, admin_api: AdminApi) -> None:
        self._admin_api = admin_api
        self._candidates = Candidates(admin_api.settings, admin_api.prices)

    def may_use(self, name: str, at: str | None = None) -> bool:
        """Whether those it is about may."""
        return self._admin_api.bounds.may_use(name, self._admin_api.names, self._admin_api.settings.tenants, at)

    def of(self, name: str, provider: str | None) -> Choice | None:
        """What a name leads to, at one provider or at its first; None where it is gone, or nobody knows its price."""
        names = self._admin_api.names
        try:
            plan = resolve(names, name)
        except ModelNotFound:
            return None
        target = next((one for one in plan.targets if provider in (None, one.provider)), None)
        if target is None:
            return None
        seat = Seat(target, plan.label, names.look_up(name).slug or target.model)
        return next(self._chosen((seat,)), None)

    def every(self) -> Iterator[Choice]:
        """Every model there is that they may be sent to."""
        try:
            _, pool = pool_asked(self._admin_api, Caller(""), RecommendBody(model="auto"))
        except Unknown:
            return
        yield from self._chosen(tuple(seat for seat in pool.seats if self.may_use(seat.label)))

    def elsewhere(self, spent: Spent) -> Iterator[Choice]:
        """The same model at the other providers whose lists have it."""
        names = self._admin_api.names
        for provider in names.providers:
            try:
                found = names.look_up(spent.model, provider)
            except (ModelNotFound, InvalidValue):
                continue
            target = found.plan.targets[0]
            known = self._admin_api.prices.facts(self._admin_api.settings.providers[target.provider], target.model)
            if target.provider != spent.provider and known is not None and self.may_use(spent.model, provider):
                seat = Seat(
                    target, f"{target.provider}/{target.model}", names.look_up(spent.model).slug or target.model
                )
                yield from self._chosen((seat,))

    def _chosen(self, seats: tuple[Seat, ...]) -> Iterator[Choice]:
        for seat, one in zip(seats, self._candidates.of(seats), strict=True):
            provider = self._admin_api.settings.providers[seat.target.provider]
            price = self._admin_api.prices.price(provider, seat.label, seat.target.model)
            if price is not None and not one.shut:
                own = None if isinstance(price, Free) else price
                facts = one.takes, one.context, one.quality, one.quality_source
                yield Choice(seat.label, seat.slug, provider.name, own, *facts, has_batches=provider.batches)


def _row(one: Advice, *, in_tenant: bool = False) -> SavingRow:
    how = _how(one)
    if in_tenant and how.startswith(_COMMAND):
        how = f"ask whoever runs this for an experiment: {how}"
    return SavingRow(one.kind, one.model, one.provider, one.to, usd_text(one.saves_pusd), one.confidence, one.why, how)


def _experiment(model: str, to: str) -> str:
    """A name of its own for each pair of models, of what names of experiments are made of."""
    names = (_NO_NAME.sub("-", name.rpartition("/")[2]).strip("-._")[:_HALF] for name in (model, to))
    return "-to-".join(name or "model" for name in names)


def _how(one: Advice) -> str:
    if one.kind == "cheaper_provider" and one.to is not None:
        return f"send calls with the header `x-tollkeeper-route: {one.to.partition('/')[0]}`"
    if one.to is not None:
        arms = [{"target": one.model, "share": 95}, {"target": one.to, "share": 5}]
        value = json.dumps({"model": one.model, "arms": arms, "sticky": "session"})
        # clients choose some of the names
        return f"{_COMMAND} experiments.{_experiment(one.model, one.to)} {shlex.quote(value)}"
    if one.kind == "maximum":
        return "send `max_tokens` a little above the longest reply, or set it under `defaults:` of the name"
    if one.kind == "repeats":
        return "set `cache: true` for the name or the key: what was answered is answered again at no cost, and told: docs/caching.md"
    if one.kind == "unused_tools":
        return "leave them out of `tools` where calls do not need them: in the client, or in its list of MCP servers"
    if one.kind == "flex":
        return "send `service_tier: flex` with what can wait"
    if one.kind == "batch":
        return "send what can wait as a batch: docs/jobs.md"
    return "keep the beginning of prompts the same from call to call; Anthropic's models want `cache_control` as well"
