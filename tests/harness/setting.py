"""The usual configuration of the daemons under test, and the secrets that must never leak."""

from __future__ import annotations

from typing import Any

from harness.upstream import Upstream

UPSTREAM_KEY = "sk-or-upstream-canary"
CLIENT_KEY = "sk-alice-canary"
PROMPT = "prompt-canary-7f3a"
CANARIES = (UPSTREAM_KEY, CLIENT_KEY, PROMPT)
TIMEOUTS = {"connect": 1, "first_byte": 1.5, "idle": 1.5, "total": 20}


def config_for(upstream: Upstream, *, patient: bool = False, **members: Any) -> dict[str, Any]:
    """Six providers of three kinds on the one upstream, told apart by their paths.

    Silence is soon too long; with `patient` it never is, for calls that wait for something else.
    """
    timeouts = dict.fromkeys(TIMEOUTS, 300) if patient else TIMEOUTS
    own = {"timeouts": timeouts, "api_key": UPSTREAM_KEY}
    return {
        "providers": {
            "openrouter": {"kind": "openrouter", "base_url": f"{upstream.url}/or/api/v1", **own},
            "local": {"kind": "openai", "base_url": f"{upstream.url}/local/v1", "timeouts": timeouts, "free": True},
            "anthropic": {"kind": "anthropic", "base_url": f"{upstream.url}/anthropic/v1", **own},
            "oai": {"kind": "openai", "base_url": f"{upstream.url}/oai/v1", **own},
            "brief": {
                "kind": "openai",
                "base_url": f"{upstream.url}/brief/v1",
                "timeouts": {**TIMEOUTS, "unstreamed": 0.7},
            },
            "slow": {
                "kind": "openai",
                "base_url": f"{upstream.url}/slow/v1",
                "timeouts": {**TIMEOUTS, "idle": 30, "total": 60},
            },
        },
        "routes": [{"match": "anthropic/*", "provider": "anthropic"}],
        "models": {
            "two-homes": {"target": "openai/gpt-4o", "fallbacks": ["local/llama3.1"]},
            "quiet": {"target": "openai/gpt-4o", "defaults": {"temperature": 0.25, "max_tokens": 77}},
        },
        "retries": {"attempts": 3, "first_wait": 0.05, "longest_wait": 1},
        "shutdown": {"drain": 3},
        "keys": {"alice": {"key": CLIENT_KEY}},
        **members,
    }
