"""OpenRouter (wire.md 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.dialects.contract import Incoming, bearer, crossing
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.headers import Headers

_AFFORD = re.compile(rb"can only afford (\d{1,9})")
# a 403 with one of these is about the request: moderation, guardrails, regions
_ABOUT_THE_REQUEST = (b"flagged", b'"reasons"', b'"patterns"', b"moderation", b"region", b"content_policy")


class OpenRouter:
    """Bearer keys; usage and cost always stated; 402 may say what the account can afford."""

    def headers(self, call: Call, provider: Provider, incoming: Incoming) -> Headers:
        """Attribution (`HTTP-Referer`, `X-Title`) is the client's own, or the entry's `headers:`."""
        return crossing(incoming, provider, bearer(provider))

    def wants_usage_flag(self, call: Call) -> bool:
        """The flag is deprecated and has no effect (wire.md 1.4)."""
        return False

    def is_about_our_key(self, status: int, body: bytes) -> bool:
        """401, and the 403 of a key's own limits and permissions."""
        if status == 403:
            low = body.lower()
            return (b"key" in low or b"permission" in low) and not any(word in low for word in _ABOUT_THE_REQUEST)
        return status == 401

    def affordable(self, status: int, body: bytes) -> int | None:
        """The N of "can only afford N" in a 402, when a call of N tokens makes sense at all."""
        match = _AFFORD.search(body) if status == 402 else None
        return int(match[1]) or None if match else None

    def is_about_one_model(self, fields: Mapping[str, str], body: bytes) -> bool:
        """Its own limiter sends `X-RateLimit-*` (wire.md 1.1), and counts free models apart; else one of the model's hosts was busy."""
        own = any(name.startswith("x-ratelimit-") for name in fields) or b'"X-RateLimit-' in body
        return not own or b"free-models" in body
