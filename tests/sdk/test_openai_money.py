"""The official openai SDK with its own retries, under a budget: stopped at once for good, patient where it helps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from harness.daemon import Daemon
from harness.events import chat_reply, chat_stream, usage_chunk
from harness.steps import json_reply, sse, then, wait_at
from harness.upstream import Upstream
from openai.types.chat import ChatCompletionMessageParam

KEY = "sk-alice-sdk-test"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.001}
EVERYTHING = 166  # output tokens, of a budget of $0.05 at $300 a million


@pytest.fixture
def frugal(upstream: Upstream, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose key may spend five cents, and whose calls are held at most three of them."""
    config = {
        "providers": {"openrouter": {"api_key": "sk-or-upstream", "base_url": f"{upstream.url}/or/api/v1"}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 0.05, "per": "total"}]}},
        "models": {"m": {"target": "openrouter/house/model", "price": {"input": 0, "output": 300}}},
        "budget_policy": {"wait": 0},
    }
    with Daemon(config, tmp_path, key=KEY) as running:
        yield running


@pytest.fixture
def sdk(frugal: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=frugal.url, api_key=KEY) as client:
        assert client.max_retries == 2
        yield client


def refusals(daemon: Daemon) -> list[str]:
    """Why calls were refused, in their order."""
    return [line["error"] for line in daemon.log_lines() if line.get("event") == "call" and line["status"] != 200]


@pytest.mark.parametrize("stream", [False, True])
def test_a_spent_budget_is_asked_for_once(frugal: Daemon, sdk: openai.OpenAI, upstream: Upstream, stream: bool) -> None:
    upstream.expect(json_reply(chat_reply(usage=USAGE)))
    with pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(model="m", messages=HELLO, max_tokens=1000, stream=stream)
    assert caught.value.status_code == 402
    assert caught.value.code == "budget_exceeded"
    # whatever else it sent would have come before this one
    sdk.chat.completions.create(model="m", messages=HELLO, max_tokens=100)
    frugal.wait_for_log(lambda line: line.get("status") == 200)
    assert refusals(frugal) == ["budget_exceeded"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_that_is_only_held_is_waited_for(
    frugal: Daemon, sdk: openai.OpenAI, upstream: Upstream, stream: bool
) -> None:
    gate = upstream.gate()
    answer = sse(chat_stream(usage_chunk(USAGE), "token1")) if stream else json_reply(chat_reply("token1", USAGE))
    upstream.expect(then(wait_at(gate), json_reply(chat_reply(usage=USAGE))), answer)

    def call() -> str:
        answer = sdk.chat.completions.create(model="m", messages=HELLO, max_tokens=100, stream=stream)
        return "".join(piece.model_dump_json() for piece in answer) if stream else answer.model_dump_json()

    with frugal.open_chat("m", max_tokens=EVERYTHING) as first, ThreadPoolExecutor(1) as pool:
        upstream.wait_for_calls(1)
        second = pool.submit(call)
        frugal.wait_for_log(lambda line: line.get("error") == "budget_in_flight")
        gate.open()
        assert (first.read_reply().status, "token1" in second.result()) == (200, True)
    assert set(refusals(frugal)) == {"budget_in_flight"}
