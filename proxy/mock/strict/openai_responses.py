"""What OpenAI takes beside a response: how many tokens one would read, and a conversation to be made shorter."""

from __future__ import annotations

from proxy.mock.strict.openai import RESPONSES, TEXT
from proxy.mock.strict.shape import Shape, Want


def _as_there(*names: str) -> dict[str, Want]:
    return {name: RESPONSES.members[name] for name in names}


_THREAD = _as_there("input", "instructions", "previous_response_id")
_READ = _as_there(
    "model", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "conversation", "truncation"
)
_CACHED = _as_there("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")

COUNT_INPUT = Shape({**_THREAD, **_READ, "personality": TEXT}, closed=True)
COMPACT = Shape(
    {**_THREAD, **_CACHED, **_as_there("service_tier"), "model": Want(("string",), required=True)}, closed=True
)
