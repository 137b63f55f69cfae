"""Usage as several events tell it, put together."""

from __future__ import annotations

from typing import Any


def merge(known: dict[str, Any], told: dict[str, Any], loose: tuple[str, ...] = ()) -> None:
    """Take on what a later usage says, member by member: it replaces, null erases nothing (wire.md T06, T19), and a 0
    takes back no figure but the `loose` ones, which were not meant to last."""
    for name, value in told.items():
        before = known.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merge(before, value)
        elif value is not None and not (_is_zero(value) and before and name not in loose):
            known[name] = value


def _is_zero(value: Any) -> bool:
    return not isinstance(value, bool) and value in (0, [], {})


def of_timings(timings: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's own counts, where a server tells no usage: what was read anew, from its cache, and written."""
    cached, read = timings.get("cache_n"), timings.get("prompt_n")
    whole = read + cached if isinstance(read, int) and isinstance(cached, int) else read
    return {"prompt_tokens": whole, "completion_tokens": timings.get("predicted_n"), "cached_tokens": cached}
