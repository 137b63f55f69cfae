"""What would become of a call: where its name goes, what it may cost, and what every budget says to that."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from proxy.config.problems import suggestion
from proxy.dialects.contract import url_for
from proxy.errors import InvalidValue, ModelNotFound
from proxy.exchange.attempt import members_for
from proxy.exchange.refusals import code_of
from proxy.exchange.routing.router import Router, nobody
from proxy.exchange.routing.trials import plan_of
from proxy.policy.experiments.values import HUNDRED
from proxy.policy.limits.limiter import Denied
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import GLOBAL, Limit, Subject
from proxy.policy.money.quote import Quote, quote_for
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import choose, named_provider, routed
from proxy.policy.names.resolution import model_not_found
from proxy.policy.retries.retry import Attempt, Rounds, past_budget
from proxy.policy.routing.deciding import beyond, onward
from proxy.policy.routing.values import Ask as Asked
from proxy.policy.routing.values import Decision
from proxy.policy.routing.words import decision_of
from proxy.policy.sharing import first_said, wish_for
from proxy.policy.tenants import most_output, scopes_of, tenants_of
from proxy.policy.use_cases.dress import dress
from proxy.policy.use_cases.values import NO_USE
from proxy.policy.values import Caller, Plan, RetryRules
from proxy.web.client.keys import OPEN
from proxy.web.client.planning import begun_at
from proxy.web.operator.admin_api import AdminApi, Unknown, standing_row
from proxy.web.operator.spending.explained_hold import HoldSeen, bound_told, hold_seen, price_told, shadows_seen
from proxy.web.operator.tenants import order_of
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import MODEL_ROWS
from proxy.wire.outgoing import Change, outgoing


class _Route(Struct, frozen=True):
    """Where a call would go, and why. `fallback`: from which part of the budget on it begins elsewhere, "" where it does not;
    `refused`: the verdict where no candidate fits, whatever budgets say."""

    plan: Plan
    experiment: dict[str, Any] | None
    decision: Decision | None = None
    fallback: str = ""
    refused: str = ""


class _Attempt(Struct, frozen=True):
    """The first attempt that is made: the call as its model's entry wants it, and what that changed; what it may cost, the tokens that
    limits would reserve for it, the budgets it is under and what they say."""

    call: Call
    plan: Plan
    adjusted: tuple[str, ...]
    quote: Quote
    tokens: int
    under: tuple[str, ...]
    hold: HoldSeen


class ExplainAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """A call with an empty prompt. `key` None is `open` in open mode, else no key at all; `provider` is the one that the
    call names, `tags` and `session` are those that it carries, `variables` what it fills the template of its model with."""

    model: str
    provider: str | None = None
    key: str | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    tags: tuple[str, ...] = ()
    session: str = ""
    variables: dict[str, str] = {}
    endpoint: Literal["chat/completions", "messages", "responses"] = "chat/completions"


def explain(admin_api: AdminApi, ask: ExplainAsk, now: float) -> dict[str, Any]:
    """Everything that decides about a call. Raises `Unknown` for names nobody knows, and what is wrong with variables."""
    caller = caller_of(admin_api, ask.key)
    route = _route(admin_api, ask, caller)
    first = _first_attempt(admin_api, ask, caller, route.plan, now)
    call, plan, quote = first.call, first.plan, first.quote
    hold = HoldSeen(route.refused) if route.refused else first.hold
    scopes, whose = scopes_of(caller), (first.under, caller.name)
    denied, limits = _limits_seen(admin_api, scopes, first.tokens)
    shadows = shadows_seen(admin_api, quote, whose, now)
    return {
        "model": ask.model,
        "key": caller.name or None,
        "tenant": caller.tenant or None,
        "order": [asdict(each) for each in order_of(admin_api, caller, ask.model, plan)],
        "target": plan.label,
        "decision": route.decision,
        "fallback": route.fallback if len(plan.targets) == len(route.plan.targets) else "budget",
        "targets": [{"provider": target.provider, "model": target.model} for target in plan.targets],
        "experiment": route.experiment,
        "use_case": plan.use.version if plan.use else None,
        "sharing": _sharing(caller, call, plan),
        "sent": _sent(admin_api, call, plan, hold.maximum),
        "adjusted": list(first.adjusted),
        "price": price_told(quote),
        "hold": bound_told(quote, hold),
        "tool_uses": admin_api.settings.money.rules.tool_uses,
        "budgets": [_row(one, hold, shadows) for one in admin_api.books.standings(first.under, now)],
        "verdict": hold.verdict
        if denied is None or route.refused
        else f"refused with 429 {code_of(denied.limit)} by {denied.limit.id}",
        "shadow_rejections": [
            *(f"{code_of(limit)} by {limit.id}" for limit in limits),
            *(f"{code} by {budget}" for budget, (_, code) in shadows.items() if code is not None),
        ],
    }


def _limits_seen(admin_api: AdminApi, scopes: tuple[str, ...], tokens: int) -> tuple[Denied | None, list[Limit]]:
    """The limit in the way, and those in shadow that would be."""
    limiter, now_ns = admin_api.limiter, time.monotonic_ns()
    if limiter is None:
        return None, []
    return limiter.of(scopes).judge(tokens, now_ns), limiter.denied_in_shadow(scopes, tokens, now_ns)


def _row(standing: Standing, hold: HoldSeen, shadows: dict[str, tuple[int, str | None]]) -> dict[str, Any]:
    """A budget before and after."""
    held = shadows[standing.budget.id][0] if standing.budget.shadow else hold.amount_pusd
    after = None if held is None else standing.left_pusd - held
    return {**asdict(standing_row(standing)), "left_after_usd": None if after is None else usd_text(after)}


def _subject(caller: Caller, ask: ExplainAsk, plan: Plan) -> Subject:
    """The first attempt, as narrowed budgets see it."""
    target = plan.targets[0]
    models = (plan.label, target.model, f"{target.provider}/{target.model}", ask.model)
    return Subject(caller.name, target.provider, models, ask.tags, ask.session, tenants_of(caller))


def caller_of(admin_api: AdminApi, name: str | None) -> Caller:
    """Who would call: `open` in open mode, nobody where no key is named. Raises `Unknown`."""
    if admin_api.keys.is_open:
        return OPEN
    if name is None:
        return Caller("", scopes=(GLOBAL,))
    for caller in admin_api.keys.callers:
        if caller.name == name:
            return caller
    near = suggestion(name, [caller.name for caller in admin_api.keys.callers if admin_api.bounds.has_key(caller.name)])
    raise Unknown(f"there is no key named {name!r}{near}; `tollkeeper keys list` names them")


def _route(admin_api: AdminApi, ask: ExplainAsk, caller: Caller) -> _Route:
    try:
        at = None if ask.provider is None else named_provider(admin_api.names, None, ask.provider)
        plan, experiment = _tried(admin_api, ask, choose(caller, admin_api.names, ask.model, at), caller)
        plan, fallback = _begun(admin_api, ask, caller, plan) if plan.stages and at is None else (plan, "")
        route = _Route(routed(admin_api.settings.features, plan, caller), experiment, fallback=fallback)
        return _decided(admin_api, ask, route, caller)
    except (ModelNotFound, InvalidValue) as error:
        raise Unknown(error.message) from None


def _begun(admin_api: AdminApi, ask: ExplainAsk, caller: Caller, plan: Plan) -> tuple[Plan, str]:
    """The plan with what comes first as much of the budgets is spent now."""
    under = admin_api.under(scopes_of(caller), _subject(caller, ask, plan))
    begun, threshold = begun_at(plan, admin_api.books.spent_part(under, time.time()))
    return (_from(admin_api, ask, begun, begun.start), threshold) if threshold else (begun, "")


def _from(admin_api: AdminApi, ask: ExplainAsk, plan: Plan, start: int) -> Plan:
    """The plan from one of its targets on."""
    first = plan.targets[start]
    label = admin_api.prices.label_for(first, plan.label, ask.model) or f"{first.provider}/{first.model}"
    return replace(plan, targets=plan.targets[start:], start=0, label=label)


def _first_attempt(admin_api: AdminApi, ask: ExplainAsk, caller: Caller, plan: Plan, now: float) -> _Attempt:
    """The attempt that is made first: at the first target of the plan that is not passed over."""
    call, dressed, adjusted = _call(ask, plan)
    quote, tokens = _quote(admin_api, call, dressed, caller)
    under = admin_api.under(scopes_of(caller), _subject(caller, ask, dressed))
    hold = hold_seen(admin_api, quote, (under, caller.name), now)
    if (onward := _onward(admin_api, ask, plan, hold)) is not None:
        return _first_attempt(admin_api, ask, caller, onward, now)
    return _Attempt(call, dressed, adjusted, quote, tokens, under, hold)


def _onward(admin_api: AdminApi, ask: ExplainAsk, plan: Plan, hold: HoldSeen) -> Plan | None:
    """The plan from the next target on, where budgets have no room for the first and its entry has the next one asked then."""
    rounds = Rounds(len(plan.targets), RetryRules(), None, None if plan.use is None else plan.use.fallback_on)
    return None if past_budget(hold.spent, Attempt(), rounds) is None else _from(admin_api, ask, plan, 1)


def _decided(admin_api: AdminApi, ask: ExplainAsk, route: _Route, caller: Caller) -> _Route:
    """Where there are candidates: what a call with an empty prompt would be told."""
    plan = route.plan
    if plan.pool is None:
        return route
    router = admin_api.router or Router(admin_api.settings, admin_api.names, admin_api.prices)
    strategy, asked = router.strategy(plan.pool.strategy), Asked(output_tokens=ask.max_tokens or 0, beyond=beyond(plan))
    asked = router.bound_by(admin_api.books, (scopes_of(caller), caller.name), strategy, asked)
    choice, health = router.rehearse(plan.pool, (caller, plan), asked)
    decision = decision_of(choice, asked, health, "")
    if (found := onward(choice, plan)) is not None:
        found = _from(admin_api, ask, found, found.start) if found.start else found
        return replace(route, plan=found, decision=decision)
    if not decision.dropped:
        raise model_not_found(plan.label, ())  # the caller may use none of them
    error = nobody(choice, decision)
    return replace(route, decision=decision, refused=f"refused with {error.status} {error.code}: {error.message}")


def _tried(admin_api: AdminApi, ask: ExplainAsk, plan: Plan, caller: Caller) -> tuple[Plan, dict[str, Any] | None]:
    """The arm that such a call has, where that can be told; the shares of all."""
    trial = None if admin_api.trials is None else admin_api.trials.find(plan.experiment)
    if admin_api.trials is None or trial is None or not admin_api.settings.features.is_on("experiments", caller.name):
        return plan, None
    experiment, arm = trial.experiment, None
    known = {"key": caller.name, "session": ask.session}.get(experiment.sticky, "")
    if known or max(trial.lots) == HUNDRED:
        place = admin_api.trials.assign(trial, caller.name, ask.session.encode())
        arm, plan = experiment.arms[place].target, plan_of(trial, place, plan, caller, admin_api.names) or plan
        label = admin_api.prices.label_for(plan.targets[0], plan.label, ask.model)
        plan = replace(plan, label=label or plan.label)
    shares = [{"target": one.target, "share": share} for one, share in zip(experiment.arms, trial.lots, strict=True)]
    return plan, {"name": experiment.name, "state": trial.standing.state, "arm": arm, "arms": shares}


def _call(ask: ExplainAsk, plan: Plan) -> tuple[Call, Plan, tuple[str, ...]]:
    """The call as its model's entry wants it, and what that changed."""
    body: dict[str, Any] = {"model": ask.model}
    body |= {"input": ""} if ask.endpoint == "responses" else {"messages": [{"role": "user", "content": ""}]}
    endpoint = MODEL_ROWS[f"/{ask.endpoint}"]
    if ask.max_tokens is not None and endpoint.max_field is not None:
        body[endpoint.max_field] = ask.max_tokens
    where, content = (f"/{ask.endpoint}", ""), ("application/json", msgspec.json.encode(body))
    call = read_call(endpoint, "POST", where, content)
    done = dress(call, plan.use or NO_USE, ask.variables, plan.defaults)
    return done.call, replace(plan, defaults=done.defaults), done.adjusted


def _sharing(caller: Caller, call: Call, plan: Plan) -> dict[str, Any]:
    """Whether it may be served with the reply to another call; an empty prompt is kept like any other."""
    wish = wish_for(first_said((caller.sharing, plan.sharing)), call, plan.defaults, (), zdr=caller.zdr)
    rules = wish.cache
    cache = None if rules is None else {"ttl_seconds": rules.ttl_seconds, "when": rules.when, "of": rules.scope}
    return {"coalesce": wish.coalesce, "cache": cache, "bypassed": wish.bypassed}


def _sent(admin_api: AdminApi, call: Call, plan: Plan, maximum: int | None) -> dict[str, str]:
    """The first attempt's request, where the provider speaks the client's protocol."""
    target = plan.targets[0]
    provider = admin_api.settings.providers[target.provider]
    members = members_for(call, plan.defaults, provider, maximum)
    change = Change(target.model if plan.rewrite else None, tuple(members.items()))
    body = b"".join(outgoing(call, change)).decode("utf-8", "replace")
    return {"method": call.method, "url": url_for(provider, call), "body": body}


def _quote(admin_api: AdminApi, call: Call, plan: Plan, caller: Caller) -> tuple[Quote, int]:
    """What it may cost, and the tokens that limits would reserve for it. Raises `Unknown` for more than it may ask for."""
    target = plan.targets[0]
    provider = admin_api.settings.providers[target.provider]
    rules = admin_api.settings.money.rules
    try:
        weight, _ = most_output(caller, call, weigh(call, plan.defaults), plan.use)
    except InvalidValue as error:
        raise Unknown(error.message) from None
    return quote_for(weight, provider, [(plan.label, target.model)], admin_api.prices, rules), weight.likely_tokens
