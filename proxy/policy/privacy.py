"""Calls of which nothing may be kept: where they may go, and what their body says for that."""

from __future__ import annotations

from msgspec.json import encode

from proxy.errors import CallerError
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.json_object import edit_for, read_object, splice

ADJUSTED = "provider.zdr=true"
# OpenRouter takes `provider` with all of its members on these (wire.md 1.4, 1.14)
_ENDPOINTS = frozenset(("chat/completions", "completions", "responses", "messages", "embeddings"))
_KINDS = frozenset(("openrouter", "mock"))
_WANTED = {"zdr": True, "data_collection": "deny"}


def keeps_nothing(provider: Provider, call: Call) -> bool:
    """Whether a provider promises that; what sends no content is nothing to keep."""
    if provider.zdr or not (call.body or call.form):
        return True
    return provider.kind in _KINDS and call.endpoint.name in _ENDPOINTS and call.document is not None


def may_keep(provider: Provider) -> bool:
    """Whether it cannot promise that of a chat."""
    return not provider.zdr and provider.kind not in _KINDS


def preference(provider: Provider, call: Call, said: bytes | None = None) -> dict[str, bytes]:
    """The member that has OpenRouter choose such providers only; whatever else is preferred stays.

    `said` is what the configuration puts in, where the client says nothing.
    """
    if provider.kind not in _KINDS or call.endpoint.name not in _ENDPOINTS:
        return {}
    member = None if call.document is None else call.document.members.get("provider")
    wanted = said if member is None else bytes(member.value)
    try:
        document = read_object(b"{}" if wanted in (None, b"null") else wanted)
        for name, value in _WANTED.items():
            document = read_object(b"".join(splice(document.body, [edit_for(document, name, encode(value))])))
    except CallerError:  # it is none, or says something twice
        return {"provider": encode(_WANTED)}
    return {"provider": document.body}
