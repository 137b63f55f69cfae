"""Anthropic's `fallbacks` are held for as all their models may be billed, and prompts that are only cached for nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream

RUN = {"input_tokens": 40, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
DECLINED = {"type": "message", "model": "claude-fable-5", **RUN, "output_tokens": 900}
SERVED = {"type": "fallback_message", "model": "claude-opus-4-8", **RUN, "output_tokens": 1_000}
ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-8", "content": []}
ANSWER |= {"stop_reason": "end_turn", "usage": {**RUN, "output_tokens": 1_000, "iterations": [DECLINED, SERVED]}}
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    keys = {name: {"key": f"sk-{name}-canary", "budgets": [{"usd": usd, "per": "total"}]} for name, usd in CAPS.items()}
    keys["alice"] = {"key": CLIENT_KEY}
    config = config_for(upstream_server, keys=keys, retries={"attempts": 1}, models={})
    with Daemon(config, tmp_path_factory.mktemp("chains"), key=CLIENT_KEY) as running:
        yield running


CAPS = {"small": 0.06, "enough": 0.2}


def ask(daemon: Daemon, upstream: Upstream, key: str, **members: Any) -> Any:
    upstream.expect(json_reply(ANSWER))
    body = {"model": "claude-fable-5", "max_tokens": 1_000, "messages": HELLO, **members}
    return daemon.post("/v1/messages", body, [("x-api-key", f"sk-{key}-canary"), ("anthropic-version", "2023-06-01")])


@pytest.mark.parametrize("fallbacks", ["default", [{"model": "claude-opus-4-8"}]])
def test_a_chain_that_might_pass_the_cap_is_refused(daemon: Daemon, upstream: Upstream, fallbacks: Any) -> None:
    assert ask(daemon, upstream, "small", fallbacks=fallbacks).status == 402
    assert not upstream.calls


def test_what_all_its_models_are_billed_for_was_held(daemon: Daemon, upstream: Upstream) -> None:
    reply = ask(daemon, upstream, "enough", fallbacks=[{"model": "claude-opus-4-8"}])
    assert reply.status == 200
    told = daemon.wait_for_log(lambda line: line.get("request_id") == reply.request_id)
    assert float(told["cost_usd"]) == pytest.approx(40 * 0.00001 + 900 * 0.00005 + 40 * 0.000005 + 1_000 * 0.000025)
    assert daemon.metric("tollkeeper_cost_anomalies_total", kind="over_hold") == 0


def test_a_prompt_may_be_cached_under_a_budget_that_pays_for_no_answer(daemon: Daemon, upstream: Upstream) -> None:
    assert ask(daemon, upstream, "small", max_tokens=0).status == 200
    assert ask(daemon, upstream, "small", max_tokens=-1).status == 402
