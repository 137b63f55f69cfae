"""The doors of providers, and the breakers before them."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.retries.breaker import Breakers
from proxy.policy.values import Provider


def breakers_before(providers: Iterable[Provider]) -> Breakers:
    """A breaker before every provider but the built-in mock."""
    return Breakers(provider.name for provider in providers if provider.kind != "mock")


def door_of(provider: Provider) -> tuple[object, ...]:
    """Where and as who a provider is reached."""
    return provider.kind, provider.base_url, provider.api_key, provider.headers, provider.proxy, provider.ca_file
