"""Keeps what OpenRouter publishes of its models' speed, of those that calls may choose among; no call ever waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import quote

import structlog

from proxy.errors import ProviderError
from proxy.exchange.background.listings import own_headers
from proxy.exchange.routing.router import Router
from proxy.exchange.upstream import Upstream
from proxy.policy.names.catalogue import split_variant
from proxy.policy.routing.published import read_published
from proxy.policy.routing.values import Speed
from proxy.policy.values import Provider, Target

log = structlog.get_logger()

EVERY_SECONDS = 1800.0  # it is of the last half hour
_LOOK_SECONDS = 60.0
_ROUND_SECONDS = 60.0
WAITED_SECONDS = 5.0  # by who waits for it; what is not read by then is read in the next round
_AT_ONCE = 4

Said = dict[Target, tuple[Speed | None, float]]


async def keep_published(router: Router, upstream: Upstream) -> None:
    """Ask every half hour, and soon for what has become a candidate since, until cancelled; not where lists are not to be
    refreshed."""
    while router.settings.catalogue_refresh is not None:
        await ask_published(router, upstream, EVERY_SECONDS, _ROUND_SECONDS)
        await asyncio.sleep(_LOOK_SECONDS)


async def ask_published(
    router: Router, upstream: Upstream, least_age_seconds: float = 0.0, within_seconds: float = WAITED_SECONDS
) -> None:
    """Ask for all whose answer is that old. Who cannot be asked is left for the next round, with what it said before."""
    providers, known, now = router.settings.providers, router.observed.published, time.monotonic()
    due = [
        target
        for target in router.chosen_among()
        if providers[target.provider].kind == "openrouter" and not providers[target.provider].shut
        if target not in known or now - known[target][1] >= least_age_seconds
    ]
    if due:
        said: Said = {}
        places = asyncio.Semaphore(_AT_ONCE)
        rounds = asyncio.gather(*(_ask(upstream, providers[at.provider], at, (said, places)) for at in due))
        try:
            async with asyncio.timeout(within_seconds):
                problems = await rounds
        except TimeoutError:
            problems = [f"some did not answer within {within_seconds:.0f} s"]
        router.observed.publish(said)
        _tell(problems)


async def _ask(upstream: Upstream, provider: Provider, target: Target, into: tuple[Said, asyncio.Semaphore]) -> str:
    """What went wrong, if anything. A model that OpenRouter does not list has nothing to say."""
    said, places = into
    path = f"/models/{quote(split_variant(target.model)[0], safe='/:@~')}/endpoints"
    try:
        async with places:
            answered = await upstream.get(provider, path, own_headers(provider))
        if answered.status == 404:
            said[target] = None, time.monotonic()
        elif answered.status == 200:
            said[target] = read_published(answered.body, target.model), time.monotonic()
        else:
            return f"{provider.name} answered {answered.status} for {path}"
    except (ProviderError, ValueError) as error:
        return f"{provider.name}: {error}"
    return ""


def _tell(problems: Iterable[str]) -> None:
    found = [problem for problem in problems if problem]
    if found:
        log.warning("speeds_not_refreshed", reason=found[0], models=len(found))
