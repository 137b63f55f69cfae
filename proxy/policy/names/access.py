"""Which models a key may use."""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec.structs import replace

from proxy.errors import EndpointNotServed, InvalidValue, ModelNotFound
from proxy.policy.features import Features
from proxy.policy.names.catalogue import closest
from proxy.policy.names.resolution import Names, model_not_found
from proxy.policy.values import Caller, Plan, Target
from proxy.wire.endpoints import Endpoint

ROUTE = "x-tollkeeper-route"  # the header by which a call names its provider


def choose(caller: Caller, names: Names, model: str | None, at: str | None = None) -> Plan:
    """Return the plan for what a caller asks, `at` being the provider the call names; unknown and not allowed fail
    alike, naming only what the caller may use."""
    if model is None and caller.default_model is not None:
        model = _usual_model(caller.default_model, names, at)
    try:
        found = names.look_up(model, at)
        plan = found.plan if caller.name not in names.switched_keys else names.left_for(caller.name, found)
        if may_use(caller, names, model, at):
            return plan
    except ModelNotFound:
        pass
    raise model_not_found(model or "", allowed_models(caller, names))


def _usual_model(model: str, names: Names, at: str | None) -> str | None:
    """The default model of a caller's tenant; None where the provider that the call names does not have it."""
    try:
        if at is not None:
            names.look_up(model, at)
    except (ModelNotFound, InvalidValue):
        return None
    return model


def named_provider(names: Names, route: str | None, member: str | None) -> str:
    """The provider that a call names by the header `x-tollkeeper-route` or by the body's `tollkeeper`, or by both.

    Raises InvalidValue where they differ, or there is no such provider.
    """
    if route is not None and member not in (None, route):
        raise InvalidValue(f"The header {ROUTE} and 'tollkeeper.provider' name two providers; keep one.", param=ROUTE)
    name = (member if route is None else route) or ""
    if name in names.providers:
        return name
    near = closest(name, names.providers)
    hint = f"The nearest name is {near[0]}." if near else f"There are: {', '.join(names.providers) or 'none'}."
    param = ROUTE if member is None else "tollkeeper.provider"
    raise InvalidValue(f"No provider of the name that the call gives is configured. {hint}", param=param)


def may_use(caller: Caller, names: Names, model: str | None, at: str | None = None) -> bool:
    """Whether a caller may ask for `model`: by the alias asked for or by the `author/slug` it leads to; of the provider
    `at`, also by the name that begins with it.

    The fallbacks of an alias ride with it. Raises ModelNotFound for a name that leads nowhere.
    """
    if not is_narrowed(caller):
        return True
    found = names.look_up(model, at)
    if found.plan.pool is not None and found.plan.pool.is_auto:
        return True  # it chooses among what the caller may use
    is_listed = _matches(caller, found.plan.label, found.slug)
    return is_listed or (at is not None and _may_name(caller, names, found.plan.targets[0]))


def is_narrowed(caller: Caller) -> bool:
    """Whether the caller may use named models only."""
    return bool(caller.models or caller.also)


def rides(caller: Caller, label: str) -> bool:
    """Whether a caller may use a name under `models:` as it is, whatever it leads to."""
    return not is_narrowed(caller) or _matches(caller, label)


def _may_name(caller: Caller, names: Names, target: Target) -> bool:
    """Whether the caller may ask for a target by `provider/name`, and that is where it would go."""
    name = f"{target.provider}/{target.model}"
    try:
        found = names.look_up(name)
    except ModelNotFound:
        return False
    return found.plan.targets[0] == target and _matches(caller, found.plan.label, found.slug)


def routed(features: Features, plan: Plan, caller: Caller) -> Plan:
    """The plan as far as it may choose among candidates. Where that is switched off, the first of them serves, and what
    chooses among everything is not there."""
    if plan.pool is None or features.is_on("routing", caller.name):
        return plan
    if plan.pool.is_auto:
        raise model_not_found(plan.label, ())
    return replace(plan, pool=None)


def may_serve(caller: Caller, names: Names, name: str) -> bool:
    """Whether a model named inside the body (`models`, `fallbacks`) may serve a caller. Such a
    name goes upstream as it is, so that an alias of ours does not count."""
    return names.is_on(name, caller.name) and (not is_narrowed(caller) or _matches(caller, names.slug_of(name)))


def check_asked(caller: Caller, names: Names, asked: tuple[str, ...]) -> None:
    """Raise `ModelNotFound` where a provider's tool is to ask a model that the caller may not use."""
    for name in asked:
        if not may_serve(caller, names, name):
            raise ModelNotFound("A model named in `tools` is not available here.", param="tools")


def allowed_models(caller: Caller, names: Names) -> list[str]:
    """Return the names to list for a caller: aliases first, then models."""
    everything = not is_narrowed(caller) and caller.name not in names.switched_keys
    return [name for name in names.offered() if everything or _may_list(caller, names, name)]


def check_unnamed(caller: Caller, at: str, usual: str) -> None:
    """Raise `EndpointNotServed` where a caller may use named models only, and a call without a model is to go elsewhere
    than it usually would: what it may reach there no list of models says."""
    if is_narrowed(caller) and at != usual:
        raise EndpointNotServed(
            "This key may use named models only (`models:`), and a call that carries no model goes to the usual provider; "
            f"leave the header {ROUTE} out."
        )


def check_shared(caller: Caller, endpoint: Endpoint, provider: str) -> None:
    """Raise `EndpointNotServed` where a tenant asks for what a provider keeps (files, batches, stored responses) and has no
    account of its own there: it would see what others keep."""
    own = caller.own.get(provider)
    if caller.tenant and (own is None or own.tenant != caller.tenant):
        raise EndpointNotServed(
            f"What {provider} keeps ({_named(endpoint)}) is one for all who share an account there, and the tenant of this key "
            f"has none of its own. `tenants.{caller.tenant}.credentials.{provider}` gives it one."
        )


def check_endpoint(caller: Caller, endpoint: Endpoint) -> None:
    """Raise `EndpointNotServed` where a caller may use named models only, and which one would work cannot be told."""
    if is_narrowed(caller) and endpoint.unbounded:
        raise EndpointNotServed(
            f"This key may use named models only (`models:`), and which model {_named(endpoint)} uses cannot be told. "
            "A key without a list of models may use it."
        )


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.name!r}" if endpoint.listed else "this method and path, which Tollkeeper does not know,"


def _may_list(caller: Caller, names: Names, name: str) -> bool:
    """Whether an offered name may be used; an alias that leads nowhere may not."""
    try:
        if caller.name in names.switched_keys:
            names.left_for(caller.name, names.look_up(name))
        return may_use(caller, names, name)
    except ModelNotFound:
        return False


def _matches(caller: Caller, *names: str) -> bool:
    """Whether each list there is, the key's own and those of its tenants, has one of the names."""
    lists = [patterns for patterns in (caller.models, *caller.also) if patterns]
    return all(any(fnmatchcase(name, pattern) for pattern in patterns for name in names) for patterns in lists)
