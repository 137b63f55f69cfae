"""The official openai SDK with its own retries, under a budget: stopped at once for good, patient where it helps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from harness.daemon import Daemon
from openai.types.chat import ChatCompletionMessageParam

KEY = "sk-alice-sdk-test"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
SLOW = "openrouter/mock/slow?ttft=1.5&interval=0&tokens=1&cost=0.001"
EVERYTHING = 166  # output tokens, of a budget of $0.05 at $300 a million


@pytest.fixture
def frugal(mock_root: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose key may spend five cents, and whose calls are held at most three of them."""
    config = {
        "providers": {"openrouter": {"api_key": "sk-or-upstream", "base_url": f"{mock_root}/api/v1"}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 0.05, "per": "total"}]}},
        "models": {"slow": {"target": SLOW, "price": {"input": 0, "output": 300}}},
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
def test_a_spent_budget_is_asked_for_once(frugal: Daemon, sdk: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(model="slow", messages=HELLO, max_tokens=1000, stream=stream)
    assert caught.value.status_code == 402
    assert caught.value.code == "budget_exceeded"
    # whatever else it sent would have come before this one
    sdk.chat.completions.create(model="slow", messages=HELLO, max_tokens=100)
    frugal.wait_for_log(lambda line: line.get("status") == 200)
    assert refusals(frugal) == ["budget_exceeded"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_that_is_only_held_is_waited_for(frugal: Daemon, sdk: openai.OpenAI, stream: bool) -> None:
    with frugal.open_chat("slow", max_tokens=EVERYTHING) as first:
        while not frugal.metric("tollkeeper_budget_held_usd"):
            continue
        answer = sdk.chat.completions.create(model="slow", messages=HELLO, max_tokens=100, stream=stream)
        pieces = [chunk.model_dump_json() for chunk in answer] if stream else [answer.model_dump_json()]
        assert "token1" in "".join(pieces)
        assert first.read_reply().status == 200
    assert set(refusals(frugal)) == {"budget_in_flight"}
