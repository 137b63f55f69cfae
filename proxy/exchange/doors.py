"""The doors of providers, and the breakers before them."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.retries.breaker import Breakers
from proxy.policy.tenants import Accounts
from proxy.policy.values import Provider


class Doors:
    """Breakers before every provider but the built-in mock, whose failures are ordered: those of everybody, and those of the
    tenants with keys of their own, as far as they have called."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.everybodys = _breakers_before(accounts.providers.values())
        self.of_tenants: dict[str, Breakers] = {}

    def of(self, tenant: str) -> Breakers:
        """Those of everybody, or of the tenant whose key it is: what becomes of one's calls is nothing to others."""
        if not tenant:
            return self.everybodys
        found = self.of_tenants.get(tenant)
        if found is None:
            found = self.of_tenants[tenant] = _breakers_before(self._accounts.with_key_of(tenant).values())
        return found

    def take_over(self, before: Doors) -> None:
        """Go on with what is known of doors that are the same."""
        for tenant in ("", *before.of_tenants):
            new, old = self._accounts.with_key_of(tenant), before._accounts.with_key_of(tenant)
            names = [name for name, one in old.items() if name in new and door_of(one) == door_of(new[name])]
            self.of(tenant).take_over(before.of(tenant), names)


def _breakers_before(providers: Iterable[Provider]) -> Breakers:
    return Breakers(provider.name for provider in providers if provider.kind != "mock")


def door_of(provider: Provider) -> tuple[object, ...]:
    """Where and as who a provider is reached."""
    return provider.kind, provider.base_url, provider.api_key, provider.headers, provider.proxy, provider.ca_file
