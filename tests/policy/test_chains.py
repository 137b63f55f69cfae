"""What is held for a request that Anthropic may take to other models, and for one that only has its prompt cached."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.quote import Quote, Unbounded, quote_for
from proxy.policy.money.weight import weigh
from proxy.policy.names.catalogue import Catalogue, Model
from proxy.policy.values import Provider
from proxy.wire.call import read_call
from proxy.wire.endpoints import endpoint_for

ANTHROPIC = Provider("anthropic", "anthropic", "https://api.anthropic.com/v1")
OPENROUTER = Provider("openrouter", "openrouter", "https://openrouter.ai/api/v1")
READ = {"claude-fable-5": 10, "claude-opus-4-8": 5, "claude-opus-4": 15, "claude-haiku-4-5": 1}  # USD a million
WRITTEN = {name: 5 * usd for name, usd in READ.items()}


def listed(name: str) -> Model:
    pricing = {"prompt": f"{READ[name] / 10**6:.7f}", "completion": f"{WRITTEN[name] / 10**6:.7f}"}
    return Model(name, name, name, context_length=None, max_output=100_000, pricing=pricing)


LIST = Catalogue([listed(name) for name in READ])
BOOK = PriceBook(Catalogue([]), {"anthropic": LIST})


def quoted(provider: Provider = ANTHROPIC, book: PriceBook = BOOK, **members: Any) -> tuple[Quote, int]:
    """The quote, and the bytes of the request."""
    said = {"model": "claude-fable-5", "max_tokens": 1_000, "messages": [{"role": "user", "content": "Hi"}], **members}
    content = json.dumps(said).encode()
    call = read_call(endpoint_for("POST", "/messages"), "POST", ("/messages", ""), ("", content))
    models = [(name, name) for name in (said["model"], *call.also_models)]
    return quote_for(weigh(call), provider, models, book), len(content)


def held(name: str, read: int, written: int) -> int:
    return (read * READ[name] + written * WRITTEN[name]) * 10**6


def test_every_model_of_the_chain_is_held_for_and_reads_what_those_before_wrote() -> None:
    chain = [{"model": "claude-opus-4-8", "max_tokens": 2_000}, {"model": "claude-haiku-4-5"}]
    quote, size = quoted(fallbacks=chain)
    own = held("claude-fable-5", size, 1_000)
    first, second = held("claude-opus-4-8", size + 1_000, 2_000), held("claude-haiku-4-5", size + 3_000, 1_000)
    assert quote.most_pusd == own + first + second
    assert not quote.may_lower


def test_one_of_anthropics_choosing_may_be_the_dearest_of_its_list() -> None:
    quote, size = quoted(fallbacks="default")
    assert quote.most_pusd == held("claude-fable-5", size, 1_000) + held("claude-opus-4", size + 1_000, 1_000)


def test_a_server_outside_the_lists_takes_it_to_the_same_model_at_the_dearest() -> None:
    own = Provider("own", "anthropic", "http://127.0.0.1:1/v1")
    quote, _ = quoted(own, fallbacks="default")
    assert quote.unbounded == Unbounded("price", near=None, model="claude-fable-5")


def test_openrouter_bills_the_one_that_answers() -> None:
    book = PriceBook(LIST)
    quote, size = quoted(OPENROUTER, book, fallbacks=[{"model": "claude-opus-4"}])
    assert quote.most_pusd == held("claude-opus-4", size, 1_000)


@pytest.mark.parametrize("told", [None, [], "other", 3, {"model": "claude-opus-4"}, [{"model": 3}, "x"]])
def test_what_names_no_model_adds_none(told: Any) -> None:
    quote, size = quoted(fallbacks=told)
    assert quote.most_pusd in (held("claude-fable-5", size, 1_000), None)


def test_one_that_no_list_has_is_not_bounded() -> None:
    quote, _ = quoted(fallbacks=[{"model": "claude-unheard-of"}])
    assert quote.bound is None


def test_a_prompt_that_is_only_cached_is_held_without_an_answer() -> None:
    quote, size = quoted(max_tokens=0)
    assert quote.most_pusd == held("claude-fable-5", size, 0)
    many, size = quoted(max_tokens=0, tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}])
    assert many.bound is not None and many.bound.pusd > held("claude-fable-5", size, 0)


@pytest.mark.parametrize("maximum", [-1, 0.0, False, "0", 0.5])
def test_what_is_no_whole_zero_is_held_as_none(maximum: Any) -> None:
    quote, size = quoted(max_tokens=maximum)
    assert quote.most_pusd == held("claude-fable-5", size, 100_000)


def test_elsewhere_a_maximum_of_zero_is_held_as_none() -> None:
    book = PriceBook(LIST)
    quote, size = quoted(OPENROUTER, book, max_tokens=0)
    assert quote.most_pusd == held("claude-fable-5", size, 100_000)
    heedless = msgspec.structs.replace(ANTHROPIC, max_tokens_field="none")
    assert quoted(heedless, max_tokens=0)[0].most_pusd == held("claude-fable-5", size, 100_000)
