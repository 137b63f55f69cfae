"""The official anthropic SDK, unchanged, through the real daemon process: natively, and to OpenRouter's messages."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam
from harness.daemon import Daemon

KEY = "sk-alice-sdk-test"
HELLO: list[MessageParam] = [{"role": "user", "content": "one two three four"}]
MODELS = ["claude/claude-sonnet-4-5", "anthropic/claude-sonnet-4.5", "claude-haiku-4-5-20251001"]


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=daemon.url.removesuffix("/v1"), api_key=KEY, max_retries=0) as sdk:
        yield sdk


@pytest.mark.parametrize("model", MODELS)
def test_messages(client: anthropic.Anthropic, model: str) -> None:
    reply = client.messages.create(model=model, max_tokens=100, messages=HELLO)
    assert reply.content[0].type == "text" and reply.content[0].text == "one two three four"
    assert reply.usage.output_tokens == 4


@pytest.mark.parametrize("model", MODELS)
def test_streamed_messages(client: anthropic.Anthropic, daemon: Daemon, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "one two three four"
        assert stream.get_final_message().stop_reason == "end_turn"
    line = daemon.wait_for_log(lambda entry: entry.get("model") == model and entry.get("stream") is True)
    assert (line["endpoint"], line["output_tokens"]) == ("messages", 4)


def test_beta_methods_keep_their_query_and_header(client: anthropic.Anthropic) -> None:
    reply = client.beta.messages.create(
        model="claude/claude-sonnet-4-5", max_tokens=10, messages=HELLO, betas=["context-management-2025-06-27"]
    )
    assert reply.content


def test_count_tokens(client: anthropic.Anthropic) -> None:
    assert client.messages.count_tokens(model="claude/claude-sonnet-4-5", messages=HELLO).input_tokens > 0


def test_errors_have_anthropics_envelope(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model="no-such-model-anywhere", max_tokens=1, messages=HELLO)
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


def test_models_are_listed_in_anthropics_shape(client: anthropic.Anthropic) -> None:
    listed = list(client.models.list())
    assert any(model.id == "anthropic/claude-sonnet-4.5" for model in listed)
    assert listed[0].type == "model"
    for name in MODELS:
        assert client.models.retrieve(name).id == name
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.models.retrieve("no-such-model-anywhere")
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


def test_a_bearer_token_is_accepted_as_well(daemon: Daemon) -> None:
    root = daemon.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=root, auth_token=KEY, max_retries=0) as sdk:
        assert sdk.messages.create(model="claude/claude-sonnet-4-5", max_tokens=5, messages=HELLO).content
