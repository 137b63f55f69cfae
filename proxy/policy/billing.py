"""Where closing the connection stops the bill (wire.md 1.10)."""

from __future__ import annotations

from proxy.policy.values import Provider

# names as OpenRouter displays them in `provider`, and as hosts and entries spell them
_BILLS_TO_THE_END = frozenset(
    {
        "ai21",
        "aionlabs",
        "alibaba",
        "amazonbedrock",
        "awsbedrock",
        "bedrock",
        "bedrockruntime",
        "featherless",
        "google",
        "googleaistudio",
        "googleapis",
        "googlevertex",
        "groq",
        "huggingface",
        "inferencenet",
        "inflection",
        "kluster",
        "lambda",
        "lynn",
        "minimax",
        "mistral",
        "modal",
        "nebius",
        "perplexity",
        "reflection",
        "replicate",
        "sambanova",
        "targon",
        "vertex",
        "zerooneai",
    }
)


def closing_stops_billing(provider: Provider, *, streamed: bool, served_by: str | None) -> bool:
    """Whether closing now ends what this call costs; `served_by` is OpenRouter's `provider`, once known."""
    if provider.free:
        return True
    if not streamed:
        return False
    if provider.kind in ("openrouter", "mock"):
        return served_by is None or _plain(served_by) not in _BILLS_TO_THE_END
    host = provider.base_url.partition("://")[2].partition("/")[0].partition(":")[0]
    names = {_plain(provider.name), *map(_plain, host.split("."))}
    return not names & _BILLS_TO_THE_END


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
