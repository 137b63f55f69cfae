"""What an attempt is quoted at, and what becomes of it under a smaller budget."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from proxy.policy.catalogue import Catalogue, Model
from proxy.policy.pricebook import PriceBook
from proxy.policy.quote import Quote, quote_for, with_maximum
from proxy.policy.values import Provider
from proxy.policy.weight import Weight, likely_tokens, weigh
from proxy.wire.call import read_call
from proxy.wire.endpoints import endpoint_for

OPENROUTER = Provider("openrouter", "openrouter", "https://openrouter.ai/api/v1")
FREE = Provider("local", "openai", "http://127.0.0.1:1/v1", free=True)


def model(name: str, prompt: str, completion: str, max_output: int | None = 1000) -> Model:
    return Model(
        name,
        name,
        name,
        context_length=None,
        max_output=max_output,
        pricing={"prompt": prompt, "completion": completion},
    )


BOOK = PriceBook(
    Catalogue(
        [
            model("a/cheap", "0", "0.000001"),
            model("a/dear", "0", "0.00001"),
            model("a/endless", "0", "0.000001", None),
            model("a/router", "-1", "-1"),
        ]
    )
)


def asked(**members: object) -> Weight:
    body = json.dumps({"model": "m", "messages": [], **members}).encode()
    return weigh(read_call(endpoint_for("POST", "/chat/completions"), "POST", ("/chat/completions", ""), ("", body)))


def quoted(weight: Weight, *names: str, provider: Provider = OPENROUTER) -> Quote:
    return quote_for(weight, provider, [(name, name) for name in names], BOOK)


def test_the_dearest_model_that_may_serve_sets_the_hold() -> None:
    assert quoted(asked(max_tokens=100), "a/cheap").most_pusd == 100 * 10**6
    assert quoted(asked(max_tokens=100), "a/cheap", "a/dear").most_pusd == 100 * 10**7
    assert quoted(asked(max_tokens=100), "a/cheap", "a/dear").price == BOOK.price(OPENROUTER, "", "a/cheap")


@pytest.mark.parametrize("names", [("a/router",), ("a/cheap", "a/router"), ("nobody/knows",)])
def test_an_unpriced_model_among_them_leaves_no_bound(names: tuple[str, ...]) -> None:
    quote = quoted(asked(max_tokens=100), *names)
    assert (quote.bound, quote.most_pusd, quote.least_pusd, quote.within(10**15)) == (None, None, 0, None)


def test_a_free_provider_costs_nothing_whatever_is_asked() -> None:
    quote = quoted(asked(), "anything", provider=FREE)
    assert quote.is_free and quote.within(0) == (0, None)
    assert quote.price is not None and quote.price.input_usd == Decimal(0)


@pytest.mark.parametrize(
    ("weight", "name", "left", "hold_and_maximum"),
    [
        (asked(max_tokens=100), "a/cheap", 100 * 10**6, (100 * 10**6, None)),
        (asked(max_tokens=100), "a/cheap", 100 * 10**6 - 1, (100 * 10**6, None)),  # not ours to lower
        (asked(), "a/cheap", 1000 * 10**6, (1000 * 10**6, None)),
        (asked(), "a/cheap", 600 * 10**6, (600 * 10**6, 600)),
        (asked(), "a/cheap", 256 * 10**6, (256 * 10**6, 256)),
        (asked(), "a/cheap", 256 * 10**6 - 1, None),  # too few for an answer
        (asked(), "a/endless", 5000 * 10**6, (5000 * 10**6, 5000)),
        (asked(max_tokens=10), "a/endless", 1, (10 * 10**6, None)),
    ],
)
def test_a_maximum_is_put_in_where_the_request_set_none_and_the_budget_needs_one(
    weight: Weight, name: str, left: int, hold_and_maximum: tuple[int, int | None] | None
) -> None:
    assert quoted(weight, name).within(left) == hold_and_maximum


def test_the_least_that_would_do_is_what_a_refusal_names() -> None:
    assert quoted(asked(), "a/cheap").least_pusd == 256 * 10**6
    assert quoted(asked(max_tokens=100), "a/cheap").least_pusd == 100 * 10**6


def test_another_maximum_changes_nothing_else() -> None:
    weight = asked(max_tokens=100)
    assert quoted(with_maximum(weight, 7), "a/cheap").most_pusd == 7 * 10**6
    assert likely_tokens(weight) - likely_tokens(with_maximum(weight, 0)) == 100
