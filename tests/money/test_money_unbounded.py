"""What an agent's tools cost under a budget, and how the few calls are refused that nothing bounds."""

from __future__ import annotations

from typing import Any

import pytest
from harness.events import chat_reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream
from money_books import StartToll

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
CODEX_TOOLS = [
    {"type": "function", "name": "exec_command", "parameters": {"type": "object"}},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
    {"type": "local_shell"},
    {"type": "namespace", "name": "multi_agent_v1", "tools": [{"type": "function", "name": "spawn_agent"}]},
    {"type": "web_search"},
]


def config(upstream: Upstream) -> dict[str, Any]:
    usual = config_for(upstream)["providers"]
    return {
        "providers": {**usual, "openai": usual["oai"]},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "month"}]}},
        "models": {
            "m": {"target": "openai/gpt-4o-mini", "price": {"input": "0.15", "output": "0.60"}},
            "new": {"target": "openai/gpt-99-ultra", "price": {"input": 1, "output": 1}},
            "lone": "oai/house-model",
            "half": {"target": "oai/house-embedder", "price": {"input": "0.02"}},
        },
        "routes": [{"match": "openai/*", "provider": "openai"}],
        "retries": {"attempts": 1},
    }


@pytest.mark.parametrize("odd", ["two words", "<b>", "line\nbreak", "a b" * 100, "cl\u00e9"])
def test_a_refusal_repeats_nothing_of_a_request_but_names(
    start_daemon: StartToll, upstream: Upstream, odd: str
) -> None:
    daemon = start_daemon(**config(upstream))
    tools = [{"type": odd}]
    for body, said in (
        ({"model": f"oai/{odd}", "input": "x"}, "no list has a price of this model."),
        ({"model": "m", "input": "x", "tools": tools}, "what one of its tools may cost"),
    ):
        refused = daemon.post("/v1/responses", body)
        assert (refused.status, refused.error["code"]) == (402, "model_not_priced")
        assert said in refused.error["message"]
        assert odd not in refused.error["message"]
    named = daemon.post("/v1/responses", {"model": "m", "input": "x", "tools": [{"type": "rover_20300101"}]})
    assert "the tool `rover_20300101`" in named.error["message"]


def test_codex_passes_with_all_its_tools(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**config(upstream))
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.post("/v1/responses", {"model": "m", "input": "hi", "tools": CODEX_TOOLS})
    assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, None)
    assert upstream.call.json["tools"] == CODEX_TOOLS


@pytest.mark.parametrize(
    ("path", "body", "code", "said", "unsaid"),
    [
        ("responses", {"model": "m", "input": "x", "tools": [{"type": "rover_20300101"}]}, "model_not_priced",
         "`rover_20300101`", "price:"),
        ("chat/completions", {"model": "m", "messages": HELLO, "n": "many"}, "model_not_priced",
         "number of answers", "price:"),
        ("chat/completions", {"model": "lone", "messages": HELLO}, "model_not_priced", "`price:`", "Near it"),
        ("embeddings", {"model": "half", "input": "x"}, "model_not_priced", "of `input` and `output` both", "Near it"),
        ("chat/completions", {"model": "m", "messages": HELLO, "preset": "mine"}, "model_not_priced",
         "a price of `@preset/mine`", "`m`"),
        ("chat/completions", {"model": "openai/gpt-4o-minni", "messages": HELLO}, "model_not_found",
         "gpt-4o-mini", "unpriced"),
        ("responses", {"prompt": {"id": "pmpt_1"}, "input": "x"}, "model_not_priced", "`default_model:`", "price:"),
        ("videos", {"model": "m", "prompt": "x"}, "model_not_priced", "`budget_policy: {unpriced: allow}`", "price:"),
    ],
)  # fmt: skip
def test_what_nothing_bounds_is_refused_by_its_name_and_its_setting(
    start_daemon: StartToll, upstream: Upstream, path: str, body: dict[str, Any], code: str, said: str, unsaid: str
) -> None:
    reply = start_daemon(**config(upstream)).post(f"/v1/{path}", body)
    assert (reply.status, reply.error["code"]) == (404 if code == "model_not_found" else 402, code)
    assert said in reply.error["message"] and unsaid not in reply.error["message"]
    assert upstream.calls == []


def test_a_new_model_with_a_price_of_its_own_goes(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**config(upstream))
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat("new").status == 200


def test_ten_long_texts_are_refused_where_one_would_fit(start_daemon: StartToll, upstream: Upstream) -> None:
    members = config(upstream) | {"keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 0.0005, "per": "month"}]}}}
    members["models"] = {"e": {"target": "openai/text-embedding-3-small", "price": {"input": "0.02", "output": 0}}}
    daemon = start_daemon(**members)
    texts = ["x" * 8_000] * 10
    many = daemon.post("/v1/embeddings", {"model": "e", "input": texts})
    assert (many.status, many.error["code"]) == (402, "budget_exceeded")
    upstream.expect(
        json_reply({"object": "list", "data": [], "usage": {"prompt_tokens": 8_000, "total_tokens": 8_000}})
    )
    assert daemon.post("/v1/embeddings", {"model": "e", "input": texts[:1]}).status == 200
