"""What OpenRouter publishes of a model's speed: the percentiles of the last half hour, host by host (wire.md 1.12, OpenRouter's
OpenAPI file: `PublicEndpoint`, `PercentileStats`)."""

from __future__ import annotations

from math import isfinite
from statistics import median
from typing import Any

import msgspec

from proxy.policy.names.catalogue import split_variant
from proxy.policy.routing.values import UNKNOWN, Speed

# Milliseconds; examples of 2025 have seconds. No first token comes within so few milliseconds.
_LEAST_MS = 20.0


def read_published(body: bytes, model: str) -> Speed | None:
    """The median host's median, of `/models/{author}/{slug}/endpoints`; None where nothing is said: to whom has no key,
    and of models that few use. Raises ValueError where it cannot be read."""
    try:
        endpoints = msgspec.json.decode(body)["data"]["endpoints"]
        hosts = [one for one in endpoints if not _is_down(one)]
        hosts = [one for one in hosts if _is_free(one) is (split_variant(model)[1] == ":free")] or hosts
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(f"what it publishes of {model} cannot be read") from None
    firsts = [ms / 1000 if ms >= _LEAST_MS else ms for one in hosts if (ms := _p50(one.get("latency_last_30m")))]
    rates = [rate for one in hosts if (rate := _p50(one.get("throughput_last_30m")))]
    if not firsts and not rates:
        return None
    return Speed(
        median(firsts) if firsts else UNKNOWN.first_token_seconds,
        median(rates) if rates else UNKNOWN.tokens_per_second,
        basis="published",
    )


def _is_down(endpoint: dict[str, Any]) -> bool:
    """0 is well, below that it is worse and worse."""
    status = endpoint.get("status")
    return isinstance(status, int) and status < 0


def _is_free(endpoint: dict[str, Any]) -> bool:
    """The list has those that are given away beside those that are not."""
    pricing = endpoint.get("pricing") or {}
    return pricing.get("prompt") == "0" and pricing.get("completion") == "0"


def _p50(said: object) -> float | None:
    """A figure above nothing; null, zero and words are none."""
    value = said.get("p50") if isinstance(said, dict) else None
    return float(value) if isinstance(value, int | float) and isfinite(value) and value > 0 else None
