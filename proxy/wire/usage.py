"""What a call used, in one spelling, from the three on the wire (wire.md 5.3).

A provider may send anything here; counts are never negative, and what could not be believed is
named in `doubts` instead of being guessed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct


class Usage(Struct, frozen=True):
    """Token counts of one call. `input_tokens` includes `cached_tokens` and `cache_write_tokens`.

    `cost_usd` is what the upstream says it charged (None: it did not say), `byok_usd` what the
    provider bills beside that when the account brings its own key. `miscounted`: a count was told and
    could not be believed; `uncounted`: what was read or what was written was not told, where it should have been.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    image_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    web_searches: int = 0
    cost_usd: Decimal | None = None
    byok_usd: Decimal | None = None
    doubts: tuple[str, ...] = ()
    miscounted: bool = False
    uncounted: bool = False


_MOST = Decimal(1_000_000)
_BOTH_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))


class _Reading:
    """Takes numbers out of a decoded `usage` object and remembers what it did not believe."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self._usage = usage
        self.doubts: list[str] = []
        self.miscounted = False

    def count(self, *path: str) -> int:
        value = self._at(path)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or Decimal(value).is_nan():
            self.doubts.append("not_a_number")
            self.miscounted = True
            return 0
        if value < 0 or value > 10**12:
            self.doubts.append("negative" if value < 0 else "absurd")
            self.miscounted = True
            return 0
        return int(value)

    def money(self, *path: str) -> Decimal | None:
        value = self._at(path)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.doubts.append("not_a_number")
            return None
        amount = Decimal(value)
        if not amount.is_finite() or not 0 <= amount <= _MOST:
            self.doubts.append("negative" if amount.is_signed() else "absurd")
            return None
        return amount

    def _at(self, path: tuple[str, ...]) -> Any:
        value: Any = self._usage
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def read_usage(usage: dict[str, Any], *, counts_both: bool = False) -> Usage:
    """Read a decoded `usage` object; numbers with a point must have been decoded as Decimal.

    `counts_both`: it is of a reply that tells both what was read and what was written.
    """
    told = [any(usage.get(name) is not None for name in names) for names in _BOTH_COUNTS]
    return msgspec.structs.replace(_read(usage), uncounted=counts_both and not all(told))


def _read(usage: dict[str, Any]) -> Usage:
    reading = _Reading(usage)
    additive = "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage
    if additive and "prompt_tokens" not in usage:
        return _read_additive(reading)
    details = "prompt_tokens_details" if "prompt_tokens" in usage else "input_tokens_details"
    out_details = "completion_tokens_details" if "prompt_tokens" in usage else "output_tokens_details"
    return Usage(
        input_tokens=reading.count("prompt_tokens") or reading.count("input_tokens"),
        output_tokens=reading.count("completion_tokens") or reading.count("output_tokens"),
        cached_tokens=reading.count(details, "cached_tokens"),
        cache_write_tokens=reading.count(details, "cache_write_tokens"),
        reasoning_tokens=reading.count(out_details, "reasoning_tokens"),
        image_tokens=reading.count(out_details, "image_tokens"),
        audio_input_tokens=reading.count(details, "audio_tokens"),
        audio_output_tokens=reading.count(out_details, "audio_tokens"),
        web_searches=reading.count("server_tool_use_details", "web_search_requests"),
        cost_usd=reading.money("cost"),
        byok_usd=_byok(reading),
        doubts=tuple(reading.doubts),
        miscounted=reading.miscounted,
    )


def _read_additive(reading: _Reading) -> Usage:
    """Anthropic's: `input_tokens` leaves cache traffic out (wire.md 3.2)."""
    read = reading.count("cache_read_input_tokens")
    written = reading.count("cache_creation_input_tokens")
    hour = reading.count("cache_creation", "ephemeral_1h_input_tokens")
    return Usage(
        input_tokens=reading.count("input_tokens") + read + written,
        output_tokens=reading.count("output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(hour, written),
        reasoning_tokens=reading.count("output_tokens_details", "thinking_tokens"),
        web_searches=reading.count("server_tool_use", "web_search_requests"),
        cost_usd=reading.money("cost"),
        byok_usd=_byok(reading),
        doubts=tuple(reading.doubts),
        miscounted=reading.miscounted,
    )


def _byok(reading: _Reading) -> Decimal | None:
    if reading._at(("is_byok",)) is not True:
        return None
    return reading.money("cost_details", "upstream_inference_cost")
