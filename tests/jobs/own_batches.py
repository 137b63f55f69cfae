"""What the tests of batches handed on to a provider's own have in common, whichever SDK they speak."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from harness.daemon import Daemon
from harness.surroundings import PATIENCE_SECONDS

PRICE = {"input": 0, "output": 100}  # USD per million: each token of output is 1e-4, and half of that in a batch
TOKEN_USD = Decimal("0.0001")


def handed(retrieve: Callable[[str], Any], batch: Any) -> dict[str, Any]:
    """What is told of the provider's batch, once it is known there."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not (told := (batch.model_extra or {}).get("tollkeeper") or {}).get("provider_batch_id"):
        assert time.monotonic() < give_up, batch
        time.sleep(0.05)
        batch = retrieve(batch.id)
    return dict(told)


def usage(daemon: Daemon, key: str) -> dict[str, Any]:
    """The total of what a key has used."""
    total: dict[str, Any] = daemon.ask("GET", "/tollkeeper/usage", [("Authorization", f"Bearer {key}")]).json["total"]
    return total


def held(daemon: Daemon) -> float:
    """USD that budgets hold."""
    return daemon.metric("tollkeeper_budget_held_usd")
