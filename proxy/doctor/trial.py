"""One provider tried on its own, for whoever has just set it up: what it was asked, what came of it, what to do."""

from __future__ import annotations

import time
from collections.abc import Mapping

from proxy.doctor.judge_provider import provider_checks
from proxy.doctor.look_provider import look_at_providers
from proxy.policy.values import Provider
from proxy.web.operator.admin_api import Unknown
from proxy.web.operator.answers import ProviderTriedAnswer


async def try_named(name: str, providers: Mapping[str, Provider]) -> ProviderTriedAnswer:
    """The same for one of these. Raises `Unknown` where there is none of this name."""
    if name not in providers:
        raise Unknown(f"there is no provider named {name!r}; there is: {', '.join(providers) or 'none'}")
    return await try_provider(providers[name])


async def try_provider(provider: Provider) -> ProviderTriedAnswer:
    """Ask what costs nothing: about the key, or for the list of models."""
    began = time.monotonic()
    (seen,) = await look_at_providers([provider])
    last, seconds = provider_checks(seen)[-1], round(time.monotonic() - began, 3)
    asked = seen.asked or "nothing"
    return ProviderTriedAnswer(provider.name, last.status == "pass", seen.status, seconds, asked, last.found, last.next)
