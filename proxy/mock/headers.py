"""Reply headers, by provider."""

from __future__ import annotations

from proxy.mock.asked import Profile

_EDGE = {"CF-RAY": "9c0ffee0mock-FRA", "Server": "cloudflare"}
_COOKIE = {"Set-Cookie": "__cf_bm=mock; path=/; HttpOnly; Secure"}
_OPENAI = {
    "openai-organization": "org-mock",
    "openai-processing-ms": "1",
    "openai-project": "proj_mock",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "199972",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "8ms",
}
_ANTHROPIC = {
    "anthropic-organization-id": "mock-organization",
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
    "anthropic-ratelimit-tokens-limit": "400000",
    "anthropic-ratelimit-tokens-remaining": "399000",
    "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:00Z",
}
_OPENROUTER = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


def reply_headers(profile: Profile, content_type: str, suffix: str, generation_id: str | None) -> dict[str, str]:
    """The headers of a reply; `generation_id` is None where OpenRouter sends none (errors, account endpoints)."""
    head = {"Content-Type": content_type, **_EDGE}
    if profile == "openai":
        return {**head, "x-request-id": f"req_{suffix}", **_OPENAI, **_COOKIE}
    if profile == "anthropic":
        return {**head, "request-id": f"req_{suffix}", **_ANTHROPIC, **_COOKIE}
    named = {"X-Generation-Id": generation_id} if generation_id else {}
    return {**head, **_OPENROUTER, **named}


def stream_type(profile: Profile) -> str:
    """The content type of a stream; OpenRouter's has no charset."""
    return "text/event-stream; charset=utf-8" if profile != "openrouter" else "text/event-stream"
