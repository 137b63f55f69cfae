"""Tables over what a model name means under several sets of providers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from proxy.data import snapshot_bytes
from proxy.errors import InvalidValue, ModelNotFound
from proxy.policy.names.catalogue import Catalogue, Model
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import LONGEST_REMEMBERED, MOST_REMEMBERED, Names, resolve
from proxy.policy.strategies import CandidateRule
from proxy.policy.values import Alias, Kind, Listen, Plan, Provider, Route, Settings, Target

CATALOGUE = read_feed(snapshot_bytes())

LOOPBACK = "http://127.0.0.1:11434/v1"
ADDRESSES = {
    "openrouter": "https://openrouter.ai/api/v1",
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
}


def entry(name: str, kind: Kind, base_url: str = "", *, free: bool = False) -> Provider:
    return Provider(name=name, kind=kind, base_url=base_url or ADDRESSES.get(kind, LOOPBACK), free=free)


OPENROUTER = entry("openrouter", "openrouter")
OPENAI = entry("openai", "openai")
ANTHROPIC = entry("anthropic", "anthropic")
LOCAL = entry("local", "openai", LOOPBACK, free=True)
MOCK = entry("mock", "mock")


def names_of(
    *providers: Provider,
    aliases: dict[str, Alias] | None = None,
    routes: tuple[Route, ...] = (),
    listed: dict[str, frozenset[str]] | None = None,
    **more: object,
) -> Names:
    configured = Settings(
        listen=Listen(),
        admin=Listen(),
        state_dir="",
        providers={provider.name: provider for provider in providers},
        aliases=aliases or {},
        routes=routes,
        **more,  # type: ignore[arg-type]
    )
    return Names(configured, CATALOGUE, listed or {})


def places(names: Names, model: str | None) -> list[tuple[str, str]]:
    return [(target.provider, target.model) for target in resolve(names, model).targets]


def is_unknown(names: Names, model: str) -> bool:
    try:
        resolve(names, model)
    except ModelNotFound:
        return True
    return False


ONLY_OPENROUTER = [
    # as it is
    ("openai/gpt-4o", "openai/gpt-4o"),
    ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
    ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
    ("anthropic/claude-4.6-sonnet-20260217", "anthropic/claude-4.6-sonnet-20260217"),
    ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini-2025-08-07"),
    ("somebody/model-of-tomorrow", "somebody/model-of-tomorrow"),
    ("local/llama3.2:3b", "local/llama3.2:3b"),
    ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    # variants, presets, moving aliases, routers
    ("openai/gpt-5-mini:nitro", "openai/gpt-5-mini:nitro"),
    ("openai/gpt-5-mini:floor", "openai/gpt-5-mini:floor"),
    ("openai/gpt-5-mini:online", "openai/gpt-5-mini:online"),
    ("openai/gpt-5-mini:exacto", "openai/gpt-5-mini:exacto"),
    ("openai/gpt-5-mini:batch", "openai/gpt-5-mini:batch"),
    ("anthropic/claude-3.7-sonnet:thinking", "anthropic/claude-3.7-sonnet:thinking"),
    ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1:free"),
    ("neversleep/llama-3-lumimaid-8b:extended", "neversleep/llama-3-lumimaid-8b:extended"),
    ("~anthropic/claude-haiku-latest", "~anthropic/claude-haiku-latest"),
    ("@preset/x", "@preset/x"),
    ("openai/gpt-4o@preset/x", "openai/gpt-4o@preset/x"),
    ("openai/gpt-4o:nitro@preset/x", "openai/gpt-4o:nitro@preset/x"),
    ("openrouter/auto", "openrouter/auto"),
    ("openrouter/auto:nitro", "openrouter/auto:nitro"),
    ("openrouter/free", "openrouter/free"),
    ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
    ("openrouter/openai/gpt-4o:nitro", "openai/gpt-4o:nitro"),
    ("openrouter/~openai/gpt-latest", "~openai/gpt-latest"),
    ("openrouter/@preset/x", "@preset/x"),
    # bare, in the catalogue
    ("gpt-4o", "openai/gpt-4o"),
    ("gpt-4o-mini", "openai/gpt-4o-mini"),
    ("gpt-4o-2024-11-20", "openai/gpt-4o-2024-11-20"),
    ("gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
    ("gpt-5-codex", "openai/gpt-5-codex"),
    ("gpt-oss-120b", "openai/gpt-oss-120b"),
    ("o3-mini", "openai/o3-mini"),
    ("o1", "openai/o1"),
    ("gemini-2.5-flash", "google/gemini-2.5-flash"),
    ("gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro-preview"),
    ("llama-3.1-70b-instruct", "meta-llama/llama-3.1-70b-instruct"),
    ("mistral-large", "mistralai/mistral-large"),
    ("deepseek-chat", "deepseek/deepseek-chat"),
    ("qwen3-coder", "qwen/qwen3-coder"),
    ("grok-4.5", "x-ai/grok-4.5"),
    ("kimi-k2.5", "moonshotai/kimi-k2.5"),
    ("glm-4.6", "z-ai/glm-4.6"),
    ("goliath-120b", "alpindale/goliath-120b"),
    ("gpt-4o:nitro", "openai/gpt-4o:nitro"),
    ("deepseek-r1:free", "deepseek/deepseek-r1:free"),
    ("gpt-4o@preset/x", "openai/gpt-4o@preset/x"),
    ("gpt-4o:online@preset/x", "openai/gpt-4o:online@preset/x"),
    # bare, Anthropic's spelling
    ("claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
    ("claude-3-5-sonnet-latest", "anthropic/claude-3.5-sonnet"),
    ("claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku"),
    ("claude-3-7-sonnet-20250219", "anthropic/claude-3.7-sonnet"),
    ("claude-3-7-sonnet-20250219:thinking", "anthropic/claude-3.7-sonnet:thinking"),
    ("claude-3-haiku-20240307", "anthropic/claude-3-haiku"),
    ("claude-3-opus-latest", "anthropic/claude-3-opus"),
    ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
    ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
    ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
    ("claude-opus-4-0", "anthropic/claude-opus-4"),
    ("claude-opus-4-1", "anthropic/claude-opus-4.1"),
    ("claude-opus-4-1-20250805", "anthropic/claude-opus-4.1"),
    ("claude-4.5-sonnet-20250929", "anthropic/claude-sonnet-4.5"),
    ("claude-opus-4-6-fast", "anthropic/claude-opus-4.6-fast"),
    ("claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
    ("claude-2.1", "anthropic/claude-2.1"),
    ("claude-instant-1.2", "anthropic/claude-instant-1.2"),
    ("claude-sonnet-9-3-20300101", "anthropic/claude-sonnet-9.3"),
    # prefixed, Anthropic's spelling
    ("anthropic/claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
    ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
    ("anthropic/claude-sonnet-9-3", "anthropic/claude-sonnet-9-3"),
    # bare, by family only
    ("gpt-9-turbo", "openai/gpt-9-turbo"),
    ("chatgpt-5-latest", "openai/chatgpt-5-latest"),
    ("o9-mini", "openai/o9-mini"),
    ("text-embedding-3-small", "openai/text-embedding-3-small"),
    ("gemini-9-ultra", "google/gemini-9-ultra"),
    ("llama-9-8b", "meta-llama/llama-9-8b"),
    ("mistral-tomorrow", "mistralai/mistral-tomorrow"),
    ("codestral-2999", "mistralai/codestral-2999"),
    ("deepseek-v9", "deepseek/deepseek-v9"),
    ("qwen99-7b", "qwen/qwen99-7b"),
    ("grok-99", "x-ai/grok-99"),
    ("command-z", "cohere/command-z"),
    ("kimi-k9", "moonshotai/kimi-k9"),
    ("glm-9:free", "z-ai/glm-9:free"),
]


@pytest.mark.parametrize(("asked", "sent"), ONLY_OPENROUTER)
def test_a_name_reaches_openrouter_in_openrouters_spelling(asked: str, sent: str) -> None:
    assert places(names_of(OPENROUTER), asked) == [("openrouter", sent)]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "open ai/gpt-4o",
        "openai/gpt-4o\n",
        "\ud800/x",
        "@preset/",
        "@preset/\n",
        "gpt-4o mini",
        "gpt-\n",
        "llama3.2:3b",
        "qwen2.5:7b",
        "mistral:latest",
        "deepseek-r1:14b",
        "gpt-4o:3b",
        "GPT-4o",
        "ft:gpt-4o-mini-2024-07-18:us::x",
        "openai/ft:gpt-4o-mini-2024-07-18:us::x",
        "no-such-thing",
        "o10",
    ],
)
def test_a_name_that_fits_nothing_is_unknown_to_openrouter(asked: str) -> None:
    assert is_unknown(names_of(OPENROUTER), asked)


ONLY_ANTHROPIC = [
    ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
    ("anthropic/claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
    ("anthropic/claude-3.7-sonnet", "claude-3-7-sonnet-20250219"),
    ("anthropic/claude-3-haiku", "claude-3-haiku-20240307"),
    ("anthropic/claude-sonnet-4", "claude-sonnet-4-20250514"),
    ("anthropic/claude-4.5-sonnet-20250929", "claude-sonnet-4-5-20250929"),
    ("anthropic/claude-opus-4.1", "claude-opus-4-1"),
    ("anthropic/claude-opus-4.6-fast", "claude-opus-4-6-fast"),
    ("anthropic/claude-opus-5", "claude-opus-5"),
    ("anthropic/claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
    ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
    ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ("claude-sonnet-4.5", "claude-sonnet-4-5"),
    ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20241022"),
    ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-latest"),
    ("claude-3-opus-20240229", "claude-3-opus-20240229"),
    ("claude-opus-4-0", "claude-opus-4-0"),
    ("claude-opus-4-1", "claude-opus-4-1"),
    ("claude-3-7-sonnet", "claude-3-7-sonnet-20250219"),
    ("claude-2.1", "claude-2.1"),
    ("~anthropic/claude-haiku-latest", "claude-haiku-latest"),
    ("gpt-4o", "gpt-4o"),
    ("openai/gpt-4o", "openai/gpt-4o"),
    ("llama3.2:3b", "llama3.2:3b"),
]


@pytest.mark.parametrize(("asked", "sent"), ONLY_ANTHROPIC)
def test_anthropic_reads_its_own_spelling(asked: str, sent: str) -> None:
    assert places(names_of(ANTHROPIC), asked) == [("anthropic", sent)]


@pytest.mark.parametrize(
    ("asked", "provider", "sent"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-5-mini-2025-08-07", "openai", "gpt-5-mini-2025-08-07"),
        ("openai/gpt-5-mini-2025-08-07", "openai", "gpt-5-mini-2025-08-07"),
        ("o3-mini", "openai", "o3-mini"),
        ("ft:gpt-4o-mini-2024-07-18:us::x", "openai", "ft:gpt-4o-mini-2024-07-18:us::x"),
        ("openai/ft:gpt-4o-mini-2024-07-18:us::x", "openai", "ft:gpt-4o-mini-2024-07-18:us::x"),
        ("dall-e-3", "openai", "dall-e-3"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet-20241022", "anthropic", "claude-3-5-sonnet-20241022"),
        ("local/llama3.1", "local", "llama3.1"),
        ("local/llama3.2:3b", "local", "llama3.2:3b"),
        ("local/meta-llama/Llama-3.1-8B", "local", "meta-llama/Llama-3.1-8B"),
        ("llama3.2:3b", "local", "llama3.2:3b"),
        ("llama3.1", "local", "llama3.1"),
        ("llama3.1:latest", "local", "llama3.1:latest"),
        ("meta-llama/Llama-3.1-8B", "local", "meta-llama/Llama-3.1-8B"),
        ("qwen2.5:7b", "local", "qwen2.5:7b"),
        ("llama-3.1-8b-q4", "local", "llama-3.1-8b-q4"),
        ("gemini-2.5-flash", None, ""),
        ("google/gemini-2.5-flash", None, ""),
        ("@preset/x", None, ""),
        ("openrouter/auto", None, ""),
        ("openrouter/openai/gpt-4o", None, ""),
        ("mistral:latest", None, ""),
    ],
)
def test_direct_providers_are_found_without_openrouter(asked: str, provider: str | None, sent: str) -> None:
    listed = {
        "local": frozenset(
            {"llama3.2:3b", "llama3.1:latest", "meta-llama/Llama-3.1-8B", "qwen2.5:7b", "llama-3.1-8b-q4"}
        ),
        "gone": frozenset({"gemini-2.5-flash"}),
    }
    names = names_of(OPENAI, ANTHROPIC, LOCAL, listed=listed)
    if provider is None:
        assert is_unknown(names, asked)
    else:
        assert places(names, asked) == [(provider, sent)]


@pytest.mark.parametrize(
    ("asked", "provider", "sent"),
    [
        ("openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("gpt-4o", "openrouter", "openai/gpt-4o"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet-20241022", "anthropic", "claude-3-5-sonnet-20241022"),
        ("ft:gpt-4o-mini-2024-07-18:us::x", "openai", "ft:gpt-4o-mini-2024-07-18:us::x"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("~openai/gpt-latest", "openrouter", "~openai/gpt-latest"),
        ("@preset/private-thing", "local", "@preset/private-thing"),
        ("meta-llama/llama-3.1-8b-instruct", "local", "meta-llama/llama-3.1-8b-instruct"),
        ("llama-3.1-8b-instruct", "local", "llama-3.1-8b-instruct"),
        ("phi3:mini", "local", "phi3:mini"),
        ("qwen2.5:7b", "local", "qwen2.5:7b"),
        ("gpt-5-codex", "openrouter", "openai/gpt-5-codex"),
        ("gpt-new-thing", "openai", "gpt-new-thing"),
        ("openai/gpt-new-thing", "openrouter", "openai/gpt-new-thing"),
        ("google/gemma-3-9b-GGUF", "local", "google/gemma-3-9b-GGUF"),
        ("nvidia/a/b", "nvidia", "a/b"),
        ("nvidia/nemotron-9", "openrouter", "nvidia/nemotron-9"),
    ],
)
def test_routes_come_before_openrouter_and_openrouter_before_the_rest(asked: str, provider: str, sent: str) -> None:
    routes = (
        Route("anthropic/*", "anthropic"),
        Route("meta-llama/*", "local"),
        Route("@preset/private-*", "local"),
        Route("phi3:*", "local"),
        Route("anthropic/*", "openrouter"),
    )
    listed = {
        "local": frozenset({"qwen2.5:7b", "google/gemma-3-9b-GGUF", "gpt-5-codex"}),
        "openai": frozenset({"gpt-4o", "gpt-new-thing"}),
    }
    nvidia = entry("nvidia", "openai")
    names = names_of(OPENROUTER, OPENAI, ANTHROPIC, LOCAL, nvidia, routes=routes, listed=listed)
    assert places(names, asked) == [(provider, sent)]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("mock/slow?ttft=2&interval=0.05", "slow?ttft=2&interval=0.05"),
        ("slow?ttft=2&interval=0.05", "slow?ttft=2&interval=0.05"),
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20241022"),
        ("mock/openai/gpt-4o", "openai/gpt-4o"),
        ("@preset/x", "@preset/x"),
        ("", ""),
        ("any thing", "any thing"),
    ],
)
def test_an_only_provider_takes_any_name_as_it_is(asked: str, sent: str) -> None:
    assert places(names_of(MOCK), asked) == [("mock", sent)]


@pytest.mark.parametrize(
    ("providers", "asked", "expected"),
    [
        ([entry("or", "openrouter")], "openrouter/auto", ("or", "openrouter/auto")),
        ([entry("or", "openrouter")], "or/auto", ("or", "openrouter/auto")),
        ([entry("or", "openrouter")], "or/openai/gpt-4o", ("or", "openai/gpt-4o")),
        ([entry("or", "openrouter"), OPENROUTER], "openrouter/a/b", ("openrouter", "a/b")),
        ([entry("or", "openrouter"), OPENROUTER], "a/b", ("or", "a/b")),
        ([entry("deepseek", "openai", LOOPBACK)], "deepseek/deepseek-chat", ("deepseek", "deepseek-chat")),
        ([entry("deepseek", "openai", LOOPBACK), LOCAL], "deepseek-chat", ("deepseek", "deepseek-chat")),
        ([entry("mistral", "openai", LOOPBACK), LOCAL], "mistral-large", ("mistral", "mistral-large")),
        ([entry("mistral", "openai", LOOPBACK), OPENROUTER], "mistral/mistral-large", ("mistral", "mistral-large")),
        ([entry("main", "openai")], "openai/gpt-4o", ("main", "gpt-4o")),
        ([entry("lab", "openai", LOOPBACK)], "openai/gpt-oss-20b", ("lab", "openai/gpt-oss-20b")),
        ([entry("lab", "openai", LOOPBACK), ANTHROPIC], "openai/gpt-4o", ("lab", "gpt-4o")),
        ([entry("lab", "openai", LOOPBACK), OPENAI], "gpt-4o", ("openai", "gpt-4o")),
        ([entry("lab", "openai", LOOPBACK), entry("main", "openai")], "gpt-4o", ("main", "gpt-4o")),
        ([entry("claude", "anthropic", LOOPBACK), LOCAL], "claude-opus-4.1", ("claude", "claude-opus-4-1")),
    ],
)
def test_entries_serve_the_author_of_their_name_address_or_kind(
    providers: list[Provider], asked: str, expected: tuple[str, str]
) -> None:
    assert places(names_of(*providers), asked) == [expected]


def test_a_free_server_of_ones_own_is_nobodys_vendor() -> None:
    assert is_unknown(names_of(LOCAL, ANTHROPIC), "gpt-4o")


@pytest.mark.parametrize(
    ("listed", "sent"),
    [({"openai/gpt-oss-20b"}, "openai/gpt-oss-20b"), ({"gpt-oss-20b"}, "gpt-oss-20b"), (set(), "openai/gpt-oss-20b")],
)
def test_what_a_provider_lists_decides_how_a_routed_name_is_spelled(listed: set[str], sent: str) -> None:
    routes = (Route("openai/gpt-oss-*", "local"),)
    names = names_of(OPENROUTER, LOCAL, routes=routes, listed={"local": frozenset(listed)})
    assert places(names, "openai/gpt-oss-20b") == [("local", sent)]


def test_a_listed_claude_is_not_respelled() -> None:
    names = names_of(ANTHROPIC, LOCAL, listed={"anthropic": frozenset({"claude-sonnet-4.5"})})
    assert places(names, "anthropic/claude-sonnet-4.5") == [("anthropic", "claude-sonnet-4.5")]


def test_a_name_two_providers_list_is_unknown_and_both_are_suggested() -> None:
    other = entry("other", "openai", LOOPBACK, free=True)
    lists = frozenset({"llama3.2:3b"})
    names = names_of(LOCAL, other, OPENROUTER, listed={"local": lists, "other": lists})
    with pytest.raises(ModelNotFound) as failure:
        resolve(names, "llama3.2:3b")
    assert "local/llama3.2:3b" in failure.value.message
    assert "other/llama3.2:3b" in failure.value.message
    assert failure.value.param == "model"


def test_a_misspelled_name_is_answered_with_the_nearest_and_never_repeated() -> None:
    with pytest.raises(ModelNotFound) as failure:
        resolve(names_of(OPENROUTER), "laude-sonnet-4.5")
    assert "anthropic/claude-sonnet-4.5" in failure.value.message
    assert " laude" not in failure.value.message


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(ModelNotFound, match="/v1/models"):
        resolve(names_of(OPENROUTER), "zzzzzz")


def test_unknown_names_pass_to_the_first_provider_where_that_is_asked_for() -> None:
    names = names_of(LOCAL, OPENAI, unknown_models="pass")
    assert resolve(names, "wizard") == Plan((Target("local", "wizard"),), "local/wizard")
    assert is_unknown(names_of(unknown_models="pass"), "wizard")


def test_where_unknown_names_pass_an_alias_passes_its_target_not_itself() -> None:
    names = names_of(LOCAL, OPENAI, unknown_models="pass", aliases={"smart": Alias("wizard", ("openai/gpt-4o",))})
    assert places(names, "smart") == [("local", "wizard"), ("openai", "gpt-4o")]


def test_what_openrouter_lists_is_the_catalogues_business() -> None:
    assert is_unknown(names_of(OPENROUTER, LOCAL, listed={"openrouter": frozenset({"wizard"})}), "wizard")


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
        ("anthropic/claude-4.6-sonnet-20260217", "anthropic/claude-sonnet-4.6"),
        ("openai/gpt-4o:nitro", "openai/gpt-4o:nitro"),
        ("openrouter/openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openrouter/auto", "openrouter/auto"),
        ("local/llama3.1", "local/llama3.1"),
        ("llama3.2:3b", "local/llama3.2:3b"),
        ("smart", "smart"),
    ],
)
def test_a_label_is_the_alias_or_the_resolved_name(asked: str, label: str) -> None:
    listed = {"local": frozenset({"llama3.2:3b"})}
    names = names_of(OPENROUTER, LOCAL, aliases={"smart": Alias("openai/gpt-4o")}, listed=listed)
    assert resolve(names, asked).label == label


def test_the_label_at_a_direct_provider_is_the_models_not_the_spelling() -> None:
    names = names_of(ANTHROPIC, LOCAL)
    assert resolve(names, "claude-sonnet-4-5-20250929").label == "anthropic/claude-sonnet-4.5"


ALIASES = {
    "storyteller": Alias(
        "openai/gpt-4o", ("anthropic/claude-3.5-sonnet", "local/llama3.1"), (("temperature", b"0.8"),)
    ),
    "gpt-4o-mini": Alias("gpt-4o-mini"),
    "openai/gpt-5": Alias("local/llama3.1"),
    "chain": Alias("storyteller", ("openai/gpt-4o", "gpt-4o-mini"), (("temperature", b"0"), ("top_p", b"1"))),
    "round": Alias("trip", ("openai/gpt-4o",), (("n", b"1"),)),
    "trip": Alias("round"),
    "lost": Alias("nowhere-at-all"),
    "half-lost": Alias("nowhere-at-all", ("openai/gpt-4o",)),
    "wide*": Alias("openai/gpt-4o"),
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            "storyteller",
            [("openrouter", "openai/gpt-4o"), ("openrouter", "anthropic/claude-3.5-sonnet"), ("local", "llama3.1")],
        ),
        ("gpt-4o-mini", [("openrouter", "openai/gpt-4o-mini")]),
        ("openai/gpt-5", [("local", "llama3.1")]),
        ("gpt-5", [("openrouter", "openai/gpt-5")]),
        (
            "chain",
            [
                ("openrouter", "openai/gpt-4o"),
                ("openrouter", "anthropic/claude-3.5-sonnet"),
                ("local", "llama3.1"),
                ("openrouter", "openai/gpt-4o-mini"),
            ],
        ),
        ("round", [("openrouter", "openai/gpt-4o")]),
        ("half-lost", [("openrouter", "openai/gpt-4o")]),
    ],
)
def test_an_alias_leads_to_its_target_and_then_its_fallbacks(asked: str, expected: list[tuple[str, str]]) -> None:
    plan = resolve(names_of(OPENROUTER, LOCAL, aliases=ALIASES), asked)
    assert [(target.provider, target.model) for target in plan.targets] == expected
    assert plan.rewrite


@pytest.mark.parametrize("asked", ["lost", "wide-open", "nowhere-at-all"])
def test_an_alias_that_leads_nowhere_is_unknown_and_aliases_are_no_patterns(asked: str) -> None:
    assert is_unknown(names_of(OPENROUTER, LOCAL, aliases=ALIASES), asked)


@pytest.mark.parametrize(
    ("asked", "defaults"),
    [
        ("storyteller", {"temperature": b"0.8"}),
        ("chain", {"temperature": b"0", "top_p": b"1"}),
        ("round", {"n": b"1"}),
        ("openai/gpt-4o", {}),
    ],
)
def test_defaults_come_from_the_alias_asked_for_first(asked: str, defaults: dict[str, bytes]) -> None:
    assert dict(resolve(names_of(OPENROUTER, LOCAL, aliases=ALIASES), asked).defaults) == defaults


def test_a_call_without_a_model_goes_out_as_it_is() -> None:
    assert resolve(names_of(LOCAL, OPENROUTER), None) == Plan(
        (Target("openrouter", ""),), "openrouter/default", rewrite=False
    )
    assert resolve(names_of(LOCAL, OPENAI), None) == Plan((Target("local", ""),), "local/default", rewrite=False)


def test_a_call_without_a_model_gets_the_default_model() -> None:
    names = names_of(OPENROUTER, LOCAL, aliases=ALIASES, default_model="storyteller")
    assert resolve(names, None) == resolve(names, "storyteller")


def test_without_providers_nothing_can_be_reached() -> None:
    with pytest.raises(ModelNotFound):
        resolve(names_of(), None)
    assert is_unknown(names_of(), "gpt-4o")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("storyteller", "storyteller"),
        ("a/b/c", "a/b/c"),
    ],
)
def test_a_name_inside_the_body_is_read_as_openrouter_reads_it(name: str, slug: str) -> None:
    assert names_of(OPENROUTER, aliases=ALIASES).slug_of(name) == slug


def test_a_slug_of_two_authors_goes_to_the_family_else_to_the_first_listed() -> None:
    twice = Catalogue(
        Model(id=name, canonical_slug=name, name=name)
        for name in ("copycat/gpt-x", "openai/gpt-x", "first/thing", "second/thing")
    )
    names = Names(Settings(Listen(), Listen(), "", {"openrouter": OPENROUTER}), twice, {})
    assert places(names, "gpt-x") == [("openrouter", "openai/gpt-x")]
    assert places(names, "thing") == [("openrouter", "first/thing")]


def test_offered_names_are_aliases_then_the_catalogue_then_lists() -> None:
    listed = {"local": frozenset({"llama3.2:3b", "gpt-5-codex", "b:1"}), "openai": frozenset({"gpt-4o"})}
    offered = names_of(OPENROUTER, LOCAL, OPENAI, aliases=ALIASES, listed=listed).offered()
    assert offered[: len(ALIASES)] == tuple(ALIASES)
    assert offered[len(ALIASES) : -3] == tuple(m.id for m in CATALOGUE.models if m.id not in ALIASES)
    assert offered[-3:] == ("b:1", "local/gpt-5-codex", "llama3.2:3b")


def test_without_openrouter_only_what_can_be_reached_is_offered() -> None:
    names = names_of(OPENAI, ANTHROPIC, listed={"openai": frozenset({"gpt-4o", "o3"})})
    offered = names.offered()
    assert {"gpt-4o", "o3", "anthropic/claude-sonnet-4.5"} <= set(offered)
    assert not [name for name in offered if name.startswith(("openai/", "google/")) or ":" in name]
    assert names.offered() is offered


def test_every_offered_name_resolves() -> None:
    names = names_of(OPENROUTER, LOCAL, aliases={"a": Alias("gpt-4o")}, listed={"local": frozenset({"x:1", "y z"})})
    assert all(resolve(names, name).targets for name in names.offered())


def test_names_made_up_by_clients_do_not_fill_the_memory() -> None:
    names = names_of(MOCK)
    for number in range(MOST_REMEMBERED + 10):
        assert places(names, f"made-up-{number}") == [("mock", f"made-up-{number}")]
    long_name = "x" * (LONGEST_REMEMBERED + 1)
    assert names.look_up(long_name) is not names.look_up(long_name)
    assert names.look_up("gpt-4o") is names.look_up("gpt-4o")
    assert len(names._remembered) <= MOST_REMEMBERED


SETUPS = [
    {"providers": (OPENROUTER,)},
    {"providers": (OPENAI, ANTHROPIC, LOCAL), "listed": {"local": frozenset({"llama3.1:latest"})}},
    {"providers": (MOCK,)},
    {"providers": (OPENROUTER, LOCAL), "aliases": ALIASES, "routes": (Route("[ab]*", "local"),)},
]
PIECES = st.sampled_from(
    [
        "openai",
        "anthropic",
        "/",
        ":",
        "@preset/",
        "~",
        "claude-",
        "gpt-4o",
        "3-5",
        "-sonnet",
        "free",
        "local",
        "openrouter",
    ]
)


@hypothesis_settings(max_examples=200)
@given(name=st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join)), setup=st.sampled_from(SETUPS))
def test_any_text_resolves_always_alike_or_is_unknown(name: str, setup: dict[str, object]) -> None:
    outcomes: list[Plan | str] = []
    for _ in range(2):
        names = names_of(*setup["providers"], **{k: v for k, v in setup.items() if k != "providers"})  # type: ignore[misc, arg-type]
        try:
            outcomes.append(resolve(names, name))
        except ModelNotFound as problem:
            outcomes.append(problem.message)
    assert outcomes[0] == outcomes[1]


MISTRAL_EU = entry("eu", "openai", "https://api.mistral.ai/v1")
GATEWAY = entry("gateway", "openai", "https://llm.example.org/v1")


@pytest.mark.parametrize(
    ("providers", "name", "due"),
    [
        ((MISTRAL_EU, LOCAL), "mistral-large-latest", ("eu", "mistral-large-latest")),
        ((MISTRAL_EU, LOCAL), "mistralai/mistral-large-latest", ("eu", "mistral-large-latest")),
        ((MISTRAL_EU, LOCAL), "gpt-4o", None),
        ((MISTRAL_EU, OPENAI), "gpt-4o", ("openai", "gpt-4o")),
        ((GATEWAY, LOCAL), "gpt-4o", ("gateway", "gpt-4o")),
        ((entry("gemini", "openai", LOOPBACK), LOCAL), "gemini-2.5-flash", ("gemini", "gemini-2.5-flash")),
        ((entry("dashscope", "openai", LOOPBACK), LOCAL), "qwen-max", ("dashscope", "qwen-max")),
        ((OPENROUTER,), "text-embedding-3-small", ("openrouter", "openai/text-embedding-3-small")),
        ((OPENROUTER,), "mistral-embed", ("openrouter", "mistralai/mistral-embed")),
    ],
)
def test_a_vendor_serves_its_own_authors_models_by_host_or_name_and_nobody_elses(
    providers: tuple[Provider, ...], name: str, due: tuple[str, str] | None
) -> None:
    names = names_of(*providers)
    assert is_unknown(names, name) if due is None else places(names, name) == [due]


THREE = {"smart": Alias("openai/gpt-4o", ("anthropic/claude-3-sonnet", "local/tiny")), "far": Alias("local/tiny")}
ANY = tuple(CandidateRule(name) for name in ("openai/gpt-4o", "anthropic/claude-3-sonnet", "local/tiny"))
THREE["any"] = Alias(ANY[0].target, tuple(rule.target for rule in ANY[1:]), candidates=ANY, strategy="cost")


def at(names: Names, model: str | None, provider: str) -> list[tuple[str, str]]:
    return [(target.provider, target.model) for target in names.look_up(model, provider).plan.targets]


CLAUDES = ("claude-3-sonnet", "anthropic/claude-3-sonnet", "claude-3-sonnet-20240229")


@pytest.mark.parametrize("asked", CLAUDES)
def test_a_claude_is_called_what_the_named_provider_calls_it(asked: str) -> None:
    names = names_of(OPENROUTER, OPENAI, ANTHROPIC, LOCAL)
    assert at(names, asked, "openrouter") == [("openrouter", "anthropic/claude-3-sonnet")]
    assert at(names, asked, "anthropic") == [("anthropic", "claude-3-sonnet-20240229")]
    assert at(names, asked, "local") == [("local", asked)]
    assert places(names, asked) == [("openrouter", "anthropic/claude-3-sonnet")], "and nothing changes without"


@pytest.mark.parametrize(
    ("asked", "provider", "due"),
    [
        ("local/tiny", "local", [("local", "tiny")]),
        ("tiny", "local", [("local", "tiny")]),
        ("smart", "openai", [("openai", "gpt-4o")]),
        ("smart", "anthropic", [("anthropic", "claude-3-sonnet-20240229")]),
        ("smart", "openrouter", [("openrouter", "openai/gpt-4o"), ("openrouter", "anthropic/claude-3-sonnet")]),
        ("smart", "local", [("local", "openai/gpt-4o"), ("local", "anthropic/claude-3-sonnet"), ("local", "tiny")]),
        ("any", "local", [("local", "tiny"), ("local", "openai/gpt-4o"), ("local", "anthropic/claude-3-sonnet")]),
        ("far", "local", [("local", "tiny")]),
        ("@preset/x", "openrouter", [("openrouter", "@preset/x")]),
        (None, "openai", [("openai", "gpt-4o")]),
        (None, "local", [("local", "gpt-4o")]),
    ],
)
def test_a_named_provider_gets_the_call_and_no_other(
    asked: str | None, provider: str, due: list[tuple[str, str]]
) -> None:
    names = names_of(OPENROUTER, OPENAI, ANTHROPIC, LOCAL, aliases=THREE, default_model="gpt-4o")
    assert at(names, asked, provider) == due


@pytest.mark.parametrize(
    ("asked", "provider", "error"),
    [
        ("local/tiny", "openai", InvalidValue),
        ("openrouter/auto", "local", InvalidValue),
        ("far", "openai", ModelNotFound),
        ("no-such-thing", "openrouter", ModelNotFound),
    ],
)
def test_what_the_named_provider_cannot_have_is_refused(asked: str, provider: str, error: type[Exception]) -> None:
    names = names_of(OPENROUTER, OPENAI, LOCAL, aliases=THREE)
    for _ in range(2):
        with pytest.raises(error):
            names.look_up(asked, provider)


@pytest.mark.parametrize("default", [None, "local/tiny", "far"])
def test_a_default_model_of_another_provider_does_not_count(default: str | None) -> None:
    plan = names_of(OPENAI, LOCAL, aliases=THREE, default_model=default).look_up(None, "openai").plan
    assert (plan.targets, plan.label, plan.rewrite) == ((Target("openai", ""),), "openai/default", False)


def test_an_unknown_name_goes_to_openrouter_where_names_pass() -> None:
    assert at(names_of(LOCAL, OPENROUTER, unknown_models="pass"), "no-such", "openrouter") == [
        ("openrouter", "no-such")
    ]


def test_auto_is_whatever_chats_and_has_a_price_and_nothing_that_is_given_away() -> None:
    names = names_of(OPENROUTER, LOCAL, listed={"local": frozenset(("qwen3",))})
    pool = names.look_up("auto:cost").plan.pool
    assert pool is not None and (pool.strategy, pool.is_auto) == ("cost", True)
    seats = {seat.slug for seat in pool.seats}
    assert {"openai/gpt-4o", "qwen/qwen3"} <= seats
    assert not [slug for slug in seats if slug.startswith("openrouter/") or slug.endswith((":free", ":batch"))]
    assert any(model.id.endswith(":free") for model in CATALOGUE.models)
    with pytest.raises(ModelNotFound):
        names.look_up("auto:nonsense")
