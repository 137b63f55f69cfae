"""Candidates behind a name, in the real process: the decision and its id, an error and a rest, what the operator is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.steps import json_reply
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]

SMART = {
    "smart": {"candidates": ["openai/gpt-4o-mini", "local/llama3.1"], "strategy": "cost"},
    "keys": {"candidates": ["local/m", "openai/gpt-4o"], "strategy": "weighted"},
    "share": {"candidates": [{"target": "local/a", "weight": 0}, "local/b"], "strategy": "weighted"},
}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    thrifty = {"weights": {"cost": 1}, "sticky": 0, "explore": "0%"}
    return start_daemon(
        models={**SMART, "own": {"candidates": ["openai/gpt-4o", "local/llama3.1"], "strategy": "thrifty"}},
        strategies={"thrifty": thrifty},
        catalogue={"refresh": "never"},
    )


def test_a_call_goes_to_the_candidate_that_was_chosen_and_the_decision_can_be_seen(
    daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = daemon.chat("own")
    assert (reply.status, reply.header("x-tollkeeper-provider"), reply.header("x-tollkeeper-model")) == (
        200, "local", "llama3.1",
    )  # fmt: skip
    decision = reply.header("x-tollkeeper-decision")
    assert decision is not None and decision.startswith("dec_")
    assert daemon.line_of(reply)["decision"] == decision
    (taken,) = daemon.asked("/routing/decisions")["decisions"]
    assert (taken["asked"], taken["decision"]["id"], taken["decision"]["selected_model"]) == (
        "own", decision, "local/llama3.1",
    )  # fmt: skip
    assert taken["decision"]["fallback_models"] == ["openai/gpt-4o"] and taken["decision"]["strategy"] == "thrifty"
    past = daemon.asked(f"/calls/{reply.header('x-tollkeeper-request-id')}")
    assert past["decision"] == decision
    assert daemon.chat("openai/gpt-4o").header("x-tollkeeper-decision") is None


def test_who_fails_is_left_at_once_and_nothing_is_lost(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "too many"}}, 503), path="/local/", again=True)
    upstream.expect(json_reply(chat_reply()), path="/or/", again=True)
    replies = [daemon.chat("own") for _ in range(12)]
    assert [reply.status for reply in replies] == [200] * 12
    assert replies[-1].header("x-tollkeeper-attempts") == "1"  # after a few, it is not asked any more


def test_who_is_drained_is_only_a_fallback(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    assert {daemon.chat("share").header("x-tollkeeper-model") for _ in range(5)} == {"b"}
    assert "local/a" in daemon.asked("/routing/decisions")["decisions"][0]["decision"]["fallback_models"]
    assert daemon.chat("auto:nonsense").status == 404


def test_a_429_rests_that_account_for_as_long_as_it_says(daemon: Daemon, upstream: Upstream) -> None:
    busy = json_reply({"error": {"message": "slow down"}}, 429, [("Retry-After", "600")])
    upstream.expect(busy, path="/local/", again=True)
    upstream.expect(json_reply(chat_reply()), path="/or/", again=True)
    attempts = [daemon.chat("keys").header("x-tollkeeper-attempts") for _ in range(20)]
    assert sorted(set(attempts)) == ["1", "2"] and attempts.count("2") == 1  # one call met it, the others went by
    (dropped,) = daemon.asked("/routing/decisions")["decisions"][0]["decision"]["dropped"]
    assert dropped["model"] == "local/m" and dropped["reason"].endswith("s more (429)")
