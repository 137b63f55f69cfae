"""The usage of nearly every chat, read the short way: what OpenAI and OpenRouter tell, all of it numbers that add up.

Whatever is odd about a usage is left to `usage.py`, which reads these as well, and the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from proxy.wire.usage import Usage

_MEMBERS = frozenset(
    "prompt_tokens completion_tokens total_tokens cost is_byok cost_details prompt_tokens_details "
    "completion_tokens_details".split()
)
_READ = frozenset({"cached_tokens", "cache_write_tokens", "audio_tokens", "video_tokens", "image_tokens"})
_WRITTEN = frozenset(
    "reasoning_tokens audio_tokens image_tokens text_tokens accepted_prediction_tokens rejected_prediction_tokens".split()
)
_MOST_COUNT = 10**12
_MOST_USD = 1_000_000
_NOTHING: dict[str, Any] = {}


def read_plain(usage: dict[str, Any]) -> Usage | None:
    """The usage, where it is plain; None where it has to be read with care."""
    read: Any = usage.get("prompt_tokens")
    written: Any = usage.get("completion_tokens")
    if not (_is_count(read) and _is_count(written) and usage.get("total_tokens") == read + written):
        return None
    cost = usage.get("cost")
    if usage.keys() - _MEMBERS or usage.get("is_byok") is True or not (cost is None or _is_amount(cost)):
        return None
    of_read, of_written = usage.get("prompt_tokens_details", _NOTHING), usage.get("completion_tokens_details", _NOTHING)
    if not (_are_counts(of_read, _READ) and _are_counts(of_written, _WRITTEN)):
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cached_tokens=of_read.get("cached_tokens") or 0,
        cache_write_tokens=of_read.get("cache_write_tokens") or 0,
        reasoning_tokens=of_written.get("reasoning_tokens") or 0,
        image_input_tokens=of_read.get("image_tokens") or 0,
        image_tokens=of_written.get("image_tokens") or 0,
        text_output_tokens=of_written.get("text_tokens") or 0,
        audio_input_tokens=of_read.get("audio_tokens") or 0,
        audio_output_tokens=of_written.get("audio_tokens") or 0,
        cost_usd=None if cost is None else Decimal(cost),
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST_COUNT


def _is_amount(value: Any) -> bool:
    is_number = type(value) is int or (type(value) is Decimal and value.is_finite())
    return is_number and 0 <= value <= _MOST_USD and not (value == 0 and Decimal(value).is_signed())


def _are_counts(details: Any, known: frozenset[str]) -> bool:
    """Whether these are members of ours, each a count, 0 or left out."""
    if type(details) is not dict or details.keys() - known:
        return False
    for value in details.values():
        if value is not None and not (type(value) is int and 0 <= value <= _MOST_COUNT):
            return False
    return True
