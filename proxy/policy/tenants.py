"""Tenants: whose a key is, and what its calls are judged by for that.

Where somebody chooses (a model, a credential, a translation) the nearest counts: key, tenant, parent, everybody's. What
bounds (models, limits, budgets, the largest output, privacy) holds at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from msgspec.structs import replace

from proxy.errors import InvalidValue
from proxy.policy.money.budgets import GLOBAL, key_scope, tenant_scope
from proxy.policy.money.weight import Weight, capped
from proxy.policy.use_cases.values import UseCase
from proxy.policy.values import Caller, Credential, Provider, Tenant
from proxy.wire.call import MAXIMA, Call

# what a provider's entry may say in the place of its key, in any case
SECRET_HEADERS = frozenset(("authorization", "x-api-key", "api-key", "cookie"))


Tenants = Mapping[str, Tenant]
_MARK = "#"


def lineage(tenants: Tenants, name: str) -> Iterator[Tenant]:
    """A tenant and its parent. Raises KeyError where there is no such tenant."""
    tenant = tenants[name]
    yield tenant
    if tenant.parent is not None:
        yield tenants[tenant.parent]


def is_within(tenants: Tenants, name: str, of: str) -> bool:
    """Whether what belongs to the tenant `name` (of a key, of a row; "" is nobody's) is `of`'s or a child's of it."""
    return name == of or (name in tenants and tenants[name].parent == of)


def children(tenants: Tenants, name: str) -> list[str]:
    """The tenants that have this one as their parent."""
    return [tenant.name for tenant in tenants.values() if tenant.parent == name]


def owner_of(caller: Caller) -> str:
    """Whose files, jobs and kept replies are: a key made again under its name finds none of them, nor does one that belongs to
    another tenant now."""
    owner = caller.owner or caller.name
    return f"{caller.tenant}/{owner}" if caller.tenant else owner


def new_owner(name: str, mark: str) -> str:
    """As what the things of a new key are known: no name of a key has such a mark in it."""
    return f"{name}{_MARK}{mark}"


def name_of_owner(owner: str) -> str:
    """What the key was called when it was made, of a tenant `tenant/key`."""
    return owner.partition(_MARK)[0]


def scopes_of(caller: Caller) -> tuple[str, ...]:
    """Whose budgets and limits its calls fall under, the nearest first."""
    return caller.scopes or (key_scope(caller.name), GLOBAL)


def tenants_of(caller: Caller) -> tuple[str, ...]:
    """The tenant of a key, and its parent."""
    scopes = [scope.partition(":") for scope in caller.scopes]
    return tuple(name for kind, _, name in scopes if kind == "tenant")


def in_name_of(scope: str, caller: Caller) -> Caller:
    """Whoever makes a call of our own for one of this caller's: nobody's key, under a budget of that scope and those of the
    caller's tenant and of everybody; with the keys of that tenant and its privacy."""
    tenants = tuple(tenant_scope(name) for name in tenants_of(caller))
    return replace(caller, name=scope, owner="", models=(), also=(), timing=False, scopes=(scope, *tenants, GLOBAL))


def own_scopes(caller: Caller) -> tuple[str, ...]:
    """Of those, the ones whose state its holder may read: not what others use up as well, where there are tenants."""
    scopes = scopes_of(caller)
    return tuple([scope for scope in scopes if is_own(caller, scope)]) if caller.tenant else scopes


def is_own(caller: Caller, scope: str) -> bool:
    """Whether figures of a budget or limit of this scope may be told to the caller."""
    return not caller.tenant or scope in (key_scope(caller.name), tenant_scope(caller.tenant))


def most_output(caller: Caller, call: Call, weight: Weight, use: UseCase | None = None) -> tuple[Weight, int | None]:
    """What a call weighs under its tenant's largest output, and the maximum to put in, where the client sets none. One that
    the overrides of its name set is the operator's word, and wins.

    Raises `InvalidValue` where the client asks for more.
    """
    most = caller.max_output
    if most is None or call.endpoint.max_field is None or call.document is None or (use and use.sets_maximum):
        return weight, None
    is_bound = False
    for name in [name for name in call.max_fields if name in MAXIMA[call.endpoint.shape]]:
        asked = _number(call.document.value(name))
        if asked > most:
            raise InvalidValue(
                f"'{name}' is above the largest output of this key's tenant: {most} tokens (`tenants.{caller.tenant}.max_output`).",
                param=name,
            )
        is_bound = is_bound or asked > 0  # what is none to a provider, or to nobody, is no bound
    if is_bound or (weight.requested.maximum is not None and weight.requested.maximum <= most):
        return weight, None
    return capped(weight, most), most


def _number(value: Any) -> float:
    """Some servers take a number for one though it stands in quotes; 0 for what is none."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except OverflowError:
        return inf
    except (TypeError, ValueError):
        return 0.0
    return number if number == number else 0.0  # not a number is none


class Accounts:
    """The providers as each tenant has them: with its own key, else its parent's, else everybody's."""

    def __init__(self, providers: Mapping[str, Provider], tenants: Tenants) -> None:
        """Work out once what every call needs."""
        self.providers = providers
        self.tenants = tenants
        self.own = {name: found for name in tenants if (found := self._own(name))}

    def find(self, name: str, tenant: str) -> Provider | None:
        """A provider as this tenant has it."""
        return self.own.get(tenant, {}).get(name) or self.providers.get(name)

    def with_key_of(self, tenant: str) -> Mapping[str, Provider]:
        """The providers that a tenant has keys of its own for, not its parent's; of "" everybody's."""
        if not tenant:
            return self.providers
        return {name: one for name, one in self.own.get(tenant, {}).items() if one.tenant == tenant}

    def resolved(self, caller: Caller) -> Caller:
        """The caller with all that its tenant says. Raises KeyError where there is no such tenant."""
        if not caller.tenant:
            return caller
        line = list(lineage(self.tenants, caller.tenant))
        largest = [tenant.max_output for tenant in line if tenant.max_output is not None]
        return replace(
            caller,
            also=tuple(tenant.models for tenant in line if tenant.models),
            scopes=(key_scope(caller.name), *(tenant_scope(tenant.name) for tenant in line), GLOBAL),
            lossy=next((lossy for lossy in (caller.lossy, *(t.lossy for t in line)) if lossy), None),
            zdr=caller.zdr or any(tenant.zdr for tenant in line),
            default_model=next((tenant.default_model for tenant in line if tenant.default_model), None),
            max_output=min(largest, default=None),
            own=self.own.get(caller.tenant, {}),
        )

    def _own(self, name: str) -> dict[str, Provider]:
        found: dict[str, Provider] = {}
        for tenant in lineage(self.tenants, name):
            for provider, credential in tenant.credentials.items():
                if provider in self.providers and provider not in found:
                    found[provider] = _with_own_key(self.providers[provider], tenant.name, credential)
        return found


def _with_own_key(provider: Provider, tenant: str, credential: Credential) -> Provider:
    """Nothing of anybody else's goes along."""
    is_off = provider.shut and not provider.is_unreadable
    return replace(
        provider,
        tenant=tenant,
        api_key=None if credential.unreadable else credential.key,
        admin_key=None,
        key_source=credential.source,
        headers=tuple((name, value) for name, value in provider.headers if name.lower() not in SECRET_HEADERS),
        shut=provider.shut if is_off else credential.unreadable,
        is_unreadable=not is_off and bool(credential.unreadable),
    )
