"""Candidates behind a name, in the real process: the decision and its id, an error and a rest, what the operator is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.http import Connection, Reply, request_bytes
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]
TOKEN = "admin-canary-14"
ADMIN = {"host": "127.0.0.1", "port": 0, "token": TOKEN}

SMART = {
    "smart": {"candidates": ["openai/gpt-4o-mini", "local/llama3.1"], "strategy": "cost"},
    "first": {"candidates": ["oai/m", {"target": "local/m", "priority": 1}], "strategy": "weighted"},
    "accounts": {"candidates": ["oai/m", "oai/n", "local/m"], "strategy": "weighted"},
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


def test_what_is_recommended_has_an_id_and_stands_among_the_decisions(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, models=SMART, admin=ADMIN)
    told = answered(daemon, "POST", "/routing/recommend", {"model": "smart", "needs": ["tools"]}).json
    assert told["id"].startswith("dec_") and len(told["id"]) == 28
    (kept,) = daemon.asked("/routing/decisions")["decisions"]
    assert (kept["decision"], kept["for_call"]) == (told, False)


def test_auto_is_refused_what_is_no_chat(daemon: Daemon, upstream: Upstream) -> None:
    for path in ("embeddings", "images/generations", "audio/speech", "rerank", "moderations"):
        reply = daemon.post(f"/v1/{path}", {"model": "auto:cost", "input": "hi", "prompt": "hi", "query": "hi"})
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "unsupported_model", "model"), path
        assert reply.error["message"].endswith(f"name the model that {path} is for.")
    upstream.expect(json_reply(chat_reply()), again=True)
    assert daemon.post("/v1/chat/completions", {"model": "auto:cost", "messages": []}).status == 200


def test_no_recommendation_for_what_takes_no_model_or_is_no_chat(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, models=SMART, admin=ADMIN)
    for asked, sentence in (
        ({"endpoint": "chat/completion"}, "must be one that takes a model"),
        ({"endpoint": "embeddings", "input": "hi"}, "name the model that embeddings is for"),
    ):
        refused = answered(daemon, "POST", "/routing/recommend", {"model": "auto", **asked})
        assert (refused.status, refused.error["code"]) == (400, "invalid_value")
        assert sentence in refused.error["message"]


def test_a_simulation_refuses_what_it_does_not_know(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, models=SMART, admin=ADMIN)
    refused = answered(daemon, "POST", "/routing/simulate", {"model": "smart", "strategy": "cost", "last": 10})
    assert refused.status == 400 and "unknown field `last`" in refused.error["message"]


def test_a_strategy_can_be_read_changed_and_set_again_and_several_at_once(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, models=SMART, admin=ADMIN)
    ceilings = {"usd_per_mtok": 5, "first_token": "3s", "uptime": "99%"}
    thrifty = {"weights": {"cost": 3, "speed": 1}, "ceilings": ceilings, "sticky": "1m", "explore": "1%"}
    assert ask(daemon, "PUT", "/routing/strategies/thrifty", thrifty) == 200
    read = daemon.asked("/routing/strategies/thrifty")
    assert read == {
        "weights": {"cost": 0.75, "speed": 0.25, "quality": 0, "load": 0},
        "ceilings": {"usd_per_mtok": 5, "first_token": 3, "uptime": 0.99},
        "sticky": 60,
        "explore": 0.01,
    }
    assert ask(daemon, "PUT", "/routing/strategies/thrifty", read) == 200
    assert daemon.asked("/routing/strategies/thrifty") == read
    several = {"a": {"weights": {"cost": 1}}, "b": {"weights": {"speeed": 1}}}
    assert ask(daemon, "PUT", "/routing/strategies", several) == 400
    assert daemon.asked("/routing/strategies")["own"] == ["thrifty"]
    changed = answered(daemon, "PUT", "/routing/strategies", {**several, "b": daemon.asked("/routing/strategies/cost")})
    assert sorted(changed.json["changes"]) == ["strategies: a added", "strategies: b added"]
    every = daemon.asked("/routing/strategies")
    assert every["own"] == ["thrifty", "a", "b"] and every["strategies"]["b"] == every["strategies"]["cost"]
    assert answered(daemon, "GET", "/routing/strategies/hurry").status == 404


@pytest.mark.parametrize("candidates", [["openai/gpt-4o"], ["openai/gpt-4o", "openai/gpt-4-turbo"]])
def test_a_ceiling_binds_a_candidate_that_is_alone_and_explain_says_what_the_call_is_told(
    candidates: list[str], start_daemon: StartDaemon, upstream: Upstream
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    daemon = start_daemon(
        models={"tight": {"candidates": candidates, "strategy": "tight"}},
        strategies={"tight": {"weights": {"cost": 1}, "ceilings": {"usd_per_mtok": 0.5}}},
        catalogue={"refresh": "never"},
    )
    reply = daemon.chat("tight")
    assert (reply.status, reply.error["code"]) == (503, "no_healthy_upstream")
    assert "above the ceiling of $0.5" in reply.error["message"]
    done = typed(daemon.folder, "explain", "tight", "--json", "--config", str(daemon.folder / "config.yaml"))
    told = json.loads(done.stdout)
    assert told["verdict"].startswith(
        "refused with 503 no_healthy_upstream: No candidate for this call fits: openai/gpt-"
    )
    assert told["hold"]["usd"] is None


def test_where_no_candidate_fits_the_fallbacks_of_the_name_serve(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    daemon = start_daemon(
        models={
            "tight": {
                "candidates": ["openai/gpt-4o", "openai/gpt-4-turbo"],
                "strategy": "tight",
                "fallbacks": ["local/llama3.1"],
            }
        },
        strategies={"tight": {"weights": {"cost": 1}, "ceilings": {"usd_per_mtok": 0.5}}},
        catalogue={"refresh": "never"},
    )
    reply = daemon.chat("tight")
    assert (reply.status, reply.header("x-tollkeeper-model")) == (200, "llama3.1")
    assert reply.header("x-tollkeeper-attempts") == "1" and len(upstream.calls) == 1
    done = typed(daemon.folder, "explain", "tight", "--json", "--config", str(daemon.folder / "config.yaml"))
    told = json.loads(done.stdout)
    assert told["targets"] == [{"provider": "local", "model": "llama3.1"}] and told["verdict"].startswith("goes")
    alone = daemon.chat("tight", tollkeeper={"fallback": False})
    assert (alone.status, alone.error["code"]) == (503, "no_healthy_upstream")


PICTURE = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}
]


def test_what_no_candidate_takes_is_the_callers_to_mend_and_a_window_the_providers_to_judge(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    both = ["openai/gpt-3.5-turbo-instruct", "openai/gpt-3.5-turbo", "local/any"]
    daemon = start_daemon(
        models={"text": {"candidates": both[:2]}, "any": {"candidates": both}},
        keys={"alice": {"key": "alice-4b1d0e7a99", "privacy": {"zdr": True}}, "bob": {"key": "bob-77aa10e9d2"}},
        catalogue={"refresh": "never"},
    )
    told = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    upstream.expect(json_reply(told, 400), again=True)
    bob = [("Authorization", "Bearer bob-77aa10e9d2")]
    reply = daemon.chat("text", bob, messages=PICTURE)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "unsupported_model", "model")
    assert reply.header("x-should-retry") == "false" and "does not take pictures" in reply.error["message"]
    kept = daemon.chat("any", [("Authorization", "Bearer alice-4b1d0e7a99")], messages=PICTURE)
    assert (kept.status, kept.error["code"]) == (400, "unsupported_model"), "nobody takes both"
    assert not upstream.calls
    long = daemon.chat("text", bob, messages=[{"role": "user", "content": "word " * 16_000}])
    assert (long.status, long.error["code"], len(upstream.calls)) == (400, "context_length_exceeded", 1)
    assert long.header("x-tollkeeper-model") == "openai/gpt-3.5-turbo", "the largest window"


LONG = [{"role": "user", "content": "word " * 16_000}]


@pytest.mark.parametrize(
    ("model", "expected", "rule"),
    [
        ("small", ["openai/gpt-3.5-turbo", "openai/gpt-3.5-turbo-instruct"], "largest"),
        ("falls", ["local/any"], "none"),
    ],
)
def test_a_prompt_that_seems_too_long_for_all_is_recommended_to_whom_a_call_goes_to(
    start_daemon: StartDaemon, upstream: Upstream, model: str, expected: list[str], rule: str
) -> None:
    both = ["openai/gpt-3.5-turbo-instruct", "openai/gpt-3.5-turbo"]
    models = {"small": {"candidates": both}, "falls": {"candidates": both, "fallbacks": ["local/any"]}}
    daemon = start_daemon(models=models, admin=ADMIN, catalogue={"refresh": "never"})
    upstream.expect(json_reply(chat_reply()), again=True)
    told = answered(daemon, "POST", "/routing/recommend", {"model": model, "messages": LONG}).json
    assert ([told["selected_model"], *told["fallback_models"]], told["rule"]) == (expected, rule)
    assert told["selected_model"] not in [one["model"] for one in told["dropped"]]
    called = daemon.chat(model, messages=LONG)
    assert called.header("x-tollkeeper-model") == expected[0].removeprefix("local/")
    (taken, _) = daemon.asked("/routing/decisions")["decisions"]
    assert taken["for_call"] and taken["decision"]["selected_model"] == told["selected_model"]
    assert taken["decision"]["reasons"] == told["reasons"]


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


BUSY = {"error": {"message": "slow down"}}
OF_ONE = {"error": {"message": "Rate limit reached for m in organization org-1 on requests per min (RPM)."}}


def drawn_by(daemon: Daemon, name: str, calls: int = 24) -> list[tuple[str | None, str | None, str | None]]:
    """Where calls went, and how many attempts each took."""
    replies = [daemon.chat(name) for _ in range(calls)]
    assert {reply.status for reply in replies} == {200}
    said = ("x-tollkeeper-provider", "x-tollkeeper-model", "x-tollkeeper-attempts")
    return [tuple(reply.header(one) for one in said) for reply in replies]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("refusal", "path", "rests", "goes_on"),
    [
        (BUSY, "/oai/", {"oai/m", "oai/n"}, {"local"}),
        (OF_ONE, "/oai/", {"oai/m"}, {"local", "oai"}),
    ],
)
def test_a_429_rests_that_key_for_as_long_as_it_says(
    daemon: Daemon, upstream: Upstream, refusal: dict[str, Any], path: str, rests: set[str], goes_on: set[str]
) -> None:
    """All it serves, but where the reply speaks of one model; other keys of the same provider go on at once."""
    upstream.expect(json_reply(refusal, 429, [("Retry-After", "600")]), path=path)
    upstream.expect(json_reply(chat_reply()), path=path, again=True)
    upstream.expect(json_reply(chat_reply()), path="/local/", again=True)
    first = drawn_by(daemon, "first", 1)
    assert first == [("local", "m", "2")]
    later = drawn_by(daemon, "accounts")
    assert {at for at, _, _ in later} == goes_on and {tries for _, _, tries in later} == {"1"}
    dropped = daemon.asked("/routing/decisions")["decisions"][0]["decision"]["dropped"]
    assert {one["model"] for one in dropped} == rests
    assert all(one["reason"].endswith("s more (429)") for one in dropped)


def answered(daemon: Daemon, method: str, path: str, body: Any = None) -> Reply:
    with Connection(daemon.admin_port) as connection:
        sent = json.dumps(body).encode()
        connection.send(
            request_bytes(method, path, [("Authorization", f"Bearer {TOKEN}")], sent, f"127.0.0.1:{daemon.admin_port}")
        )
        return connection.read_reply(method)


def ask(daemon: Daemon, method: str, path: str, body: Any) -> int:
    return answered(daemon, method, path, body).status


def test_a_deployment_that_is_drained_gets_no_new_calls_and_comes_back(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, admin=ADMIN)
    upstream.expect(json_reply(chat_reply()), again=True)

    def weigh(weight: int) -> None:
        both = [{"target": "oai/m", "weight": weight}, {"target": "local/m", "weight": 1}]
        value = {"candidates": both, "strategy": "weighted"}
        assert ask(daemon, "PUT", "/settings/models/both", value) == 200

    weigh(1)
    assert {at for at, _, _ in drawn_by(daemon, "both")} == {"oai", "local"}
    weigh(0)
    assert {at for at, _, _ in drawn_by(daemon, "both")} == {"local"}
    weigh(1)
    assert {at for at, _, _ in drawn_by(daemon, "both")} == {"oai", "local"}


def test_an_account_is_asked_for_no_more_than_its_limits_and_than_it_says_is_left(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(
        catalogue={"refresh": "never"},
        admin=ADMIN,
    )
    limited = {"kind": "openai", "base_url": f"{upstream.url}/brief/v1", "limits": [{"requests": 2, "per": "hour"}]}
    assert ask(daemon, "PUT", "/settings/providers/spare", limited) == 200
    both = {"candidates": ["spare/m", {"target": "oai/m", "priority": 1}], "strategy": "weighted"}
    assert ask(daemon, "PUT", "/settings/models/both", both) == 200
    told = [("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "0")]
    upstream.expect(json_reply(chat_reply(), 200, [*told, ("x-ratelimit-reset-requests", "10m")]), path="/oai/")
    upstream.expect(json_reply(chat_reply()), again=True)
    assert drawn_by(daemon, "both", 3) == [("spare", "m", "1"), ("spare", "m", "1"), ("oai", "m", "1")]
    direct = daemon.chat("spare/m")
    assert (direct.status, direct.error["code"]) == (503, "no_healthy_upstream")
    assert "its limit of 2 requests per hour is reached" in direct.error["message"]
    assert int(direct.header("retry-after") or 0) > 60
    # now both want no calls: what is left is to ask, and the one that only said so answers
    assert drawn_by(daemon, "both", 1) == [("oai", "m", "1")]
    limited["limits"] = []
    assert ask(daemon, "PUT", "/settings/providers/spare", limited) == 200
    assert drawn_by(daemon, "both", 2) == [("spare", "m", "1")] * 2
    decided = daemon.asked("/routing/decisions")["decisions"]
    dropped = [one["reason"] for decision in decided for one in decision["decision"]["dropped"]]
    assert any(reason.endswith("s more (no requests left)") for reason in dropped)
    assert any(reason.endswith("s more (its limit of 2 requests per hour is reached)") for reason in dropped)


def test_what_people_say_of_replies_moves_where_such_calls_go(start_daemon: StartDaemon, upstream: Upstream) -> None:
    """Two that nobody knows, of the same price: after bad words the other one is the better of the two, and the decision says
    why; of another kind of task nothing has been said."""
    best = {"weights": {"quality": 1}, "explore": "0%", "sticky": 0}
    both = {"candidates": ["local/m", "oai/n"], "strategy": "best"}
    daemon = start_daemon(catalogue={"refresh": "never"}, models={"both": both}, strategies={"best": best})
    upstream.expect(json_reply(chat_reply()), again=True)
    replies = [daemon.chat("both") for _ in range(24)]
    good = [reply.header("x-tollkeeper-provider") == "oai" for reply in replies]
    for reply, score in zip(replies, good, strict=True):
        said = {"request_id": reply.request_id, "score": score}
        assert daemon.post("/v1/tollkeeper/feedback", said).status == 200

    def quality() -> str:
        assert daemon.chat("both", tools=[]).status == 200
        told = daemon.asked("/routing/decisions")["decisions"][0]["decision"]
        return next(reason for reason in told["reasons"] if reason.startswith("quality"))

    until = time.monotonic() + PATIENCE_SECONDS
    due = f"a guess: no table has it; of text here {sum(good)} opinions, 0 of 0 replies flawed"
    while due not in quality():  # a decision may go by what was known a moment before
        assert time.monotonic() < until, quality()
    assert {at for at, _, _ in drawn_by(daemon, "both", 5)} == {"oai"}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert daemon.chat("both", tools=tools).status == 200
    told = daemon.asked("/routing/decisions")["decisions"][0]["decision"]
    assert any(reason.endswith("(a guess: no table has it)") for reason in told["reasons"])


BOUND = {
    "keys": {"spent": {"key": "sk-spent", "budgets": [{"usd": "0.000001", "per": "day"}]},
             "small": {"key": "sk-small", "budgets": [{"usd": "0.01", "per": "day"}]}},
    "models": {
        "both": {"candidates": ["openai/gpt-4o", "openai/gpt-4o-mini"], "strategy": "quality"},
        "then": {"candidates": ["openai/gpt-4o", "openai/gpt-4o-mini"], "strategy": "cost",
                 "fallbacks": ["local/llama3.1"], "fallback_on": ["budget"]},
        "new": {"candidates": ["oai/unlisted", "openai/gpt-4o-mini"], "strategy": "first"},
    },
    "strategies": {"first": {"weights": {"speed": 1}, "explore": "50%", "sticky": 0}},
}  # fmt: skip


def test_a_spent_budget_refuses_a_call_with_candidates_as_any_other(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(catalogue={"refresh": "never"}, **BOUND)
    upstream.expect(json_reply(chat_reply()), again=True)
    spent = [("Authorization", "Bearer sk-spent")]
    refused = daemon.chat("both", spent, max_tokens=10)
    assert (refused.status, refused.error["code"], refused.header("x-should-retry")) == (
        402,
        "budget_exceeded",
        "false",
    )
    fell = daemon.chat("then", spent, max_tokens=10)
    assert (fell.status, fell.header("x-tollkeeper-model")) == (200, "llama3.1")
    assert "fallback=budget" in (fell.header("x-tollkeeper-adjusted") or "")
    assert daemon.metric("tollkeeper_budget_held_usd") == 0


def explained(daemon: Daemon, model: str, *options: str) -> Any:
    file = str(daemon.folder / "config.yaml")
    done = typed(daemon.folder, "explain", model, "--key", "small", "--json", "--config", file, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_budget_leaves_out_candidates_that_it_would_refuse_in_calls_and_in_explain(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    """4,000 tokens at gpt-4o are 0.04."""
    daemon = start_daemon(catalogue={"refresh": "never"}, **BOUND)
    upstream.expect(json_reply(chat_reply()), again=True)
    small = [("Authorization", "Bearer sk-small")]
    told = explained(daemon, "both", "--max-tokens", "4000")
    assert (told["target"], told["verdict"]) == ("openai/gpt-4o-mini", "goes")
    assert daemon.chat("both", small, max_tokens=4000).header("x-tollkeeper-model") == "openai/gpt-4o-mini"
    went = {daemon.chat("new", small, max_tokens=10).header("x-tollkeeper-model") for _ in range(12)}
    assert went == {"openai/gpt-4o-mini"}  # no list has a price of the other, where half of the calls would look
    assert explained(daemon, "new")["decision"]["dropped"] == [
        {"model": "oai/unlisted", "reason": "no list has a price of it, and a budget applies"}
    ]
