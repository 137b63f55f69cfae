"""What OpenAI's models are asked for where a call is translated: a table by their names, as they refuse what they do not take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocols import lost

from proxy.translate.bridge import decode, read_request, write_request
from proxy.translate.losses import Losses
from proxy.translate.openai_models import efforts_of
from proxy.translate.values import Aim, Protocol

HI = [{"role": "user", "content": "Hi"}]
EFFORTS = [
    ("gpt-4o", ()),
    ("gpt-4.1-mini-2025-04-14", ()),
    ("gpt-35-turbo", ()),
    ("chatgpt-4o-latest", ()),
    ("gpt-5-chat-latest", ()),
    ("o3", ("low", "medium", "high")),
    ("openai/o4-mini", ("low", "medium", "high")),
    ("gpt-5", ("minimal", "low", "medium", "high")),
    ("gpt-5-mini-2025-08-07", ("minimal", "low", "medium", "high")),
    ("gpt-5-codex", ("low", "medium", "high")),
    ("gpt-5-pro", ("high",)),
    ("gpt-5.1", ("none", "low", "medium", "high")),
    ("gpt-5.1-codex-max", ("low", "medium", "high")),
    ("gpt-5.2-chat-latest", ("medium",)),
    ("openai/gpt-5.2", ("none", "low", "medium", "high", "xhigh")),
    ("gpt-5.2-pro", ("medium", "high", "xhigh")),
    ("gpt-5.3-codex", ("none", "low", "medium", "high", "xhigh")),
    ("gpt-6-terra", ("low", "medium", "high", "xhigh", "max")),
    *((model, None) for model in ("gpt-oss-120b", "llama3.1", "claude-opus-5", "o", "qwen3-o1")),
]


@pytest.mark.parametrize(("model", "efforts"), EFFORTS)
def test_every_model_has_its_efforts(model: str, efforts: Any) -> None:
    assert efforts_of(model) == efforts


def sent(target: Protocol, model: str, **members: Any) -> tuple[dict[str, Any], list[str]]:
    """A message as it goes out to that model, and what was lost of it."""
    losses = Losses()
    body = json.dumps({"model": "x", "max_tokens": 32_000, "messages": HI, **members}).encode()
    written = write_request(read_request("messages", body, losses), Aim(target, model), losses)
    return decode(written), lost(losses.sort())


THINK, NOT = {"thinking": {"type": "enabled", "budget_tokens": 31_999}}, {"thinking": {"type": "disabled"}}
MOST = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
MEDIUM = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
# (model, what is asked for, the effort it is told, what is lost)
ASKED: list[tuple[str, dict[str, Any], str | None, list[str]]] = [
    ("gpt-4o", THINK, None, ["reasoning"]),
    ("gpt-4o", NOT, None, []),
    ("gpt-4o", {"temperature": 0.5}, None, []),
    ("gpt-5", THINK, "high", []),
    ("gpt-5", MOST, "high", []),
    ("gpt-5", NOT, "minimal", ["reasoning"]),
    ("gpt-5", {"temperature": 0.5, "top_p": 0.5}, None, ["temperature", "top_p"]),
    ("gpt-5", {"temperature": 1}, None, []),
    ("o3", NOT, "low", ["reasoning"]),
    ("o3", {"temperature": 0}, None, ["temperature"]),
    ("gpt-5.2", MOST, "xhigh", []),
    ("gpt-5.2", NOT | {"temperature": 0.5}, "none", []),
    ("gpt-5.2", {"temperature": 0.5}, None, []),
    ("gpt-5.2", MOST | {"temperature": 0.5}, "xhigh", ["temperature"]),
    ("gpt-5.5", {"temperature": 0.5}, None, ["temperature"]),
    ("gpt-6-sol", MOST, "max", []),
    ("llama3.1", MEDIUM | {"temperature": 1}, "medium", []),
]


@pytest.mark.parametrize("target", ["chat", "responses"])
@pytest.mark.parametrize(("model", "asked", "effort", "losses"), ASKED)
def test_a_model_is_asked_for_what_it_takes(
    target: Protocol, model: str, asked: dict[str, Any], effort: str | None, losses: list[str]
) -> None:
    body, found = sent(target, model, **asked)
    told = body.get("reasoning_effort") if target == "chat" else body.get("reasoning", {}).get("effort")
    assert (told, found) == (effort, losses)
    is_told = "temperature" in asked and "temperature" not in losses
    is_usual = asked.get("temperature") == 1 and model != "llama3.1"
    assert body.get("temperature") == (asked["temperature"] if is_told and not is_usual else None)


@pytest.mark.parametrize(("model", "seals"), [("gpt-4o", False), ("gpt-5", True), ("llama3.1", True)])
def test_sealed_thoughts_are_asked_of_who_may_have_some(model: str, seals: bool) -> None:
    body, _ = sent("responses", model)
    assert (body.get("include") == ["reasoning.encrypted_content"]) is seals
    assert seals or "include" not in body


@pytest.mark.parametrize(("target", "most"), [("chat", "high"), ("responses", "max")])
def test_a_server_of_chat_that_nobody_knows_is_asked_for_no_effort_beyond_the_usual(
    target: Protocol, most: str
) -> None:
    """Ollama and vLLM refuse the others."""
    body, losses = sent(target, "qwen3", **MOST)
    assert (body.get("reasoning_effort") or body["reasoning"]["effort"], losses) == (most, [])
