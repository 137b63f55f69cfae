"""Where closing the connection stops the bill: wire.md 1.10, row by row."""

from __future__ import annotations

import pytest

from proxy.policy.money.billing import Serving, closing_stops_billing
from proxy.policy.values import Kind, Provider


def provider(
    kind: Kind, name: str = "entry", base_url: str = "https://api.example/v1", *, free: bool = False
) -> Provider:
    return Provider(name=name, kind=kind, base_url=base_url, free=free)


OPENROUTER = provider("openrouter", "openrouter", "https://openrouter.ai/api/v1")

STOPS = (
    "OpenAI", "Azure", "Anthropic", "Fireworks", "Mancer", "Recursal", "AnyScale", "Lepton", "OctoAI", "Novita",
    "DeepInfra", "Together", "Cohere", "Hyperbolic", "Infermatic", "Avian", "xAI", "Cloudflare", "SFCompute",
    "Nineteen", "Liquid", "Friendli", "Chutes", "DeepSeek",
)  # fmt: skip
BILLS_ON = (
    "AWS Bedrock", "Amazon Bedrock", "Groq", "Modal", "Google", "Google Vertex", "Google AI Studio", "Minimax",
    "MiniMax", "HuggingFace", "Hugging Face", "Replicate", "Perplexity", "Mistral", "AI21", "Featherless", "Lynn",
    "Lambda", "Reflection", "SambaNova", "Inflection", "ZeroOneAI", "AionLabs", "Alibaba", "Nebius", "Kluster",
    "Targon", "InferenceNet",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["openrouter", "mock"])
@pytest.mark.parametrize(
    ("served_by", "stops"), [*((name, True) for name in STOPS), *((name, False) for name in BILLS_ON), ("", True)]
)
def test_a_stream_through_openrouter_depends_on_who_serves_it(kind: Kind, served_by: str | None, stops: bool) -> None:
    assert closing_stops_billing(Serving(provider(kind), "m", served_by), streamed=True) is stops


@pytest.mark.parametrize("served_by", [*STOPS, None])
@pytest.mark.parametrize("kind", ["openrouter", "openai", "anthropic", "mock"])
def test_what_is_not_streamed_is_billed_in_full(kind: Kind, served_by: str | None) -> None:
    assert not closing_stops_billing(Serving(provider(kind), "openai/m", served_by), streamed=False)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("kind", ["openrouter", "openai"])
def test_what_is_free_has_no_bill_to_stop(kind: Kind, streamed: bool) -> None:
    assert closing_stops_billing(Serving(provider(kind, "groq", free=True), "m", "Groq"), streamed=streamed)


DIRECT = [
    ("openai", "https://api.openai.com/v1", True),
    ("anthropic", "https://api.anthropic.com/v1", True),
    ("deepseek", "https://api.deepseek.com/v1", True),
    ("local", "http://127.0.0.1:11434/v1", True),
    ("local", "http://[::1]:8080/v1", True),
    ("groq", "https://gateway.example/v1", False),
    ("Hugging-Face", "https://gateway.example/v1", False),
    ("fast", "https://api.groq.com/openai/v1", False),
    ("eu", "https://API.Mistral.AI:443/v1", False),
    ("g", "https://generativelanguage.googleapis.com/v1beta/openai", False),
    ("v", "https://europe-west1-aiplatform.googleapis.com/v1", False),
    ("b", "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", False),
    ("p", "https://api.perplexity.ai", False),
    ("h", "https://router.huggingface.co/v1", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "base_url", "stops"), DIRECT)
def test_a_direct_provider_is_known_by_its_name_or_its_host(name: str, base_url: str, stops: bool) -> None:
    assert closing_stops_billing(Serving(provider("openai", name, base_url), "m", None), streamed=True) is stops


def test_a_direct_provider_is_not_judged_by_what_a_reply_claims() -> None:
    assert closing_stops_billing(Serving(provider("openai", "openai"), "m", "Groq"), streamed=True)


@pytest.mark.parametrize(
    ("model", "stops"),
    [("openai/gpt-4o", True), ("x-ai/grok-4", True), ("google/gemini-2.5-pro", False), ("auto", False)],
)
def test_before_the_first_event_only_the_author_can_be_gone_by(model: str, stops: bool) -> None:
    assert closing_stops_billing(Serving(OPENROUTER, model, None), streamed=True) is stops
