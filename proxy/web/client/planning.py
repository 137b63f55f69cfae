"""Where a call may go: the model it names or is about, else the provider that has what it asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxy.errors import ModelNotFound, NoHealthyUpstream
from proxy.exchange.listening import Listener
from proxy.exchange.record import Record
from proxy.exchange.routing.trials import plan_of
from proxy.policy.money.alerts import percent_text
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import Subject, judge_scope
from proxy.policy.names.access import check_shared, check_unnamed, choose, may_serve, named_provider, routed
from proxy.policy.quality.reading import wanted_of
from proxy.policy.routing.sessions import prefix_of
from proxy.policy.tenants import scopes_of, tenants_of
from proxy.policy.use_cases.dress import dress, given_variables
from proxy.policy.use_cases.values import NO_USE
from proxy.policy.values import Caller, Plan, Target
from proxy.wire.call import Call

if TYPE_CHECKING:
    from proxy.exchange.client import Client
    from proxy.web.client.heads import Head
    from proxy.web.client.parts import Parts


def plan_for(parts: Parts, caller: Caller, call: Call, head: Head, record: Record) -> Plan:
    """Where this call may go. Calls that carry no model go as they are to the provider they name, else to the default
    one; those about a model to who would be sent its name, those about a response in the background to who has it.

    Raises `CallerError`s, and `NoHealthyUpstream` where there is no provider.
    """
    is_named = head.route is not None or call.ours.provider is not None
    named = named_provider(parts.names, head.route, call.ours.provider) if is_named else None
    if head.model is not None:
        targets = choose(caller, parts.names, head.model, named).targets
        return Plan(targets[:1], call.endpoint.name, rewrite=False)
    if not call.endpoint.carries_model:
        return _unnamed(parts, caller, call, named)
    plan = choose(caller, parts.names, call.model, named)
    if named is not None and plan.stages:
        plan = replace(plan, stages=())  # the call says where it goes
    for name in call.also_models:
        if not may_serve(caller, parts.names, name):
            raise ModelNotFound("A model named in `models` or `fallbacks` is not available here.", param="models")
    plan = _tried(parts, plan, (head, caller), call, record) if plan.experiment else plan
    return plan if plan.pool is None else routed(parts.features, plan, caller)


def _tried(parts: Parts, plan: Plan, asker: tuple[Head, Caller], call: Call, record: Record) -> Plan:
    """The plan of the arm that this call belongs to; shadow arms get their copies."""
    trial, (head, caller) = parts.trials.find(plan.experiment), asker
    if trial is None or not parts.features.is_on("experiments", caller.name):
        return plan
    place, shadow = 0, trial.shadow_of(caller.name)
    if shadow is None:
        unit = record.request_id.encode()
        if trial.experiment.sticky == "session":
            unit = record.marks.session.encode() or prefix_of(call)
        place = parts.trials.assign(trial, caller.name, unit)
        for one in trial.copied(record.request_id):
            if parts.copies is not None:
                parts.copies.copy(one.scope, head, caller, call)
    found = plan_of(trial, place if shadow is None else shadow, plan, caller, parts.names)
    if found is None:
        if shadow is not None:
            raise ModelNotFound("The shadow arm of an experiment leads nowhere.", param="model")
        return plan
    record.arm = trial.arm(place if shadow is None else shadow)
    return found


def _unnamed(parts: Parts, caller: Caller, call: Call, named: str | None) -> Plan:
    """For a call that carries no model."""
    home = parts.exchange.admission.accounting.background.home_of(call, caller.tenant)
    usual = home or parts.default_provider
    if not usual:
        raise NoHealthyUpstream("No provider is configured.")
    check_unnamed(caller, named or usual, usual)
    if home is None or named not in (None, home):
        check_shared(caller, call.endpoint, named or usual)
    return Plan((Target(named or usual, ""),), call.endpoint.name, rewrite=False)


def listed_models(parts: Parts, head: Head, caller: Caller) -> bytes | None:
    """Our own answer to the model list, or None for paths that are the provider's to answer."""
    if head.path == "/models":
        return parts.models.all(caller, head.query, anthropic=head.speaks_anthropic)
    if head.model is None or (one := parts.models.one(caller, head.model, anthropic=head.speaks_anthropic)) is None:
        return None
    plan = choose(caller, parts.names, head.model)
    provider = parts.exchange.providers[plan.targets[0].provider]
    parts.exchange.admission.check_listed(scopes_of(caller), provider, plan)
    return one


def staged(parts: Parts, plan: Plan, call: Call, record: Record, caller: Caller) -> Plan:
    """The plan as far as the call lets others serve it, begun where what is spent of its budgets wants it."""
    if plan.use is not None and plan.use.watch is not None and not parts.features.is_on("quality", caller.name):
        plan = replace(plan, use=replace(plan.use, watch=None))
    if not call.ours.fallback:
        return replace(plan, targets=plan.targets[:1], stages=())
    if plan.stages:
        plan, threshold = begun_at(plan, _spent_part(parts.exchange.admission.accounting.books, plan, record, caller))
        record.fallback = threshold or record.fallback
    return plan


def begun_at(plan: Plan, part: int) -> tuple[Plan, str]:
    """The plan begun where it is to be with so much of the tightest budget spent, in hundredths of a percent; and from which
    part on that is, in words, "" where it begins as ever."""
    for threshold, targets in reversed(plan.stages):
        if part >= threshold and targets:
            rest = (target for target in plan.targets[1:] if target not in targets)
            return replace(plan, targets=(plan.targets[0], *targets, *rest), start=1, pool=None), percent_text(
                threshold
            )
    return plan, ""


def _spent_part(books: Books, plan: Plan, record: Record, caller: Caller) -> int:
    """Of the budgets that bind the first target; those of somebody's own only while they are in memory."""
    first, marks = plan.targets[0], record.marks
    names = (plan.label, first.model, f"{first.provider}/{first.model}", record.model or "")
    subject = Subject(caller.name, first.provider, names, marks.tags, marks.session, tenants_of(caller))
    return books.spent_part(books.under(scopes_of(caller), subject), time.time())


def dressed(call: Call, plan: Plan, variables: str | None, record: Record) -> tuple[Call, Plan]:
    """The call and the plan as the model's entry wants them. `variables` is the header of that name."""
    given = given_variables(call, variables)
    done = dress(call, plan.use or NO_USE, given, plan.defaults)
    record.use_case, record.dressed = plan.use.version if plan.use else "", done.adjusted
    return done.call, replace(plan, defaults=done.defaults)


def listen(parts: Parts, client: Client, plan: Plan, call: Call, caller: Caller) -> None:
    """Remember how the reply begins, where the model's entry wants replies looked at."""
    watch = None if plan.use is None else plan.use.watch
    if watch is None or call.endpoint.max_field is None or caller.name.startswith(judge_scope("")):
        return
    observers = parts.observers if watch.slow == "p95" or watch.judge is not None else None
    observer = None if observers is None else observers.observer_for(client.record, call, watch, caller)
    client.record.listener = client.connection = Listener(client.connection, watch, wanted_of(call), observer)
