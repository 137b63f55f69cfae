"""Tables over what a key may use."""

from __future__ import annotations

import pytest

from proxy.data import snapshot_bytes
from proxy.errors import EndpointNotServed, InvalidValue, ModelNotFound
from proxy.policy.names.access import (
    ROUTE,
    allowed_models,
    check_unnamed,
    choose,
    may_serve,
    may_use,
    named_provider,
)
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import Names, resolve
from proxy.policy.values import Alias, Caller, Listen, Provider, Settings

ALIASES = {
    "storyteller": Alias("openai/gpt-4o", ("anthropic/claude-3.5-sonnet",)),
    "openai/gpt-4o-mini": Alias("local/tiny"),
    "lost": Alias("nowhere-at-all"),
}
NAMES = Names(
    Settings(
        listen=Listen(),
        admin=Listen(),
        state_dir="",
        providers={
            "openrouter": Provider("openrouter", "openrouter", "https://openrouter.ai/api/v1"),
            "local": Provider("local", "openai", "http://127.0.0.1:11434/v1", free=True),
        },
        aliases=ALIASES,
    ),
    read_feed(snapshot_bytes()),
    {"local": frozenset({"llama3.2:3b"})},
)


def key(*patterns: str) -> Caller:
    return Caller("alice", patterns)


@pytest.mark.parametrize(
    ("patterns", "asked", "allowed"),
    [
        ((), "openai/gpt-4o", True),
        ((), None, True),
        (("openai/*",), "openai/gpt-4o", True),
        (("openai/*",), "gpt-4o", True),
        (("openai/*",), "openrouter/openai/gpt-4o", True),
        (("openai/*",), "openai/gpt-4o:nitro", True),
        (("openai/*",), "anthropic/claude-sonnet-4.5", False),
        (("openai/*",), "~openai/gpt-latest", False),
        (("openai/*",), "@preset/x", False),
        (("openai/*",), "openrouter/auto", False),
        (("openai/*",), None, False),
        (("openrouter/*",), None, True),
        (("openai/gpt-4o",), "openai/gpt-4o:nitro", False),
        (("openai/gpt-4o",), "openai/gpt-4o@preset/x", False),
        (("openai/gpt-4o",), "openai/GPT-4o", False),
        (("openai/gpt-5-mini",), "openai/gpt-5-mini-2025-08-07", True),
        (("anthropic/claude-sonnet-4.5",), "claude-sonnet-4-5-20250929", True),
        (("gpt-4o",), "gpt-4o", False),
        (("*",), "llama3.2:3b", True),
        (("local/*",), "llama3.2:3b", True),
        (("local/*",), "openai/gpt-4o", False),
        (("storyteller",), "storyteller", True),
        (("story*",), "storyteller", True),
        (("openai/gpt-4o",), "storyteller", True),
        (("anthropic/*",), "storyteller", False),
        (("storyteller",), "openai/gpt-4o", False),
        (("local/tiny",), "openai/gpt-4o-mini", True),
        (("local/tiny",), "gpt-4o-mini", False),
    ],
)
def test_a_key_may_use_what_its_patterns_name(patterns: tuple[str, ...], asked: str | None, allowed: bool) -> None:
    assert may_use(key(*patterns), NAMES, asked) is allowed


@pytest.mark.parametrize(
    ("patterns", "name", "allowed"),
    [
        ((), "anything", True),
        (("openai/*",), "openai/gpt-4o", True),
        (("openai/*",), "gpt-4o", True),
        (("openai/*",), "anthropic/claude-sonnet-4.5", False),
        (("openai/*",), "claude-sonnet-4-5", False),
        (("storyteller",), "openai/gpt-4o", False),
        (("local/tiny",), "openai/gpt-4o-mini", False),
        (("openai/gpt-5-mini",), "openai/gpt-5-mini-2025-08-07", True),
        (("openai/*",), "a/b/c", False),
    ],
)
def test_a_name_inside_the_body_counts_by_what_the_upstream_reads(
    patterns: tuple[str, ...], name: str, allowed: bool
) -> None:
    assert may_serve(key(*patterns), NAMES, name) is allowed


def test_the_plan_of_an_allowed_model_is_the_resolved_one() -> None:
    assert choose(key("openai/*"), NAMES, "gpt-4o") == resolve(NAMES, "gpt-4o")


def test_unknown_and_forbidden_models_are_told_apart_by_nothing() -> None:
    messages = set()
    for asked in ("anthropic/claude-3.5-sonnets", "anthropic/claude-3.5-sonnet"):
        with pytest.raises(ModelNotFound) as failure:
            choose(key("openai/*"), NAMES, asked)
        messages.add(failure.value.message)
    assert len(messages) == 1
    assert "anthropic" not in messages.pop()


def test_a_suggestion_is_always_something_the_key_may_use() -> None:
    with pytest.raises(ModelNotFound, match="openai/gpt-4o") as failure:
        choose(key("openai/*"), NAMES, "tgpt-4o")
    assert "anthropic/" not in failure.value.message


def test_a_call_without_a_model_is_refused_like_an_unknown_name() -> None:
    with pytest.raises(ModelNotFound, match="/v1/models"):
        choose(key("openai/*"), NAMES, None)


def test_a_key_is_listed_its_aliases_and_models_and_nothing_else() -> None:
    listed = allowed_models(key("openai/gpt-4o", "local/*"), NAMES)
    assert listed == ["storyteller", "openai/gpt-4o-mini", "openai/gpt-4o", "llama3.2:3b"]


def test_a_key_without_patterns_is_listed_everything() -> None:
    assert allowed_models(key(), NAMES) == list(NAMES.offered())


@pytest.mark.parametrize(
    ("patterns", "asked", "provider", "allowed"),
    [
        ((), "gpt-4o", "local", True),
        (("openai/*",), "gpt-4o", "local", True),
        (("openai/*",), "claude-3-5-sonnet-20241022", "local", False),
        (("openai/*",), "llama3.2:3b", "local", False),
        (("local/*",), "llama3.2:3b", "local", True),
        (("local/*",), "gpt-4o", "local", True),
        (("local/*",), "gpt-4o", "openrouter", False),
        (("openrouter/*",), "gpt-4o", "openrouter", False),
        (("openrouter/*",), "openrouter/auto", "openrouter", True),
        (("storyteller",), "storyteller", "openrouter", True),
        (("storyteller",), "gpt-4o", "openrouter", False),
        (("openai/*",), None, "local", False),
        (("local/*",), None, "local", True),
    ],
)
def test_a_key_may_use_at_a_named_provider_what_its_patterns_name(
    patterns: tuple[str, ...], asked: str | None, provider: str, allowed: bool
) -> None:
    assert may_use(key(*patterns), NAMES, asked, provider) is allowed
    if not allowed:
        with pytest.raises(ModelNotFound):
            choose(key(*patterns), NAMES, asked, provider)


@pytest.mark.parametrize(("route", "member"), [("local", None), (None, "local"), ("local", "local")])
def test_a_provider_is_named_by_the_header_or_the_body_or_both(route: str | None, member: str | None) -> None:
    assert named_provider(NAMES, route, member) == "local"


@pytest.mark.parametrize(
    ("route", "member", "param", "hint"),
    [
        ("openruter", None, ROUTE, "The nearest name is openrouter."),
        (None, "Local", "tollkeeper.provider", "The nearest name is local."),
        ("xyz", "xyz", "tollkeeper.provider", "There are: openrouter, local."),
        ("", None, ROUTE, "There are: openrouter, local."),
        ("local", "openrouter", ROUTE, "keep one."),
        ("local", "", ROUTE, "keep one."),
    ],
)
def test_a_provider_that_is_none_is_refused_with_a_hint(
    route: str | None, member: str | None, param: str, hint: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        named_provider(NAMES, route, member)
    assert caught.value.param == param
    assert caught.value.message.endswith(hint)
    assert "xyz" not in caught.value.message and "ruter." not in caught.value.message


def test_a_key_with_models_sends_calls_without_one_where_they_usually_go() -> None:
    check_unnamed(key(), "local", "openrouter")
    check_unnamed(key("openai/*"), "openrouter", "openrouter")
    with pytest.raises(EndpointNotServed, match="leave the header x-tollkeeper-route out"):
        check_unnamed(key("openai/*"), "local", "openrouter")
