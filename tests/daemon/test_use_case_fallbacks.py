"""When a use case's next model answers: what the provider said, what the budget has left, what the call wants."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply, reset, say, then
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

COSTS = json_reply(chat_reply(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.0085}))
GOOD = json_reply(chat_reply())
# a byte came: or the call would be sent anew where the connection has served before (for the provider's list)
BROKEN = then(say(b"H"), reset)
ENTRY: dict[str, Any] = {"target": "openai/gpt-4o", "fallbacks": ["local/llama3.1"]}
MODELS = {
    "spent": {**ENTRY, "fallback_on": ["budget"]},
    "strict": {**ENTRY, "fallback_on": [402, "budget"]},
    "chain": {"target": "openai/gpt-4o-mini", "fallbacks": ["openai/o1-pro", "oai/unlisted", "local/llama3.1"]},
    "patient": {**ENTRY, "fallback_on": ["timeout"]},
    "staged": {**ENTRY, "at": {"80%": "openai/gpt-4o-mini", "99%": "local/llama3.1"}, "fallback_on": [503, "budget"]},
}


@pytest.fixture
def daemon(upstream: Upstream, tmp_path: Path) -> Iterator[Daemon]:
    keys = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 0.01, "per": "total"}]}, "bob": {"key": "sk-bob-canary"}}
    config = config_for(upstream, models=MODELS, keys=keys, retries={"attempts": 1})
    with Daemon(config, tmp_path, key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def told(reply: Any) -> tuple[int, str | None, str | None]:
    return reply.status, reply.header("x-tollkeeper-provider"), reply.header("x-tollkeeper-adjusted")


def test_the_budget_decides_who_answers(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(COSTS)
    assert told(daemon.chat("staged", max_tokens=5)) == (200, "openrouter", None)
    # 85 % are spent: the cheaper model is first, and what it costs still fits
    upstream.expect(GOOD)
    assert told(daemon.chat("staged", max_tokens=5)) == (200, "openrouter", "model=openai/gpt-4o-mini, fallback=80%")
    explained = typed(
        daemon.folder, "explain", "staged", "--key", "alice", "--config", str(daemon.folder / "config.yaml")
    )
    assert explained.stdout.startswith(
        "staged -> openrouter/openai/gpt-4o-mini at openrouter: openai/gpt-4o-mini, then local: llama3.1\n"
        "it begins there, as at least 80% of the tightest budget is spent\n"
    ), explained
    # too much for what is left: the free one answers, at once
    upstream.expect(GOOD)
    reply = daemon.chat("spent", max_tokens=9000)
    assert told(reply) == (200, "local", "model=llama3.1, fallback=budget")
    line = daemon.line_of(reply)
    assert line["attempts"] == 1
    config = "--config", str(daemon.folder / "config.yaml")
    explained = typed(daemon.folder, "explain", "spent", "--key", "alice", "--max-tokens", "9000", *config)
    assert " at local: llama3.1\nit begins there, as a budget has no room for what comes before" in explained.stdout
    assert explained.stdout.rstrip().endswith("goes: it is free of charge"), explained
    explained = typed(daemon.folder, "explain", "openai/gpt-4o", "--key", "alice", "--max-tokens", "9000", *config)
    assert "refused with 402 budget_exceeded by " in explained.stdout
    refused = daemon.chat("spent", max_tokens=9000, tollkeeper={"fallback": False})
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    assert daemon.chat("openai/gpt-4o", max_tokens=9000).status == 402, "a name that says nothing of it is refused"


def test_who_stands_in_and_cannot_be_paid_is_passed_over(daemon: Daemon, upstream: Upstream) -> None:
    """Of the chain's second nothing fits into the cent, of its third nobody knows a price."""
    upstream.expect(json_reply({"error": {"message": "down"}}, status=503), GOOD)
    reply = daemon.chat("chain", max_tokens=100)
    assert told(reply) == (200, "local", "model=llama3.1")
    assert len(upstream.calls) == 2


@pytest.mark.parametrize(
    ("model", "status", "served"),
    [
        ("strict", 402, "model=llama3.1, fallback=402"),
        ("strict", 503, None),
        ("patient", 503, None),
        ("staged", 503, "model=llama3.1, fallback=503"),
    ],
)
def test_only_what_the_entry_names_is_fallen_back_on(
    daemon: Daemon, upstream: Upstream, model: str, status: int, served: str | None
) -> None:
    upstream.expect(json_reply({"error": {"message": "no", "code": status}}, status), GOOD)
    headers = [("Authorization", "Bearer sk-bob-canary")]
    reply = daemon.chat(model, headers)
    if served:
        assert told(reply) == (200, "local", served)
    else:
        assert reply.status == status
    assert len(upstream.calls) == (2 if served else 1)


def test_a_call_that_was_sent_and_not_answered_goes_on_only_where_that_is_written(
    daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(BROKEN, GOOD)
    headers = [("Authorization", "Bearer sk-bob-canary")]
    assert told(daemon.chat("patient", headers)) == (200, "local", "model=llama3.1, fallback=timeout")
    upstream.expect(BROKEN, again=True)
    assert daemon.chat("strict", headers).status == 502


def test_a_worker_that_stands_in_is_asked_whether_it_is_there_before_any_call_is(
    upstream: Upstream, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: whoever connects is refused
        config = config_for(upstream, models={"spent": MODELS["spent"]}, keys={})
        config["providers"]["local"]["base_url"] = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with Daemon(config, tmp_path) as running:
            until = time.monotonic() + PATIENCE_SECONDS
            while _breaker(running, "local") != "open":
                assert time.monotonic() < until
            assert _breaker(running, "brief") == "closed", "nobody falls back to it"
            taken.listen()
            upstream.expect(GOOD)
            assert running.chat("spent").status == 200
            assert running.stop() == 0, running.output


def _breaker(daemon: Daemon, name: str) -> str:
    found: str = next(row["breaker"] for row in daemon.asked("/providers")["providers"] if row["provider"] == name)
    return found
