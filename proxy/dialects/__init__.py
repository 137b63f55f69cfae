"""How upstreams speak. Law of this package: no dialect knows of another; all of them are pure."""

from proxy.dialects.anthropic import Anthropic
from proxy.dialects.contract import Dialect, Incoming, UpstreamRequest
from proxy.dialects.openai import OpenAI
from proxy.dialects.openrouter import OpenRouter

DIALECTS: dict[str, Dialect] = {
    "openrouter": OpenRouter(),
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "mock": OpenRouter(),  # the built-in upstream speaks OpenRouter's dialect
}

__all__ = ["DIALECTS", "Dialect", "Incoming", "UpstreamRequest"]
