"""Why a reply ended, in the words of each protocol: one table."""

from __future__ import annotations

from typing import Any

from proxy.translate.values import Ending, Stop

_CHAT: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "filter",
}
_MESSAGES: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tools",
    "pause_turn": "pause",
    "refusal": "filter",
    "model_context_window_exceeded": "context",
}
_TO_CHAT: dict[Stop, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "length": "length",
    "context": "length",
    "tools": "tool_calls",
    "filter": "content_filter",
}
_TO_MESSAGES: dict[Stop, str] = {stop: word for word, stop in _MESSAGES.items()}
# What Responses calls incomplete, and why.
_INCOMPLETE: dict[Stop, str] = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",
    "filter": "content_filter",
}

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})  # of a reply, in chat and in Responses


def tier_of(told: Any) -> str:
    """The tier a reply names, where it is one of OpenAI's: others' (Groq's `on_demand`) no client of its types can read."""
    return told if isinstance(told, str) and told in _TIERS else ""


def from_chat(word: Any, matched: Any = None) -> Ending:
    """A finish reason; `matched` is the stop sequence where a server names it (vLLM's `stop_reason`)."""
    native = word if isinstance(word, str) else ""
    if native == "stop" and isinstance(matched, str) and matched:
        return Ending("stop_sequence", matched, native)
    return Ending(_CHAT.get(native, "end"), native=native)


def from_messages(word: Any, sequence: Any) -> Ending:
    """A stop reason and the sequence it names."""
    native = word if isinstance(word, str) else ""
    return Ending(_MESSAGES.get(native, "end"), sequence if isinstance(sequence, str) else "", native)


def from_responses(status: Any, details: Any) -> Ending:
    """The status of a response and why it is incomplete."""
    native = status if isinstance(status, str) else ""
    if native != "incomplete":
        return Ending("end", native=native)
    reason = details.get("reason") if isinstance(details, dict) else None
    return Ending("filter" if reason == "content_filter" else "length", native=str(reason or native))


def settled(stop: Stop, *, has_tools: bool, has_refused: bool = False) -> Stop:
    """The reason in the light of what came: some say stop where tools are called, and some call none they announced.
    `has_refused`: where a model that declines is said to have stopped for that."""
    if has_tools:
        return "tools" if stop in ("end", "pause") else stop
    if has_refused and stop == "end":
        return "filter"
    return "end" if stop == "tools" else stop


def to_chat(stop: Stop, *, functions: bool = False) -> str:
    """The finish reason; `functions`: before chat had tools."""
    return "function_call" if functions and stop == "tools" else _TO_CHAT[stop]


def to_messages(stop: Stop) -> str:
    """The stop reason."""
    return _TO_MESSAGES[stop]


def to_responses(stop: Stop) -> tuple[str, dict[str, str] | None]:
    """The status, and what makes it incomplete."""
    reason = _INCOMPLETE.get(stop)
    return ("completed", None) if reason is None else ("incomplete", {"reason": reason})
