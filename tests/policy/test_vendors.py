"""Whose servers an entry under `providers:` speaks of."""

from __future__ import annotations

import pytest

from proxy.policy.names.vendors import AUTHORS, VENDORS, author_of_vendor, vendor_of
from proxy.policy.values import Kind, Provider


@pytest.mark.parametrize(
    ("name", "kind", "url", "due"),
    [
        ("x", "openai", "https://api.openai.com/v1", "openai"),
        ("x", "openai", "https://API.OpenAI.com:443/v1", "openai"),
        ("x", "anthropic", "https://api.anthropic.com/v1", "anthropic"),
        ("x", "openai", "https://api.mistral.ai/v1", "mistral"),
        ("x", "openai", "https://generativelanguage.googleapis.com/v1beta/openai", "google"),
        ("x", "openai", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "alibaba"),
        ("x", "anthropic", "https://api.deepseek.com/anthropic", "deepseek"),
        ("x", "openai", "https://openrouter.ai/api/v1", None),
        ("or", "openrouter", "https://openrouter.ai/api/v1", "openrouter"),
        ("or", "openrouter", "http://127.0.0.1:1/v1", "openrouter"),
        ("openai", "openai", "http://127.0.0.1:1/v1", "openai"),
        ("gemini", "openai", "http://127.0.0.1:1/v1", "google"),
        ("x-ai", "openai", "http://127.0.0.1:1/v1", "xai"),
        ("openai", "openai", "https://api.groq.com/openai/v1", "groq"),
        ("local", "openai", "http://127.0.0.1:11434/v1", None),
        ("mock", "mock", "", None),
        ("openai", "mock", "", None),
        ("x", "openai", "https://eu.api.openai.com/v1", None),
        ("x", "openai", "https://evil.example/api.openai.com/v1", None),
        ("x", "openai", "https://api.openai.com@evil.example/v1", None),
        ("x", "openai", "", None),
    ],
)
def test_a_vendor_is_known_by_its_host_else_by_the_entrys_name(
    name: str, kind: Kind, url: str, due: str | None
) -> None:
    assert vendor_of(Provider(name, kind, url)) == due


def test_every_author_with_a_list_is_found_both_ways() -> None:
    assert set(AUTHORS.values()) <= VENDORS
    assert {author: author_of_vendor(vendor) for author, vendor in AUTHORS.items()} == {a: a for a in AUTHORS}
    assert author_of_vendor("groq") is None
