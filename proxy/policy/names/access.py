"""Which models a key may use."""

from __future__ import annotations

from fnmatch import fnmatchcase

from proxy.errors import EndpointNotServed, ModelNotFound
from proxy.policy.names.resolution import Names, model_not_found
from proxy.policy.values import Caller, Plan
from proxy.wire.endpoints import Endpoint


def choose(caller: Caller, names: Names, model: str | None) -> Plan:
    """Return the plan for what a caller asks; unknown and not allowed fail alike, naming only
    what the caller may use."""
    try:
        plan = names.look_up(model).plan
        if may_use(caller, names, model):
            return plan
    except ModelNotFound:
        pass
    raise model_not_found(model or "", allowed_models(caller, names))


def may_use(caller: Caller, names: Names, model: str | None) -> bool:
    """Whether a caller may ask for `model`: by the alias asked for or by the `author/slug` it leads to.

    The fallbacks of an alias ride with it. Raises ModelNotFound for a name that leads nowhere.
    """
    if not caller.models:
        return True
    found = names.look_up(model)
    return _matches(caller, found.plan.label) or _matches(caller, found.slug)


def may_serve(caller: Caller, names: Names, name: str) -> bool:
    """Whether a model named inside the body (`models`, `fallbacks`) may serve a caller. Such a
    name goes upstream as it is, so that an alias of ours does not count."""
    return not caller.models or _matches(caller, names.slug_of(name))


def allowed_models(caller: Caller, names: Names) -> list[str]:
    """Return the names to list for a caller: aliases first, then models."""
    return [name for name in names.offered() if not caller.models or _may_list(caller, names, name)]


def check_endpoint(caller: Caller, endpoint: Endpoint) -> None:
    """Raise `EndpointNotServed` where a caller may use named models only, and which one would work cannot be told."""
    if caller.models and endpoint.unbounded:
        raise EndpointNotServed(
            f"This key may use named models only (`models:`), and which model {_named(endpoint)} uses cannot be told. "
            "A key without a list of models may use it."
        )


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.name!r}" if endpoint.listed else "this method and path, which Tollkeeper does not know,"


def _may_list(caller: Caller, names: Names, name: str) -> bool:
    """Whether an offered name may be used; an alias that leads nowhere may not."""
    try:
        return may_use(caller, names, name)
    except ModelNotFound:
        return False


def _matches(caller: Caller, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in caller.models)
