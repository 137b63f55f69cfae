"""Tables over which price a model has where."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.data import prices_bytes, snapshot_bytes
from proxy.exchange.background.pricing import ShippedLists
from proxy.policy.money.pricebook import (
    FREE,
    MOCK_PRICE,
    MOCK_SIZES,
    Free,
    PriceBook,
    PriceOverride,
    own_list,
    per_token,
)
from proxy.policy.money.prices import FREE_OF_CHARGE, Override, Price
from proxy.policy.money.rates import IMAGE_TOKENS, Sizes
from proxy.policy.names.catalogue import Catalogue, Model
from proxy.policy.names.feed import read_feed
from proxy.policy.values import Provider, Target

D = Decimal
OPENROUTER = Provider("openrouter", "openrouter", "https://openrouter.ai/api/v1")
OPENAI = Provider("openai", "openai", "https://api.openai.com/v1")
ANTHROPIC = Provider("claude", "anthropic", "https://api.anthropic.com/v1")
LOCAL = Provider("local", "openai", "http://127.0.0.1:11434/v1")
OWN = Provider("own", "openai", "http://127.0.0.1:11434/v1", free=True)
MOCK = Provider("mock", "mock", "")


def entry(name: str, prompt: str, *, slug: str = "", **pricing: object) -> Model:
    return Model(name, slug or name, name, 0, 1000, 100, {"prompt": prompt, "completion": prompt, **pricing})


LIVE = Catalogue(
    [
        entry("openai/gpt-4o", "1"),
        entry("openai/gpt-4o-2024-05-13", "2"),
        entry("openai/o9", "3", slug="openai/o9-2030-01-01"),
        entry("anthropic/claude-3.5-sonnet", "4"),
        entry("meta/llama:free", "0"),
        entry("openrouter/auto", "-1"),
        entry("deep/tiered", "5", overrides=[{"min_prompt_tokens": 10, "prompt": "6", "completion": "7"}]),
    ]
)
SNAPSHOT = Catalogue(LIVE.models, is_snapshot=True)
VENDORS = {
    "openai": Catalogue([entry("gpt-4o", "10"), entry("gpt-only-direct", "11"), entry("tts-9", "-1", character="8")]),
    "anthropic": Catalogue([entry("claude-3-5-sonnet-20241022", "12")]),
}


def input_usd(found: Price | Free | None) -> object:
    return found.input_usd if isinstance(found, Price) else found


@pytest.mark.parametrize(
    ("provider", "model", "due"),
    [
        (OPENROUTER, "openai/gpt-4o", 1),
        (OPENROUTER, "openai/gpt-4o:nitro", 1),
        (OPENROUTER, "openai/gpt-4o:online", 1),
        (OPENROUTER, "openai/gpt-4o@preset/mine", 1),
        (OPENROUTER, "openai/gpt-4o-2024-05-13", 2),
        (OPENROUTER, "openai/gpt-4o-2024-08-06", 1),
        (OPENROUTER, "openai/o9-2030-01-01", 3),
        (OPENROUTER, "meta/llama:free", 0),
        (OPENROUTER, "not/listed:free", 0),
        (OPENROUTER, "openrouter/auto", None),
        (OPENROUTER, "not/listed", None),
        (OPENROUTER, "@preset/mine", None),
        (OPENROUTER, "", None),
        (OPENAI, "gpt-4o", 1),
        (OPENAI, "gpt-4o-2024-05-13", 2),
        (OPENAI, "gpt-only-direct", 11),
        (OPENAI, "tts-9", 0),
        (OPENAI, "ft:gpt-4o:org::id", None),
        (OPENAI, "gpt-unknown", None),
        (ANTHROPIC, "claude-3-5-sonnet-20241022", 4),
        (LOCAL, "gpt-4o", None),
        (OWN, "gpt-4o", FREE),
        (MOCK, "openai/gpt-4o", D("0.000001")),
    ],
)
def test_a_model_has_the_price_of_its_provider(provider: Provider, model: str, due: object) -> None:
    book = PriceBook(LIVE, VENDORS)
    assert input_usd(book.price(provider, "x", model)) == due
    assert input_usd(book.price(provider, "x", model)) == due


def test_the_shipped_list_of_a_vendor_goes_before_the_shipped_catalogue() -> None:
    book = PriceBook(SNAPSHOT, VENDORS)
    assert input_usd(book.price(OPENAI, "", "gpt-4o")) == 10
    assert input_usd(book.price(ANTHROPIC, "", "claude-3-5-sonnet-20241022")) == 12
    assert input_usd(book.price(OPENAI, "", "gpt-4o-2024-05-13")) == 2


def test_without_vendors_lists_the_catalogue_serves_alone() -> None:
    assert input_usd(PriceBook(LIVE).price(OPENAI, "", "gpt-4o")) == 1
    assert PriceBook(LIVE).price(OPENAI, "", "gpt-only-direct") is None


@pytest.mark.parametrize(
    "url", ["https://api.openai.com:443/v1", "https://API.OPENAI.COM/v1", "https://api.openai.com"]
)
def test_a_vendor_is_known_by_its_address(url: str) -> None:
    assert input_usd(PriceBook(LIVE).price(Provider("x", "openai", url), "", "gpt-4o")) == 1


@pytest.mark.parametrize("url", ["https://eu.api.openai.com/v1", "https://evil.example/api.openai.com/v1"])
def test_another_address_is_not_the_vendor(url: str) -> None:
    assert PriceBook(LIVE).price(Provider("x", "openai", url), "", "gpt-4o") is None


def test_the_mock_charges_what_its_own_list_says() -> None:
    book = PriceBook(LIVE, {"mock": Catalogue([entry("mock/dear", "9")])})
    assert input_usd(book.price(MOCK, "", "mock/dear?tokens=5")) == 9
    assert book.price(MOCK, "", "mock/echo") == MOCK_PRICE
    assert book.sizes(MOCK, "mock/dear") == Sizes(1000, 100)
    assert PriceBook(LIVE).sizes(MOCK, "mock/dear") == MOCK_SIZES


def test_a_price_of_the_operators_own_goes_first_and_keeps_what_it_leaves_out() -> None:
    book = PriceBook(LIVE, VENDORS, {"alias": PriceOverride(input_usd=D(50)), "tier": PriceOverride(output_usd=D(60))})
    assert book.price(OPENROUTER, "alias", "openai/gpt-4o") == Price(D(50), D(1))
    assert input_usd(book.price(OPENROUTER, "other", "openai/gpt-4o")) == 1
    tiered = book.price(OPENROUTER, "tier", "deep/tiered")
    assert isinstance(tiered, Price)
    assert tiered.overrides == (Override((("input_usd", D(6)),), min_prompt_tokens=10),)
    assert {tiered.output_usd, tiered.image_output_usd, tiered.audio_output_usd} == {D(60)}


def test_an_own_price_of_cached_input_touches_nothing_else() -> None:
    book = PriceBook(LIVE, None, {"alias": PriceOverride(cached_input_usd=D("0.5"))})
    assert book.price(OPENROUTER, "alias", "openai/gpt-4o") == Price(D(1), D(1), D("0.5"))


def test_an_own_price_holds_in_every_tier_of_service() -> None:
    variants = [{"when": {"service_tier": "priority"}, "prompt": "8", "completion": "9"}]
    listed = Catalogue([entry("a/b", "1", variants=variants, image_output="3", audio_output="4")])
    found = PriceBook(listed, None, {"alias": PriceOverride(output_usd=D(5))}).price(OPENROUTER, "alias", "a/b")
    assert isinstance(found, Price)
    priority = found.under("service_tier", "priority")
    assert (priority.input_usd, priority.output_usd) == (D(8), D(5))
    assert (found.image_output_usd, found.audio_output_usd) == (D(3), D(4))


@pytest.mark.parametrize(
    ("override", "due"),
    [
        (PriceOverride(D(1), D(2), D(3)), Price(D(1), D(2), D(3))),
        (PriceOverride(D(1), D(2)), Price(D(1), D(2))),
        (PriceOverride(D(1)), None),
        (PriceOverride(None, D(2)), None),
    ],
)
def test_an_unpriced_model_needs_input_and_output(override: PriceOverride, due: Price | None) -> None:
    assert PriceBook(LIVE, None, {"alias": override}).price(LOCAL, "alias", "llama") == due


def test_an_own_price_does_not_reach_the_fallbacks_of_its_alias() -> None:
    override = PriceOverride(D(50), D(50), target=Target("openrouter", "openai/gpt-4o"))
    book = PriceBook(LIVE, None, {"alias": override})
    assert input_usd(book.price(OPENROUTER, "alias", "openai/gpt-4o")) == 50
    assert input_usd(book.price(OPENROUTER, "alias", "openai/o9")) == 3


def test_a_free_provider_is_free_whatever_an_alias_says() -> None:
    assert PriceBook(LIVE, None, {"alias": PriceOverride(D(1), D(1))}).price(OWN, "alias", "x") == FREE


def test_free_variants_are_known_to_cost_nothing() -> None:
    assert PriceBook(LIVE).price(OPENROUTER, "", "not/listed:free") == FREE_OF_CHARGE


@pytest.mark.parametrize(
    ("provider", "model", "due"),
    [
        (OPENAI, "gpt-4o", None),
        (OPENAI, "gpt-4o-2030-01-01", None),
        (OPENAI, "gpt-4p", ["gpt-4o"]),
        (OPENAI, "zzzz", []),
        (OPENROUTER, "openai/gpt-4p", ["openai/gpt-4o"]),
        (OPENROUTER, "openrouter/auto", None),
        (OPENROUTER, "@preset/mine", None),
        (OPENAI, "", None),
        (LOCAL, "gpt-4p", None),
        (MOCK, "gpt-4p", None),
    ],
)
def test_a_name_no_list_has_is_told_what_is_near_it(provider: Provider, model: str, due: list[str] | None) -> None:
    prices = PriceBook(LIVE, VENDORS)
    found = prices.near(provider, model)
    assert prices.near(provider, model) is found  # looked for once, not for each call
    assert (None if found is None else found[:1]) == due


@pytest.mark.parametrize(
    ("provider", "model", "due"),
    [
        (LOCAL, "house-model", None),
        (LOCAL, "house-modle", ["house-model"]),
        (LOCAL, "zzzz", []),
        (LOCAL, "openai/gpt-4o", None),
        (OPENAI, "gpt-new", None),
        (OPENAI, "gpt-4p", ["gpt-4o"]),
        (OPENROUTER, "house-model", []),
    ],
)
def test_what_a_provider_answers_counts_as_a_list_of_its_names(
    provider: Provider, model: str, due: list[str] | None
) -> None:
    answered = {
        own_list(name): Catalogue([entry(id_, "")]) for name, id_ in (("local", "house-model"), ("openai", "gpt-new"))
    }
    found = PriceBook(LIVE, VENDORS | answered).near(provider, model)
    assert (None if found is None else found[:1]) == due


def test_the_operator_may_say_what_a_tool_costs() -> None:
    book = PriceBook(LIVE, {}, {"m": PriceOverride(D(1), D(2), web_search_usd=D("0.01"), file_search_usd=D("0.02"))})
    price = book.price(LOCAL, "m", "anything")
    assert isinstance(price, Price)
    assert (price.web_search_usd, price.file_search_usd) == (D("0.01"), D("0.02"))


def test_prices_are_given_per_million() -> None:
    assert (per_token(D("2.50")), per_token(None)) == (D("0.0000025"), None)


@pytest.mark.parametrize(
    ("provider", "model", "due"),
    [
        (OPENROUTER, "openai/gpt-4o", Sizes(1000, 100)),
        (OPENROUTER, "openai/gpt-4o:online", Sizes(1000, 100, variant=":online")),
        (OPENROUTER, "openai/gpt-4o:nitro@preset/x", Sizes(1000, 100, variant=":nitro")),
        (OPENROUTER, "not/listed", Sizes()),
        (LOCAL, "qwen3", Sizes(image_tokens=16_400)),
        (LOCAL, "gpt-4o-mini", Sizes(image_tokens=48_200)),
        (LOCAL, "llama", Sizes(None, None, IMAGE_TOKENS)),
        (OPENAI, "gpt-4o", Sizes(1000, 100)),
    ],
)
def test_sizes_come_from_whoever_says(provider: Provider, model: str, due: Sizes) -> None:
    book = PriceBook(LIVE, VENDORS)
    assert book.sizes(provider, model) == due
    assert book.sizes(provider, model) is book.sizes(provider, model)


def test_names_from_clients_are_not_remembered_for_ever() -> None:
    book = PriceBook(LIVE)
    for number in range(5_000):
        assert book.price(OPENROUTER, "x", f"hostile/{number}") is None
    assert len(book._known) <= 4_096


@pytest.mark.parametrize(
    ("asked", "served", "due"),
    [
        (("x", "openai/gpt-4o"), "openai/gpt-4o", None),
        (("x", "openai/gpt-4o"), "openai/gpt-4o-2024-05-13", 2),
        (("x", "openai/gpt-4o"), "openai/o9", 3),
        (("x", "openrouter/auto"), "openai/gpt-4o", 1),
        (("x", "openai/gpt-4o"), "anthropic/claude-3.5-sonnet", 4),
        (("x", "openai/gpt-4o"), "never/heard-of", None),
        (("x", "openai/gpt-4o"), "", None),
        (("x", "openai/gpt-4o:free"), "openai/gpt-4o", None),
        (("own", "openai/gpt-4o"), "openai/gpt-4o", None),
        (("own", "openai/gpt-4o"), "openai/gpt-4o-2024-08-06", None),
        (("own", "openai/gpt-4o"), "openai/o9", None),
        (("own", "openai/gpt-4o-2024-05-13"), "openai/o9", 3),
    ],
)
def test_a_reply_is_priced_by_the_model_that_served(asked: tuple[str, str], served: str, due: object) -> None:
    book = PriceBook(LIVE, VENDORS, {"own": PriceOverride(D(50), target=Target("openrouter", "openai/gpt-4o"))})
    assert input_usd(book.served_price(OPENROUTER, asked, served)) == due
    assert input_usd(book.served_price(OPENROUTER, asked, served)) == due


def test_servers_of_ones_own_and_the_mock_are_priced_as_asked() -> None:
    book = PriceBook(LIVE, VENDORS)
    for provider in (OWN, MOCK, LOCAL):
        assert book.served_price(provider, ("x", "a"), "gpt-4o") is None


SHIPPED = PriceBook(read_feed(snapshot_bytes()), ShippedLists())
FETCHED = PriceBook(Catalogue(read_feed(snapshot_bytes()).models), ShippedLists())


def direct(name: str) -> Provider:
    return Provider(name, "anthropic" if name == "anthropic" else "openai", "http://127.0.0.1:1/v1")


def shipped(book: PriceBook, provider: Provider, model: str) -> Price:
    found = book.price(provider, "", model)
    assert isinstance(found, Price)
    return found


@pytest.mark.parametrize("book", [SHIPPED, FETCHED])
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (direct("anthropic"), "claude-sonnet-4-5-20250929"),
        (direct("anthropic"), "claude-sonnet-4-5"),
        (OPENROUTER, "anthropic/claude-sonnet-4.5"),
        (OPENROUTER, "anthropic/claude-sonnet-4.5:nitro"),
        (OPENROUTER, "anthropic/claude-4.5-sonnet-20250929"),
        (OPENROUTER, "anthropic/claude-sonnet-4-5-20250929"),
    ],
)
def test_a_claude_keeps_its_fees_and_cache_prices_under_every_name(
    book: PriceBook, provider: Provider, model: str
) -> None:
    found = shipped(book, provider, model)
    assert [found.input_usd, found.output_usd, found.cached_input_usd] == [D("3e-6"), D("15e-6"), D("0.3e-6")]
    assert [found.cache_write_usd, found.cache_write_1h_usd] == [D("3.75e-6"), D("6e-6")]
    assert found.web_search_usd == D("0.01")
    assert book.sizes(provider, model).max_output == 64_000


@pytest.mark.parametrize("book", [SHIPPED, FETCHED])
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (direct("openai"), "gpt-5-nano-2025-08-07"),
        (direct("openai"), "gpt-5-nano"),
        (OPENROUTER, "openai/gpt-5-nano"),
        (OPENROUTER, "openai/gpt-5-nano-2025-08-07"),
    ],
)
def test_a_dated_name_keeps_its_flex_price(book: PriceBook, provider: Provider, model: str) -> None:
    found = shipped(book, provider, model)
    assert (found.input_usd, found.under("service_tier", "flex").input_usd) == (D("50e-9"), D("25e-9"))
    assert found.under("service_tier", "unheard of") is found
    assert book.sizes(provider, model).max_output == 128_000


@pytest.mark.parametrize("book", [SHIPPED, FETCHED])
@pytest.mark.parametrize("provider_model", [(direct("openai"), "gpt-5.4"), (OPENROUTER, "openai/gpt-5.4")])
@pytest.mark.parametrize("tier", ["default", "auto", "standard", "priority"])
def test_300_000_tokens_are_long_whatever_the_tier(
    book: PriceBook, provider_model: tuple[Provider, str], tier: str
) -> None:
    long = shipped(book, *provider_model).under("service_tier", tier).at(300_000, 0)
    assert long.input_usd == D("5e-6")
    assert (300_000 * long.input_usd).quantize(D("0.01")) == D("1.50")


@pytest.mark.parametrize("book", [SHIPPED, FETCHED])
def test_an_authors_own_list_stands_in_for_what_openrouters_lacks(book: PriceBook) -> None:
    assert shipped(book, OPENROUTER, "openai/text-embedding-3-small").input_usd == D("0.02e-6")
    assert book.sizes(OPENROUTER, "openai/text-embedding-3-small").context_length == 8_192
    facts = book.facts(OPENROUTER, "openai/text-embedding-3-small")
    assert facts is not None and facts.modes == ("embedding",) and len(facts.sources) == 2
    assert book.facts(OPENROUTER, "openai/no-such-model") is None


def test_what_others_host_may_write_more_than_its_author_lets_it() -> None:
    assert SHIPPED.sizes(direct("deepseek"), "deepseek-chat").max_output == 8_192
    assert SHIPPED.sizes(OPENROUTER, "deepseek/deepseek-chat").max_output is None


def test_prices_of_tokens_are_completed_only_from_a_list_that_agrees_on_the_plain_ones() -> None:
    own = Catalogue([entry("gpt-4o", "1", input_cache_read="0.5", web_search="7", hold={"completion": "3"})])
    for plain, cached in (("1", D("0.5")), ("2", None)):
        book = PriceBook(Catalogue([entry("openai/gpt-4o", plain)]), {"openai": own})
        found = shipped(book, OPENAI, "gpt-4o")
        assert (found.input_usd, found.cached_input_usd, found.web_search_usd) == (D(plain), cached, 7)
        assert found.hold is None


def test_a_dearer_price_for_holds_counts_where_no_fresher_list_speaks() -> None:
    own = Catalogue([entry("gpt-4o", "1", input_cache_read="0.5", hold={"input_cache_read": "0.6"})])
    book = PriceBook(Catalogue([entry("openai/gpt-4o", "1")]), {"openai": own})
    found = shipped(book, OPENAI, "gpt-4o")
    assert (found.cached_input_usd, found.for_holds().cached_input_usd) == (D("0.5"), D("0.6"))


def test_an_own_price_is_the_price_of_holds_as_well() -> None:
    own = Catalogue([entry("gpt-4o", "1", hold={"prompt": "9", "completion": "9"})])
    book = PriceBook(Catalogue([], is_snapshot=True), {"openai": own}, {"x": PriceOverride(D(2), D(3))})
    found = book.price(OPENAI, "x", "gpt-4o")
    assert isinstance(found, Price)
    assert (found.for_holds().input_usd, found.for_holds().output_usd) == (2, 3)


@pytest.mark.parametrize(
    ("vendor", "model", "prices"),
    [
        ("openai", "gpt-4o-mini", ("0.15", "0.60", "0.075")),
        ("openai", "gpt-4o-mini-2024-07-18", ("0.15", "0.60", "0.075")),
        ("openai", "gpt-5", ("1.25", "10", "0.125")),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", ("0.3", "1.2", "0.15")),
        ("anthropic", "claude-3-5-haiku-20241022", ("0.80", "4", "0.08")),
        ("deepseek", "deepseek-chat", ("0.28", "0.42", "0.028")),
        ("mistral", "mistral-large-latest", ("0.5", "1.5", "0.05")),
        ("mistral", "mistral-large-2411", ("2", "6", "0.2")),
        ("xai", "grok-4", ("3", "15", "0.75")),
        ("xai", "grok-4-0709", ("3", "15", "0.75")),
        ("gemini", "gemini-2.5-flash", ("0.30", "2.50", "0.03")),
        ("groq", "openai/gpt-oss-120b", ("0.15", "0.60", "0.075")),
    ],
)
def test_prices_are_what_the_vendors_publish(vendor: str, model: str, prices: tuple[str | None, ...]) -> None:
    found = shipped(SHIPPED, direct(vendor), model)
    for usd, due in zip((found.input_usd, found.output_usd, found.cached_input_usd), prices, strict=True):
        assert usd == (None if due is None else D(due) / 10**6)


@pytest.mark.parametrize(
    ("vendor", "model", "due"),
    [
        ("openai", "gpt-4o-mini", 16_384),
        ("openai", "gpt-4o", 16_384),
        ("openai", "gpt-4.1", 32_768),
        ("openai", "o3", 100_000),
        ("anthropic", "claude-3-haiku-20240307", 4_096),
        ("anthropic", "claude-3-5-sonnet-20241022", 8_192),
        ("gemini", "gemini-2.5-pro", 65_536),
    ],
)
def test_the_largest_output_is_the_vendors(vendor: str, model: str, due: int) -> None:
    assert SHIPPED.sizes(direct(vendor), model).max_output == due


def test_the_shipped_lists_price_what_people_call_directly() -> None:
    vendors = {"openai": read_feed(prices_bytes("openai")), "anthropic": read_feed(prices_bytes("anthropic"))}
    book = PriceBook(read_feed(snapshot_bytes()), vendors)
    for provider, model in ((OPENAI, "gpt-4o-mini"), (OPENAI, "text-embedding-3-small"), (OPENAI, "whisper-1")):
        assert isinstance(book.price(provider, "", model), Price)
    for model in ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "claude-3-5-haiku-20241022"):
        assert isinstance(book.price(ANTHROPIC, "", model), Price)


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gpt-4o-search-preview", True),
        ("gpt-4o-mini-search-preview-2025-03-11", True),
        ("gpt-5-search-api", True),
        ("gpt-4o", False),
        ("o3-deep-research", False),
    ],
)
def test_which_models_search_for_every_call(model: str, searches: bool) -> None:
    assert PriceBook(LIVE).sizes(OPENAI, model).searches is searches
