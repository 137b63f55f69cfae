"""The usual configuration of the daemons under test, and the secrets that must never leak."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.upstream import Upstream

UPSTREAM_KEY = "sk-or-upstream-canary"
CLIENT_KEY = "sk-alice-canary"
PROMPT = "prompt-canary-7f3a"
CANARIES = (UPSTREAM_KEY, CLIENT_KEY, PROMPT)
TIMEOUTS: dict[str, float] = {"connect": 1, "first_byte": 1.5, "idle": 1.5, "total": 20}
PATIENT: dict[str, float] = dict.fromkeys(TIMEOUTS, 300)


def config_for(upstream: Upstream, *, timeouts: dict[str, float] = PATIENT, **members: Any) -> dict[str, Any]:
    """Five providers of three kinds on the one upstream, told apart by their paths.

    Silence is never too long, however busy the machine, but at `brief`, and with `timeouts=TIMEOUTS` everywhere.
    """
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


def files_below(folder: Path) -> dict[Path, bytes]:
    """What is in every file; one that a running daemon removes or replaces meanwhile may be missing."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.read_bytes()
    return found
