"""What happens now: calls under way, the latest that ended, how providers fare; and ending one call."""

from __future__ import annotations

import time
from collections import Counter

from msgspec import Struct

from proxy.errors import CallEnded
from proxy.exchange.record import Record
from proxy.policy.money.amounts import usd_text
from proxy.policy.retries.breaker import Breakers
from proxy.policy.values import Provider
from proxy.web.client.api import Api
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.admin_api import Unknown, instant
from proxy.web.operator.answers import LeftAlone, LiveAnswer, LiveCall, ProviderAnswer, ProvidersAnswer
from proxy.web.operator.live.feed import Feed

_RECENT = 20


class CutAnswer(Struct, frozen=True):
    """A call that was ended by an operator."""

    request_id: str
    ended: bool = True


class Traffic:
    """Reads the records of calls under way; belongs to the event loop. `now` is monotonic seconds."""

    def __init__(self, api: Api, feed: Feed) -> None:
        self.feed = feed
        self._api = api

    def calls(self, bounds: Bounds, now: float) -> LiveAnswer:
        """Calls under way, oldest first, and the latest that ended, newest first; those within bounds."""
        recent = [entry for entry in reversed(self.feed.recent) if bounds.has(entry.tenant)][:_RECENT]
        return LiveAnswer(instant(int(time.time() * 1000)), self.under_way(bounds, now), recent)

    def under_way(self, bounds: Bounds, now: float) -> list[LiveCall]:
        """Calls under way, oldest first."""
        records = sorted(self._api.running.values(), key=lambda record: record.started)
        return [_call(one, now) for one in records if one.endpoint != "health" and bounds.has(one.tenant)]

    def providers(self, now: float) -> ProvidersAnswer:
        """Every configured provider: its breaker, and how many calls it has; and those that fare otherwise for a tenant
        with a key of its own."""
        running = self._api.running.values()
        in_flight = Counter((r.target.provider, r.asked_of.tenant if r.asked_of else "") for r in running if r.target)
        exchange = self._api.parts.exchange
        rows = [_provider(one, exchange.routes.everybodys, in_flight, now) for one in exchange.providers.values()]
        for tenant, breakers in exchange.routes.of_tenants.items():
            for one in exchange.accounts.with_key_of(tenant).values():
                row = _provider(one, breakers, in_flight, now)
                rows += [row] if row.failures or row.in_flight or row.models else []
        return ProvidersAnswer(rows)

    def end(self, request_id: str, bounds: Bounds) -> CutAnswer:
        """End one call; its client is told so. Raises `Unknown` where no such call is under way, within bounds."""
        is_there = any(one.request_id == request_id and bounds.has(one.tenant) for one in self._api.running.values())
        if not is_there or not self._api.cut(request_id, CallEnded("An operator ended this call.")):
            raise Unknown(f"no call {request_id!r} is under way")
        return CutAnswer(request_id)


def _provider(
    provider: Provider, breakers: Breakers, in_flight: Counter[tuple[str, str]], now: float
) -> ProviderAnswer:
    breaker = breakers.by_provider.get(provider.name)
    alone = breakers.open_targets(provider.name)
    return ProviderAnswer(
        provider=provider.name,
        kind=provider.kind,
        base_url=_shown(provider),
        key_source=provider.key_source,
        in_flight=in_flight[provider.name, provider.tenant],
        breaker="none" if breaker is None else "open" if breaker.is_open else "closed",
        failures=0 if breaker is None else breaker.failures,
        retry_in_seconds=round(breaker.seconds_to_probe(now), 3) if breaker and breaker.is_open else None,
        models=[LeftAlone(name, one.failures, round(one.seconds_to_probe(now), 3)) for name, one in alone],
        tenant=provider.tenant or None,
    )


def _shown(provider: Provider) -> str:
    """Its address without a user part, which may be a credential."""
    scheme, slashes, rest = provider.base_url.partition("://")
    return scheme + slashes + rest.rpartition("@")[2]


def _call(record: Record, now: float) -> LiveCall:
    age = now - record.started
    flowing = None if record.first_token_at is None else now - record.first_token_at
    tokens = record.findings.counted_output if record.findings is not None else 0
    return LiveCall(
        request_id=record.request_id,
        at=instant(int(record.at * 1000)),
        age_seconds=round(age, 3),
        phase=record.phase,
        key=record.key,
        endpoint=record.endpoint,
        model=record.label or record.model,
        provider=record.target.provider if record.target else None,
        upstream_model=record.target.model if record.target else None,
        stream=record.stream,
        attempts=record.calls,
        first_byte_seconds=_rounded(record.since_start(record.first_byte_at)),
        first_token_seconds=_rounded(record.since_start(record.first_token_at)),
        output_tokens=tokens,
        tokens_per_second=round(tokens / flowing, 1) if flowing and tokens else None,
        cost_usd=usd_text(record.cost_pusd + record.so_far_pusd()),
        client_left=record.client_left is not None,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
