"""Anthropic: its own protocol passed natively, and its OpenAI-compatible chat endpoint (wire.md 3)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dialects.contract import Incoming, bearer, crossing
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.headers import Headers

_VERSION = ("anthropic-version", "2023-06-01")


class Anthropic:
    """`x-api-key` on the native endpoints, Bearer on the compatible one."""

    def headers(self, call: Call, provider: Provider, incoming: Incoming) -> Headers:
        """The client's `anthropic-version` and `anthropic-beta` cross as they are; the version is required."""
        if call.endpoint.shape in ("chat", "completions"):
            return crossing(incoming, provider, bearer(provider))
        own: Headers = [("x-api-key", provider.api_key.reveal())] if provider.api_key else []
        if not any(name.lower() == _VERSION[0] for name, _ in (*incoming.headers, *provider.headers)):
            own.append(_VERSION)
        return crossing(incoming, provider, own)

    def wants_usage_flag(self, call: Call) -> bool:
        """Only the compatible endpoint needs it; native streams state usage anyway."""
        return call.endpoint.shape in ("chat", "completions")

    def is_about_our_key(self, status: int, body: bytes) -> bool:
        """401, and the 403 of a key without permission."""
        return status == 401 or (status == 403 and b"permission_error" in body)

    def affordable(self, status: int, body: bytes) -> int | None:
        """Anthropic names no number."""
        return None

    def is_about_one_model(self, fields: Mapping[str, str], body: bytes) -> bool:
        """Its limits are those of a model in an organisation."""
        return True
