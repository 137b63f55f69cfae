"""Where closing the connection stops the bill (wire.md 1.10)."""

from __future__ import annotations

from msgspec import Struct

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


# before the first event OpenRouter has not said who serves; these authors' models are served by providers that stop
_AUTHORS_THAT_STOP = frozenset({"openai", "x-ai"})


class Serving(Struct, frozen=True):
    """Who answers: the provider we called, for which model, and whom OpenRouter says it passed the call to.

    `served_by` None: nothing has been said yet; "": a reply has begun and names nobody.
    """

    provider: Provider
    model: str
    served_by: str | None


def closing_stops_billing(serving: Serving, *, streamed: bool) -> bool:
    """Whether closing now ends what this call costs."""
    provider = serving.provider
    if provider.free:
        return True
    if not streamed:
        return False
    if provider.kind in ("openrouter", "mock"):
        if serving.served_by is None:
            return serving.model.partition("/")[0] in _AUTHORS_THAT_STOP
        return not _bills_on(serving.served_by)
    host = provider.base_url.partition("://")[2].partition("/")[0].partition(":")[0]
    return not any(map(_bills_on, (provider.name, *host.split("."))))


def _bills_on(name: str) -> bool:
    return _plain(name) in _BILLS_TO_THE_END


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
