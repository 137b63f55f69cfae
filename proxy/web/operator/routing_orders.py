"""The operator's questions about routing: what a request would be told, what calls were told, and the strategies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.build_routing import ceilings_of
from proxy.errors import ModelNotFound
from proxy.exchange.routing.router import Decided, Router, refuse_unlike
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import choose, may_use
from proxy.policy.routing.deciding import beyond
from proxy.policy.routing.needs import needs_named, needs_of
from proxy.policy.routing.values import NAMED, Ask, Decision
from proxy.policy.strategies import Pool, Seat, Strategy, Weights
from proxy.policy.tenants import scopes_of
from proxy.policy.values import Caller, Plan
from proxy.translate.images.refusals import UnsupportedModel
from proxy.web.operator.admin_api import AdminApi, Unknown, instant
from proxy.web.operator.answers import Answer
from proxy.web.operator.spending.explain import caller_of
from proxy.web.reading import read_ask
from proxy.wire.call import read_call
from proxy.wire.endpoints import endpoint_for

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

Params = dict[str, Any]
_LIKELY_PROMPT = 1000  # tokens, where only needs are given
_MOST_SHOWN = 100


class RecommendBody(Struct, frozen=True):
    """An ordinary request, with `endpoint` (default chat/completions), `strategy`, `candidates`, `key`, `needs` (what it
    must be able to do, in the place of a body) and `ceilings` (as those of a strategy, before its own) beside its own
    members."""

    model: str = "auto"
    endpoint: str = "chat/completions"
    strategy: str | None = None
    candidates: list[str] = []
    needs: list[str] = []
    key: str | None = None
    ceilings: dict[str, Any] = {}


class TakenDecision(Struct, frozen=True):
    """A decision that was taken for a call, or recommended to somebody (`for_call` false)."""

    at: str
    key: str
    asked: str
    decision: Decision
    for_call: bool = True


class DecisionsAnswer(Struct, frozen=True):
    """The latest, newest first."""

    decisions: list[TakenDecision]


class StrategyAnswer(Struct, frozen=True):
    """One strategy, as `PUT` takes it: weights that come to 1, what no candidate may pass (null binds nothing; `first_token` in
    seconds, `uptime` a part of 1), how many seconds a session stays, and the part of calls that look elsewhere."""

    weights: Weights
    ceilings: dict[str, float | None]
    sticky: float
    explore: float


class StrategiesAnswer(Struct, frozen=True):
    """Every strategy by name; `own` are those of the configuration."""

    strategies: dict[str, StrategyAnswer]
    own: list[str]


def recommend(admin_api: AdminApi, params: Params) -> Decision:
    """What a request would be told now. Raises `Unknown` and ValueError."""
    router = admin_api.router or Router(admin_api.settings, admin_api.names, admin_api.prices)
    own = read_ask({name: params[name] for name in _OWN if name in params}, RecommendBody)
    caller = caller_of(admin_api, own.key)
    plan, pool = pool_asked(admin_api, caller, own)
    strategy = ceilings_of(router.strategy(pool.strategy), own.ceilings)
    ask = router.bound_by(admin_api.books, (scopes_of(caller), caller.name), strategy, _ask(own, params, plan))
    choice, health = router.rehearse(pool, (caller, plan), ask, strategy)
    decided = Decided(f"dec_{token_hex(12)}", time.time(), caller.name, own.model, choice, ask, health, for_call=False)
    router.decided.append(decided)
    return decided.in_words()


_OWN = RecommendBody.__struct_fields__


def pool_asked(admin_api: AdminApi, caller: Caller, own: RecommendBody) -> tuple[Plan, Pool]:
    """What is chosen among, and how. Raises `Unknown`."""
    plan, pool = _pool(admin_api, caller, own)
    if own.strategy is not None:
        pool = replace(pool, strategy=own.strategy)
    if pool.strategy not in admin_api.settings.strategies and pool.strategy not in NAMED:
        known = ", ".join((*admin_api.settings.strategies, *NAMED))
        raise Unknown(f"there is no strategy {pool.strategy!r}; there is: {known}")
    return plan, pool


def _pool(admin_api: AdminApi, caller: Caller, own: RecommendBody) -> tuple[Plan, Pool]:
    """The candidates: those that are named, else those of the model; one that leads to a single target is alone."""
    names = own.candidates or [own.model]
    seats: dict[object, Seat] = {}
    try:
        for name in names:
            plan = choose(caller, admin_api.names, name)
            if plan.pool is not None and not own.candidates:
                return plan, plan.pool
            seat = Seat(plan.targets[0], plan.label, admin_api.names.look_up(name).slug)
            if may_use(caller, admin_api.names, name):
                seats.setdefault(seat.target, seat)
    except ModelNotFound as error:
        raise Unknown(error.message) from None
    pool = Pool(own.strategy or "balanced", tuple(seats.values()))
    return replace(plan, targets=tuple(seat.target for seat in pool.seats)), pool


def _ask(own: RecommendBody, params: Params, plan: Plan) -> Ask:
    body = {name: value for name, value in params.items() if name == "model" or name not in _OWN}
    endpoint = endpoint_for("POST", f"/{own.endpoint.strip('/')}")
    if not endpoint.carries_model:
        raise ValueError("endpoint must be one that takes a model, such as chat/completions, responses or messages")
    where = (f"/v1/{own.endpoint.strip('/')}", "")
    call = read_call(endpoint, "POST", where, ("application/json", msgspec.json.encode({"model": own.model} | body)))
    try:
        if plan.pool is not None:
            refuse_unlike(plan.pool, call)
    except UnsupportedModel as error:
        raise ValueError(error.message) from None
    weight = weigh(call)
    named = needs_named(own.needs)
    is_bare = not body.keys() - {"model", "max_tokens", "max_completion_tokens", "stream"}
    tokens = _LIKELY_PROMPT if is_bare else weight.likely_input_tokens
    needs = named | needs_of(call, weight.input_media.images, weight.input_media.audio_seconds)
    others = beyond(plan) if call.ours.fallback else ()
    most = 0 if is_bare else weight.text_tokens
    return Ask(needs, tokens, weight.requested.maximum or 0, call.stream, most_input_tokens=most, beyond=others)


def strategies(admin_api: AdminApi) -> StrategiesAnswer:
    """The built-in ones and one's own."""
    every: dict[str, Strategy] = {**NAMED, **admin_api.settings.strategies}
    return StrategiesAnswer({name: _told(one) for name, one in every.items()}, list(admin_api.settings.strategies))


def _told(strategy: Strategy) -> StrategyAnswer:
    most = strategy.ceilings
    uptime = None if most.error_rate is None else round(1 - most.error_rate, 6)
    ceilings = {"usd_per_mtok": most.usd_per_mtok, "first_token": most.first_token_seconds, "uptime": uptime}
    return StrategyAnswer(strategy.weights, ceilings, strategy.sticky_seconds, strategy.explore)


class RoutingOrders:
    """`by_name` as `Orders` has them; `put_setting` is what stores a setting."""

    def __init__(self, state: LiveState, put_setting: Callable[[Params], Awaitable[Answer]]) -> None:
        self._state = state
        self._put_setting = put_setting
        self.by_name: dict[str, Callable[[Params], Awaitable[Answer]]] = {
            "recommend": self._recommend,
            "decisions": self._decisions,
            "simulate": self._simulate,
            "strategies": self._strategies,
            "strategy": self._strategy,
            "put_strategy": self._put,
        }

    async def _recommend(self, params: Params) -> Answer:
        return recommend(self._state.admin_api(), params)

    async def _simulate(self, params: Params) -> Answer:
        from proxy.web.operator.spending.simulating import simulation

        rest = simulation(self._state.admin_api(), params)
        await self._state.flushed()
        return await asyncio.to_thread(rest)

    async def _decisions(self, _: Params) -> Answer:
        router = self._state.admin_api().router
        latest = [] if router is None else list(router.decided)[-_MOST_SHOWN:]
        return DecisionsAnswer(
            [
                TakenDecision(instant(int(one.at * 1000)), one.key, one.asked, one.in_words(), one.for_call)
                for one in reversed(latest)
            ]
        )

    async def _strategies(self, _: Params) -> Answer:
        return strategies(self._state.admin_api())

    async def _strategy(self, params: Params) -> Answer:
        known = strategies(self._state.admin_api()).strategies
        if (found := known.get(str(params["name"]))) is None:
            raise Unknown(f"there is no strategy {params['name']!r}; there is: {', '.join(known)}")
        return found

    async def _put(self, params: Params) -> Answer:
        return await self._put_setting({**params, "section": "strategies"})
