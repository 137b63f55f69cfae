"""Models that a provider's tools ask count as models that may serve: for what a key may use, and for budgets of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream

FREE_KEY, OPUS_KEY = "sk-free-canary", "sk-opus-canary"
ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8"}
ROUTED = {"type": "openrouter:advisor", "parameters": {"model": "anthropic/claude-opus-4.8"}}
ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
ANSWER |= {"usage": {"input_tokens": 10, "output_tokens": 10}}


@pytest.fixture(scope="module")
def narrow(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    keys = {
        "alice": {"key": CLIENT_KEY, "models": ["anthropic/claude-haiku*"]},
        "free": {"key": FREE_KEY},
        "opus": {"key": OPUS_KEY, "models": ["anthropic/*"]},
    }
    opus = {"usd": 0.01, "per": "total", "for": {"model": "anthropic/claude-opus*"}}
    config = config_for(upstream_server, keys=keys, budgets=[opus], retries={"attempts": 1}, models={})
    with Daemon(config, tmp_path_factory.mktemp("narrow"), key=CLIENT_KEY) as running:
        yield running


def ask(daemon: Daemon, upstream: Upstream, tool: dict[str, Any], key: str = CLIENT_KEY) -> tuple[int, str | None]:
    upstream.expect(json_reply(ANSWER))
    body = {"model": "anthropic/claude-haiku-4.5", "messages": [], "max_tokens": 10, "tools": [tool]}
    reply = daemon.post("/v1/messages", body, [("Authorization", f"Bearer {key}"), ("anthropic-version", "2023-06-01")])
    error = json.loads(reply.body).get("error")
    return reply.status, error and error["message"]


@pytest.mark.parametrize("tool", [ADVISOR, ROUTED, {**ADVISOR, "type": "advisor_20301231", "max_uses": 1}])
def test_a_key_of_one_model_asks_no_other_by_way_of_a_tool(
    narrow: Daemon, upstream: Upstream, tool: dict[str, Any]
) -> None:
    for _ in range(2):  # a body that is known is judged as well
        assert ask(narrow, upstream, tool) == (404, "A model named in `tools` is not available here.")
    assert not upstream.calls


def test_escapes_hide_no_model(narrow: Daemon, upstream: Upstream) -> None:
    body = json.dumps({"model": "anthropic/claude-haiku-4.5", "messages": [], "max_tokens": 10, "tools": [ADVISOR]})
    body = body.replace('"advisor_2026', '"\\u0061dv\\u0069sor_2026').replace('"type"', '"t\\u0079pe"')
    reply = narrow.post("/v1/messages", body.encode())
    assert reply.status == 404
    assert not upstream.calls


def test_the_models_it_may_use_may_be_asked(narrow: Daemon, upstream: Upstream) -> None:
    assert ask(narrow, upstream, {**ADVISOR, "model": "claude-haiku-4-5"})[0] == 200
    function = {"name": "advise", "input_schema": {"type": "object", "properties": {"model": {"type": "string"}}}}
    assert ask(narrow, upstream, function)[0] == 200


@pytest.mark.parametrize("key", [FREE_KEY, OPUS_KEY])
def test_a_budget_of_a_model_counts_where_it_is_asked_for_advice(narrow: Daemon, upstream: Upstream, key: str) -> None:
    status, message = ask(narrow, upstream, ADVISOR, key)
    assert status == 402 and message is not None and "claude-opus" in message
    assert not upstream.calls


def test_a_tool_that_a_message_brings_asks_no_other_either(narrow: Daemon, upstream: Upstream) -> None:
    brought = {"type": "tool_addition", "tool": {"type": "tool_reference", "definition": ADVISOR}}
    for _ in range(3):
        body = {"model": "anthropic/claude-haiku-4.5", "max_tokens": 10, "messages": []}
        upstream.expect(json_reply(ANSWER))
        assert narrow.post("/v1/messages", body).status == 200  # what follows is known but for its messages
        upstream.reset()
        reply = narrow.post("/v1/messages", {**body, "messages": [{"role": "user", "content": [brought]}]})
        assert reply.status == 404 and not upstream.calls
