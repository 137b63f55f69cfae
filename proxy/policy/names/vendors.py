"""Whose servers a provider's are, where a list of that vendor's models comes with the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.policy.values import Provider

# The host of `base_url` -> the vendor. Regional hosts have prices of their own and are left out.
_HOSTS = {
    "openrouter.ai": "openrouter",
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.groq.com": "groq",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "api.moonshot.ai": "moonshot",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "dashscope.aliyuncs.com": "alibaba",
    "api.z.ai": "zai",
    "api.minimax.io": "minimax",
    "api.deepinfra.com": "deepinfra",
    "api.novita.ai": "novita",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.sambanova.ai": "sambanova",
    "api.ai21.com": "ai21",
    "api.voyageai.com": "voyage",
}

# An author on OpenRouter whose own list stands in for what OpenRouter's does not say -> the vendor.
AUTHORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "mistralai": "mistral",
    "deepseek": "deepseek",
    "x-ai": "xai",
    "perplexity": "perplexity",
    "moonshotai": "moonshot",
    "cohere": "cohere",
    "qwen": "alibaba",
    "z-ai": "zai",
    "minimax": "minimax",
    "ai21": "ai21",
}

# Authors whose models many serve, each at a price and with limits of its own.
HOSTED_BY_OTHERS = frozenset({"mistralai", "deepseek", "moonshotai", "qwen", "z-ai", "minimax", "ai21"})

# Other names people give an entry under `providers:`.
_NAMES = {"gemini": "google", "dashscope": "alibaba", "qwen": "alibaba"} | AUTHORS

# Every vendor with a list; OpenRouter's is the catalogue itself.
VENDORS = frozenset(_HOSTS.values()) - {"openrouter"}

_AUTHOR_OF = {vendor: author for author, vendor in AUTHORS.items()}


def vendor_of(provider: Provider) -> str | None:
    """The vendor whose shipped list speaks of this provider ("openai", "mistral"; "openrouter" by its kind); None for
    servers outside the lists.

    By the host of `base_url`, else by the entry's own name: a gateway or mirror an operator calls by the vendor's
    name has its models.
    """
    if provider.kind == "openrouter":
        return "openrouter"
    if provider.kind == "mock":
        return None
    vendor = _HOSTS.get(_host(provider)) or _NAMES.get(provider.name, provider.name)
    return vendor if vendor in VENDORS else None


def refuses_stream_options(provider: Provider) -> bool:
    """Whether its servers refuse to be asked for the usage of a stream: Mistral's, which state it unasked."""
    return _HOSTS.get(_host(provider)) == "mistral"


def _host(provider: Provider) -> str:
    return provider.base_url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


def author_of_vendor(vendor: str | None) -> str | None:
    """The author on OpenRouter whose models a vendor serves under their bare names; None for those who host others'."""
    return None if vendor is None else _AUTHOR_OF.get(vendor)


def author_of_entry(name: str) -> str:
    """The author whose models an entry under `providers:` of this name serves: "x-ai" for `xai`; else one of its own
    name."""
    return _AUTHOR_OF.get(_NAMES.get(name, name), name)


def serves_bare(provider: Provider, author: str) -> bool:
    """Whether a direct provider serves an author's models under their bare names: by its name, its host or its kind;
    a free one is a server of one's own."""
    vendor = vendor_of(provider)
    if author in (author_of_entry(provider.name), author_of_vendor(vendor)):
        return True
    return provider.kind == author and not provider.free and vendor is None


def serves_others(provider: Provider, author: str) -> bool:
    """Whether a provider may have the models of an author; a vendor's own servers have its own."""
    own = author_of_vendor(vendor_of(provider))
    return own is None or own == author


def direct_providers(providers: Mapping[str, Provider]) -> dict[str, str]:
    """Map each author to its direct provider: the entry of that name, else the vendor's own
    address, else the first of that kind, if it is not the only provider (that takes any name)."""
    direct: dict[str, str] = {}
    own = [p for p in providers.values() if p.kind != "openrouter"]
    for provider in own:
        direct.setdefault(author_of_entry(provider.name), provider.name)
    for provider in own:
        if (author := author_of_vendor(vendor_of(provider))) is not None:
            direct.setdefault(author, provider.name)
    for provider in own if len(providers) > 1 else ():
        if not provider.free and vendor_of(provider) is None:
            direct.setdefault(provider.kind, provider.name)
    return direct
