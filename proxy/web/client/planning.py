"""Where a call may go: the model it names or is about, else the provider that has what it asks for."""

from __future__ import annotations

from proxy.errors import ModelNotFound, NoHealthyUpstream
from proxy.policy.names.access import check_shared, check_unnamed, choose, may_serve, named_provider
from proxy.policy.tenants import scopes_of
from proxy.policy.values import Caller, Plan, Target
from proxy.web.client.heads import Head
from proxy.web.client.parts import Parts
from proxy.wire.call import Call


def plan_for(parts: Parts, caller: Caller, call: Call, head: Head) -> Plan:
    """Where this call may go. Calls that carry no model go as they are to the provider they name, else to the default
    one; those about a model to who would be sent its name, those about a response in the background to who has it.

    Raises `CallerError`s, and `NoHealthyUpstream` where there is no provider.
    """
    is_named = head.route is not None or call.provider is not None
    named = named_provider(parts.names, head.route, call.provider) if is_named else None
    if head.model is not None:
        targets = choose(caller, parts.names, head.model, named).targets
        return Plan(targets[:1], call.endpoint.name, rewrite=False)
    if not call.endpoint.carries_model:
        return _unnamed(parts, caller, call, named)
    plan = choose(caller, parts.names, call.model, named)
    for name in call.also_models:
        if not may_serve(caller, parts.names, name):
            raise ModelNotFound("A model named in `models` or `fallbacks` is not available here.", param="models")
    return plan


def _unnamed(parts: Parts, caller: Caller, call: Call, named: str | None) -> Plan:
    """For a call that carries no model."""
    home = parts.exchange.toll.keeping.background.home_of(call, caller.tenant)
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
        return parts.models.all(caller, anthropic=head.speaks_anthropic)
    if head.model is None or (one := parts.models.one(caller, head.model, anthropic=head.speaks_anthropic)) is None:
        return None
    plan = choose(caller, parts.names, head.model)
    provider = parts.exchange.providers[plan.targets[0].provider]
    parts.exchange.toll.check_listed(scopes_of(caller), provider, plan)
    return one
