"""Trying a provider of a configuration whose daemon does not run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxy.policy.values import Settings
from proxy.stores.effective import load_effective
from proxy.web.operator.answers import Answer, ProviderTriedAnswer


def _test_provider(settings: Settings, params: dict[str, Any]) -> ProviderTriedAnswer:
    """Ask it with its key, which other commands do without."""
    import asyncio

    from proxy.doctor.trial import try_named  # the HTTP client takes its time

    file = None if settings.source is None else Path(settings.source)
    return asyncio.run(try_named(params["name"], load_effective(file, os.environ).loaded.settings.providers))


ORDERS: dict[str, Callable[[Settings, dict[str, Any]], Answer]] = {"test_provider": _test_provider}
