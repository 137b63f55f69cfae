"""A usage in the spelling of each protocol. Chat and Responses count cached tokens in, Anthropic does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from proxy.wire.events import read_value
from proxy.wire.merging import of_timings
from proxy.wire.usage import NO_USAGE, Usage, read_usage


def usage_of(told: Any) -> Usage | None:
    """What a decoded usage object says; None where there is none."""
    return read_usage(told) if isinstance(told, dict) and told else None


def usage_in(raw: Raw | UnsetType) -> Any:
    """The usage object of an event, decoded; None where it has none."""
    return None if raw is UNSET else read_value(raw)


def usage_elsewhere(x_groq: Any, timings: Any, of_choices: Iterable[Any]) -> dict[str, Any]:
    """The usage of a chat's reply that tells none itself; empty where it stands nowhere."""
    groq = x_groq.get("usage") if isinstance(x_groq, dict) else None
    told = next((usage for usage in (groq, *of_choices) if isinstance(usage, dict)), None)
    return told or (of_timings(timings) if isinstance(timings, dict) else {})


def chat_usage(usage: Usage | None) -> dict[str, Any]:
    """As chat tells it."""
    used = usage or NO_USAGE
    told: dict[str, Any] = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }
    if used.cache_write_tokens:
        told["prompt_tokens_details"]["cache_write_tokens"] = used.cache_write_tokens
    return told


def responses_usage(usage: Usage | None) -> dict[str, Any]:
    """As Responses tells it."""
    used = usage or NO_USAGE
    read = {"cached_tokens": used.cached_tokens, "cache_write_tokens": used.cache_write_tokens}
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": read,
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def messages_usage(usage: Usage | None) -> dict[str, Any]:
    """As Anthropic tells it: what was read of the prompt, and apart from it what came from the cache or went there."""
    used = usage or NO_USAGE
    cached = min(used.cached_tokens, used.input_tokens)
    written = min(used.written_only_tokens, used.input_tokens - cached)
    hour = min(used.cache_write_1h_tokens, written)
    told: dict[str, Any] = {
        "input_tokens": used.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": used.output_tokens,
    }
    if written:
        told["cache_creation"] = {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour}
    if used.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    return told


def merged(first: Any, last: Any) -> Any:
    """Two tellings of one usage: what the later says counts (wire.md 3.3)."""
    if not isinstance(first, dict) or not isinstance(last, dict):
        return last if isinstance(last, dict) else first
    return {**first, **{name: value for name, value in last.items() if value is not None}}
