"""The ways of calls to providers, and the breakers before these."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.exchange.client import SERVER
from proxy.exchange.entry import Tried
from proxy.exchange.failure import Failure, not_private, shut, unhealthy
from proxy.exchange.job import Job
from proxy.exchange.prepared import Route
from proxy.exchange.spoken_apis import api_of, not_served
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.vendors import vendor_of
from proxy.policy.privacy import keeps_nothing
from proxy.policy.retries.breaker import Breakers
from proxy.policy.tenants import Accounts
from proxy.policy.values import Provider, Target
from proxy.wire.headers import safe


class Routes:
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

    def provider_of(self, job: Job, target: Target) -> Provider:
        """A provider as the caller's tenant has it."""
        own = job.caller.own
        return own[target.provider] if target.provider in own else self._accounts.providers[target.provider]

    def route_to(self, job: Job, number: int, prices: PriceBook) -> Route:
        """The way to one of its targets, to be found again by calls alike."""
        target, label, call = job.plan.targets[number], job.plan.label, job.call
        provider = self.provider_of(job, target)
        if number or job.plan.experiment:  # fallbacks and arms have no alias of their own in a plan
            label = prices.label_for(target, label, call.model) or (label if number == 0 else "")
        is_barred = _bar(job, provider) is not None
        names, answered = (label, target.model), (Tried(target.provider, target.model, "200"),)
        about = names, is_barred, api_of(call, provider), answered, _who_answered(target)
        route = Route(target, provider, self.of(provider.tenant), *about)
        if job.prepared is not None:
            job.prepared.routes[number] = route
        return route

    def closed(self, job: Job, route: Route, seconds: float, prices: PriceBook) -> Failure:
        """The outcome of an attempt not made: a breaker is open, and so many seconds it will be."""
        is_whole = route.breakers.by_provider[route.target.provider].is_open
        names = job.plan.label, route.target.model  # a server of one's own may have more models than it lists
        near = None if vendor_of(route.provider) is None else prices.unlisted(route.provider, *names)
        return unhealthy(route.provider, seconds, near, is_whole=is_whole)

    def take_over(self, before: Routes) -> None:
        """Go on with what is known of servers that are the same."""
        for tenant in ("", *before.of_tenants):
            new, old = self._accounts.with_key_of(tenant), before._accounts.with_key_of(tenant)
            names = [name for name, one in old.items() if name in new and server_of(one) == server_of(new[name])]
            self.of(tenant).take_over(before.of(tenant), names)


def _breakers_before(providers: Iterable[Provider]) -> Breakers:
    return Breakers(provider.name for provider in providers if provider.kind != "mock")


def server_of(provider: Provider) -> tuple[object, ...]:
    """Where and as who a provider is reached."""
    return provider.kind, provider.base_url, provider.api_key, provider.headers, provider.proxy, provider.ca_file


def _who_answered(target: Target) -> str:
    """Lines of a reply's head, from behind the id of its call up to the number of its attempts."""
    named = [SERVER, ("x-tollkeeper-provider", target.provider), ("x-tollkeeper-model", safe(target.model))]
    lines = map(": ".join, named if target.model else named[:2])
    return "\r\n".join(["", *lines, "x-tollkeeper-attempts: "])


def barred(job: Job, route: Route, providers: Iterable[Provider]) -> Failure:
    """The outcome of an attempt not made: none may be, or it is served by others of the `providers` alone."""
    return _bar(job, route.provider) or not_served(route.provider, job.call, providers)


def _bar(job: Job, provider: Provider) -> Failure | None:
    """Why no attempt may be made there, whatever it speaks; None where one may."""
    if provider.shut:
        return shut(provider)
    if job.caller.zdr and not keeps_nothing(provider, job.call):
        return not_private(provider, job.call)
    return None
