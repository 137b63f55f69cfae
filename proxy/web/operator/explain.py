"""What would become of a call: where its name goes, what it may cost, and what every budget says to that."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from proxy.config.problems import suggestion
from proxy.dialects.contract import url_for
from proxy.errors import BudgetExceeded, InvalidValue, ModelNotFound
from proxy.exchange.attempt import members_for
from proxy.exchange.refusals import code_of, spent_up
from proxy.exchange.routing import Router
from proxy.exchange.trials import plan_of
from proxy.policy.money.account import Exceeded, InFlight, Standing
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.books import Books
from proxy.policy.money.bounds import Bound
from proxy.policy.money.budgets import GLOBAL, Subject
from proxy.policy.money.prices import FREE_OF_CHARGE, Price
from proxy.policy.money.quote import Go, Quote, Refuse, decide, judge_in_shadow, quote_for
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import choose, named_provider, routed
from proxy.policy.routing.deciding import planned, refused_for_money
from proxy.policy.routing.values import Ask as Asked
from proxy.policy.routing.values import Decision
from proxy.policy.routing.words import decision_of
from proxy.policy.sharing import first_said, wish_for
from proxy.policy.tenants import most_output, scopes_of, tenants_of
from proxy.policy.use_cases.dress import dress
from proxy.policy.use_cases.values import NO_USE
from proxy.policy.values import Caller, Plan
from proxy.web.client.keys import OPEN
from proxy.web.client.planning import begun_at
from proxy.web.operator.admin_api import AdminApi, Unknown, standing_row
from proxy.web.operator.tenants import order_of
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import MODEL_ROWS
from proxy.wire.outgoing import Change, outgoing

_PER_MILLION = Decimal(1_000_000)


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


class _Hold(Struct, frozen=True):
    """The hold a call would take, or the verdict that ends it before (`amount_pusd` None)."""

    verdict: str
    amount_pusd: int | None = None
    maximum: int | None = None


def explain(admin_api: AdminApi, ask: ExplainAsk, now: float) -> dict[str, Any]:
    """Everything that decides about a call. Raises `Unknown` for names nobody knows, and what is wrong with variables."""
    caller = caller_of(admin_api, ask.key)
    plan, experiment, decision, fallback = _plan(admin_api, ask, caller)
    call, plan, adjusted = _call(ask, plan)
    quote, tokens = _quote(admin_api, call, plan, caller)
    scopes = scopes_of(caller)
    under = admin_api.under(scopes, _subject(caller, ask, plan))
    denied = None if admin_api.limiter is None else admin_api.limiter.of(scopes).judge(tokens, time.monotonic_ns())
    hold = _hold(admin_api, quote, (under, caller.name), now)
    shadows = _shadows(admin_api, quote, (under, caller.name), now)
    limits = (
        [] if admin_api.limiter is None else admin_api.limiter.denied_in_shadow(scopes, tokens, time.monotonic_ns())
    )
    return {
        "model": ask.model,
        "key": caller.name or None,
        "tenant": caller.tenant or None,
        "order": [asdict(each) for each in order_of(admin_api, caller, ask.model, plan)],
        "target": plan.label,
        "decision": decision,
        "fallback": fallback,
        "targets": [{"provider": target.provider, "model": target.model} for target in plan.targets],
        "experiment": experiment,
        "use_case": plan.use.version if plan.use else None,
        "sharing": _sharing(caller, call, plan),
        "sent": _sent(admin_api, call, plan, hold.maximum),
        "adjusted": list(adjusted),
        "price": _price(quote),
        "hold": _bound(quote, hold),
        "tool_uses": admin_api.settings.money.rules.tool_uses,
        "budgets": [_row(one, hold, shadows) for one in admin_api.books.standings(under, now)],
        "verdict": hold.verdict if denied is None else f"refused with 429 {code_of(denied.limit)} by {denied.limit.id}",
        "shadow_rejections": [
            *(f"{code_of(limit)} by {limit.id}" for limit in limits),
            *(f"{code} by {budget}" for budget, (_, code) in shadows.items() if code is not None),
        ],
    }


def _row(standing: Standing, hold: _Hold, shadows: dict[str, tuple[int, str | None]]) -> dict[str, Any]:
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


def _plan(
    admin_api: AdminApi, ask: ExplainAsk, caller: Caller
) -> tuple[Plan, dict[str, Any] | None, Decision | None, str]:
    """The last is from which part of the budget on it begins elsewhere."""
    try:
        at = None if ask.provider is None else named_provider(admin_api.names, None, ask.provider)
        plan, experiment = _tried(admin_api, ask, choose(caller, admin_api.names, ask.model, at), caller)
        plan, fallback = _begun(admin_api, ask, caller, plan) if plan.stages and at is None else (plan, "")
        plan, decision = _decided(admin_api, routed(admin_api.settings.features, plan, caller), caller, ask.max_tokens)
        return plan, experiment, decision, fallback
    except (ModelNotFound, InvalidValue) as error:
        raise Unknown(error.message) from None


def _begun(admin_api: AdminApi, ask: ExplainAsk, caller: Caller, plan: Plan) -> tuple[Plan, str]:
    """The plan with what comes first as much of the budgets is spent now."""
    under = admin_api.under(scopes_of(caller), _subject(caller, ask, plan))
    begun, threshold = begun_at(plan, admin_api.books.spent_part(under, time.time()))
    first = begun.targets[begun.start]
    led = admin_api.prices.label_for(first, plan.label, ask.model) or f"{first.provider}/{first.model}"
    label = led if threshold else plan.label
    return replace(begun, targets=begun.targets[begun.start :], start=0, label=label), threshold


def _decided(admin_api: AdminApi, plan: Plan, caller: Caller, maximum: int | None) -> tuple[Plan, Decision | None]:
    """Where there are several candidates: what a call with an empty prompt would be told."""
    if plan.pool is None:
        return plan, None
    router = admin_api.router or Router(admin_api.settings, admin_api.names, admin_api.prices)
    strategy, asked = router.strategy(plan.pool.strategy), Asked(output_tokens=maximum or 0)
    asked = router.bound_by(admin_api.books, (scopes_of(caller), caller.name), strategy, asked)
    choice, health = router.rehearse(plan.pool, (caller, plan), asked)
    order = choice.order or refused_for_money(choice)
    return planned(plan, order) if order else plan, decision_of(choice, asked, health, "")


def _tried(admin_api: AdminApi, ask: ExplainAsk, plan: Plan, caller: Caller) -> tuple[Plan, dict[str, Any] | None]:
    """The arm that such a call has, where that can be told; the shares of all."""
    trial = None if admin_api.trials is None else admin_api.trials.find(plan.experiment)
    if admin_api.trials is None or trial is None or not admin_api.settings.features.is_on("experiments", caller.name):
        return plan, None
    experiment, arm = trial.experiment, None
    if experiment.sticky == "key" or (experiment.sticky == "session" and ask.session):
        place = admin_api.trials.assign(trial, caller.name, ask.session.encode())
        arm, plan = experiment.arms[place].target, plan_of(trial, place, plan, caller, admin_api.names) or plan
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


def _hold(admin_api: AdminApi, quote: Quote, whose: tuple[tuple[str, ...], str], now: float) -> _Hold:
    """What `Admission.hold` would decide, without waiting."""
    scopes, key = whose
    if quote.is_free:
        return _Hold("goes: it is free of charge", 0)
    if not admin_api.books.is_bound(scopes):
        return _Hold("goes: no budget applies", quote.most_pusd)
    if quote.bound is None:
        if admin_api.settings.money.rules.unpriced == "deny":
            return _Hold(_refused(quote))
        return _Hold("goes: it has no price, and budget_policy.unpriced allows that", 0)
    return _judged(admin_api.books, quote, quote.bound, (scopes, key), now)


def _shadows(
    admin_api: AdminApi, quote: Quote, whose: tuple[tuple[str, ...], str], now: float
) -> dict[str, tuple[int, str | None]]:
    """What each budget in shadow would hold, and what it would refuse the call with, by its id."""
    rules, rooms = admin_api.settings.money.rules, admin_api.books.shadow_rooms(*whose, now)
    return {budget_id: judge_in_shadow(quote, room, rules) for budget_id, room in rooms}


def _refused(quote: Quote) -> str:
    """Why a call that nothing bounds the cost of is refused."""
    near = None if quote.unbounded is None else quote.unbounded.near
    if near is None:
        return "refused with 402 model_not_priced: nothing bounds what it may cost"
    alike = f"; near it: {', '.join(near)}" if near else ""
    return f"refused with 404 model_not_found: no list of models has this name{alike}"


def _judged(books: Books, quote: Quote, bound: Bound, whose: tuple[tuple[str, ...], str], now: float) -> _Hold:
    scopes, key = whose
    room = books.room(scopes, key, now)
    assert room is not None
    decision = decide(bound, room, may_lower=quote.may_lower)
    if isinstance(decision, Go):
        lowered = "" if decision.maximum is None else f", its maximum of output tokens set to {decision.maximum}"
        return _Hold(f"goes{lowered}", decision.hold_pusd, decision.maximum)
    verdict = books.judge(scopes, key, decision.least_pusd, now)
    in_the_way = verdict.budget.id if isinstance(verdict, InFlight | Exceeded) else ""
    if isinstance(decision, Refuse):
        code = spent_up(verdict.budget).code if isinstance(verdict, Exceeded) else BudgetExceeded.code
        return _Hold(f"refused with 402 {code} by {in_the_way}")
    return _Hold(f"waits, then 429 budget_in_flight: calls under way hold {in_the_way}", decision.least_pusd)


def _bound(quote: Quote, hold: _Hold) -> dict[str, Any]:
    """The hold in numbers; a prompt adds its bytes, at the price of input."""
    bound = quote.bound
    return {
        "usd": None if hold.amount_pusd is None else usd_text(hold.amount_pusd),
        "most_usd": None if quote.most_pusd is None else usd_text(quote.most_pusd),
        "least_usd": usd_text(quote.least_pusd),
        "output_tokens": hold.maximum or (None if bound is None else bound.output_tokens),
    }


def _price(quote: Quote) -> dict[str, Any] | None:
    """USD per million tokens, in as few digits as say it."""
    if quote.price is None:
        return None
    if quote.price == FREE_OF_CHARGE:
        return {"input_usd": "0", "output_usd": "0", "cached_input_usd": "0"}
    names = ("input_usd", "output_usd", "cached_input_usd")
    return {name: _per_million(quote.price, name) for name in names}


def _per_million(price: Price, name: str) -> str | None:
    usd = getattr(price, name)
    return None if usd is None else f"{(usd * _PER_MILLION).normalize():f}"
