"""Which protocols a provider speaks, and which of them says best what a client asks."""

from __future__ import annotations

from typing import Literal

from proxy.policy.names.vendors import vendor_of
from proxy.policy.values import ApiName, Kind, Provider
from proxy.translate.values import Protocol
from proxy.wire.error_objects import Missing

LEARNT_SECONDS = 3600.0

# What is spoken where `speaks:` says nothing; who else speaks as OpenAI does is unknown until tried.
_BY_KIND: dict[Kind, frozenset[ApiName]] = {
    "openrouter": frozenset({"chat", "completions", "responses", "messages", "embeddings"}),
    "anthropic": frozenset({"messages", "chat"}),
    "mock": frozenset({"chat", "completions", "responses", "messages", "images", "embeddings"}),
}
_OPENAI: frozenset[ApiName] = frozenset({"chat", "completions", "responses", "images", "embeddings"})
# An endpoint's API; what is none of these passes as it came.
APIS: dict[str, ApiName] = {
    "chat/completions": "chat",
    "completions": "completions",
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
    "images/generations": "images",
    "images/edits": "images",
    "images/variations": "images",
}
# The protocols a client's may be said in, the one that keeps most of it first.
_OTHERS: dict[ApiName, tuple[Protocol, ...]] = {
    "chat": ("responses", "messages"),
    "messages": ("responses", "chat"),
    "responses": ("messages", "chat"),
}
_ABSENT = frozenset({404, 405, 501})
# What a request names that only one provider has.
STORED = ("previous_response_id", "conversation", "prompt")

Said = Protocol | Literal["pictures"] | None
Way = Said | Literal["refused"]


def speaks_by_default(provider: Provider) -> frozenset[ApiName] | None:
    """What a provider speaks by its kind; None where only trying tells."""
    return _OPENAI if vendor_of(provider) == "openai" else _BY_KIND.get(provider.kind)


def way(api: ApiName | None, speaks: frozenset[ApiName] | None, *, is_absent: bool) -> Way:
    """How a call goes to a provider: None as it is, else the protocol it is said in; "refused" where there is none;
    "pictures" where those are made by OpenRouter's images API or in chat, as the model has it.

    `is_absent`: who is not known to speak anything was seen not to speak this.
    """
    if api is None or (not is_absent if speaks is None else api in speaks):
        return None
    if speaks is None:
        return "chat" if api in ("messages", "responses") else None
    if api == "images":
        return "pictures" if "chat" in speaks else "refused"
    return next((other for other in _OTHERS.get(api, ()) if other in speaks), "refused")


def is_no_such_endpoint(status: int | None, missing: Missing) -> bool:
    """Whether an error may mean that a server does not have the endpoint: it is about no model, and nothing stored."""
    return status in _ABSENT and missing == "unknown"
