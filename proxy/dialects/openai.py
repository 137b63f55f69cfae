"""OpenAI, and every server that speaks as it does (wire.md 2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dialects.contract import Incoming, bearer, crossing
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.headers import Headers


class OpenAI:
    """Bearer keys; usage in a stream only on request."""

    def headers(self, call: Call, provider: Provider, incoming: Incoming) -> Headers:
        """The credential goes in `Authorization`."""
        return crossing(incoming, provider, bearer(provider))

    def wants_usage_flag(self, call: Call) -> bool:
        """Chat and legacy completions state it only when asked (wire.md 2.3); Responses always do."""
        return call.endpoint.shape in ("chat", "completions")

    def is_about_our_key(self, status: int, body: bytes) -> bool:
        """A 401 always is; a 403 when it speaks of keys or permissions, not of a country."""
        if status == 403:
            return b"api key" in body.lower() or b"permission" in body.lower()
        return status == 401

    def affordable(self, status: int, body: bytes) -> int | None:
        """OpenAI names no number."""
        return None

    def is_about_one_model(self, fields: Mapping[str, str], body: bytes) -> bool:
        """OpenAI counts by model, and says of which ("Rate limit reached for gpt-4o in organization …"); others who name one do."""
        return b"limit reached for " in body
