"""Asks the workers on this machine that stand in for others whether they are there, so that no call has to find out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from proxy.errors import ModelNotFound, UpstreamReset, UpstreamUnreachable
from proxy.exchange.attempt import is_near
from proxy.exchange.background.listings import own_headers
from proxy.exchange.upstream import Upstream
from proxy.policy.names.resolution import Names
from proxy.policy.retries.breaker import Breakers
from proxy.policy.values import Provider, Settings

INTERVAL_SECONDS = 5.0
_PATIENCE_SECONDS = 4.0


def stand_ins(settings: Settings, names: Names) -> list[Provider]:
    """The providers on this machine that a use case falls back to."""
    found: dict[str, None] = {}
    for name, alias in settings.aliases.items():
        if alias.use is None or alias.use.name != name or (alias.use.fallback_on is None and not alias.use.at):
            continue
        try:
            plan = names.look_up(name).plan
        except ModelNotFound:
            continue
        staged = [target for _, targets in plan.stages for target in targets]
        found |= dict.fromkeys(target.provider for target in (*plan.targets[1:], *staged))
    providers = (settings.providers[name] for name in found)
    return [provider for provider in providers if provider.kind == "openai" and is_near(provider)]


async def keep_asking(providers: Iterable[Provider], upstream: Upstream, breakers: Callable[[], Breakers]) -> None:
    """Open the breaker of who does not answer, close that of who does again, until cancelled."""
    asked = list(providers)
    while asked:
        await asyncio.gather(*(_ask(provider, upstream, breakers()) for provider in asked))
        await asyncio.sleep(INTERVAL_SECONDS)


async def _ask(provider: Provider, upstream: Upstream, breakers: Breakers) -> None:
    """Any answer will do: what it serves is not asked."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await upstream.get(provider, "/models", own_headers(provider))
    except (UpstreamUnreachable, UpstreamReset, TimeoutError):
        breakers.asked(provider.name, time.monotonic(), is_there=False)
    else:
        breakers.asked(provider.name, time.monotonic(), is_there=True)
