"""What an attempt is quoted at, and what becomes of it under a smaller budget."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.money.account import Room
from proxy.policy.money.bounds import Bound
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.quote import (
    LEAST_OUTPUT_TOKENS,
    Decision,
    Go,
    Quote,
    Refuse,
    Unbounded,
    Wait,
    decide,
    quote_for,
    with_maximum,
)
from proxy.policy.money.weight import Weight, weigh
from proxy.policy.names.catalogue import Catalogue, Model
from proxy.policy.values import Provider
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
    assert (quote.bound, quote.most_pusd, quote.least_pusd) == (None, None, 0)


def test_a_free_provider_costs_nothing_whatever_is_asked() -> None:
    quote = quoted(asked(), "anything", provider=FREE)
    assert quote.is_free and quote.most_pusd == 0
    assert quote.price is not None and quote.price.input_usd == Decimal(0)


def known(output: int = 16_384, fixed: int = 0, most_injected: int | None = None) -> Bound:
    """A bound at 1 pusd a token of output."""
    most = output if most_injected is None else most_injected
    return Bound(1, output, fixed + output, fixed, 1, most_injected=most)


UNKNOWN = Bound(1, 32_768, 32_768, 0, 1, is_assumed=True, most_injected=32_768)
LOWERED = [
    # the model's largest output fits a quarter of what is free: as it is
    (known(), (65_536, 65_536), Go(16_384)),
    (known(fixed=10), (65_546, 65_546), Go(16_394)),
    # else what a quarter buys
    (known(), (65_535, 65_535), Go(16_383, 16_383)),
    (known(fixed=10), (65_545, 65_545), Go(16_393, 16_383)),
    (known(), (30_000, 90_000), Go(7_500, 7_500)),
    # not below 4,096, or what the model gives at most
    (known(), (16_384, 16_384), Go(4_096, 4_096)),
    (known(), (4_096, 4_096), Go(4_096, 4_096)),
    (known(2_000), (2_000, 2_000), Go(2_000)),
    # where others hold what spending leaves: in line
    (known(), (4_095, 4_096), Wait(4_096)),
    (known(), (-500, 90_000), Wait(4_096)),
    (known(2_000), (1_999, 2_000), Wait(2_000)),
    # where spending leaves less: down to 256
    (known(), (4_095, 4_095), Go(4_095, 4_095)),
    (known(), (256, 256), Go(256, 256)),
    (known(), (256, 4_095), Go(256, 256)),
    (known(), (255, 256), Wait(256)),
    (known(), (255, 255), Refuse(256)),
    (known(fixed=10), (265, 265), Refuse(266)),
    (known(100), (100, 100), Go(100)),
    (known(100), (99, 100), Wait(100)),
    (known(100), (99, 99), Refuse(100)),
    (known(), (0, 0), Refuse(256)),
    (known(), (-1, -1), Refuse(256)),
    # no longer than the window leaves
    (known(most_injected=6_000), (40_000, 40_000), Go(6_000, 6_000)),
    (known(most_injected=6_000), (65_536, 65_536), Go(16_384)),
    # nobody knows the model's largest output: as it is while what is assumed fits
    (UNKNOWN, (32_768, 32_768), Go(32_768)),
    (UNKNOWN, (32_767, 32_767), Go(8_191, 8_191)),
    (UNKNOWN, (300, 90_000), Wait(4_096)),
    (UNKNOWN, (300, 300), Go(300, 300)),
    # output costs nothing, or all of it does
    (Bound(9, 16_384, 9, 9, 0, most_injected=16_384), (9, 9), Go(9)),
    (Bound(9, 16_384, 9, 9, 0, most_injected=16_384), (8, 9), Wait(9)),
    (Bound(9, 16_384, 9, 9, 0, most_injected=16_384), (8, 8), Refuse(9)),
    (Bound(9, 16_384, 0, 0, 0, most_injected=16_384), (-5, -5), Go(0)),
]


@pytest.mark.parametrize(("bound", "room", "due"), LOWERED)
def test_what_becomes_of_a_call_without_a_maximum(bound: Bound, room: tuple[int, int], due: Decision) -> None:
    assert decide(bound, Room(*room), may_lower=True) == due


@pytest.mark.parametrize(
    ("room", "due"),
    [
        ((16_394, 16_394), Go(16_394)),
        ((16_393, 16_394), Wait(16_394)),
        ((16_393, 16_393), Refuse(16_394)),
    ],
)
def test_a_maximum_of_the_clients_own_fits_waits_or_is_refused(room: tuple[int, int], due: Decision) -> None:
    assert decide(known(fixed=10), Room(*room), may_lower=False) == due


@given(
    output=st.integers(1, 10**6),
    window=st.none() | st.integers(1, 10**6),
    costs=st.tuples(st.integers(0, 10**7), st.integers(0, 10**4)),
    room=st.tuples(st.integers(-(10**9), 10**10), st.integers(0, 10**9)),
    is_assumed=st.booleans(),
    may_lower=st.booleans(),
)
@settings(max_examples=2_000)
def test_no_decision_passes_what_is_free_nor_a_models_largest_output(
    output: int,
    window: int | None,
    costs: tuple[int, int],
    room: tuple[int, int],
    is_assumed: bool,
    may_lower: bool,
) -> None:
    fixed, rate = costs
    most = output if window is None else min(output, window)
    bound = Bound(1, output, fixed + output * rate, fixed, rate, is_assumed, most)
    free, spendable = room[0], room[0] + room[1]
    decision = decide(bound, Room(free, spendable), may_lower=may_lower)
    if isinstance(decision, Refuse):
        assert decision.least_pusd > spendable
        return
    if isinstance(decision, Wait):
        assert free < decision.least_pusd <= spendable
        return
    assert decision.hold_pusd <= free or decision.hold_pusd == 0
    if decision.maximum is None:
        assert decision.hold_pusd == bound.pusd
    else:
        assert may_lower
        assert min(LEAST_OUTPUT_TOKENS, most) <= decision.maximum <= most
        assert decision.maximum < output
        assert decision.hold_pusd == bound.at(decision.maximum)


@pytest.mark.parametrize(
    ("members", "may_lower"),
    [
        ({}, True),
        ({"max_tokens": None}, True),
        ({"max_tokens": 100}, False),
        ({"max_completion_tokens": 100}, False),
        ({"max_tokens": 0}, False),
        ({"max_tokens": -5}, False),
        ({"max_tokens": "many"}, False),
        ({"max_tokens": 100.0}, False),
        ({"max_tokens": None, "max_completion_tokens": "100"}, False),
        ({"max_output_tokens": 100}, True),
    ],
)
def test_only_where_the_client_set_no_maximum_may_one_be_put_in(members: dict[str, object], may_lower: bool) -> None:
    assert quoted(asked(**members), "a/cheap").may_lower is may_lower


def test_a_server_without_such_a_member_heeds_none_and_is_given_none() -> None:
    server = msgspec.structs.replace(OPENROUTER, max_tokens_field="none")
    quote = quoted(asked(max_tokens=100), "a/cheap", provider=server)
    assert (quote.most_pusd, quote.may_lower) == (1000 * 10**6, False)


def test_the_least_that_would_do_is_told() -> None:
    assert quoted(asked(), "a/cheap").least_pusd == 256 * 10**6
    assert quoted(asked(max_tokens=100), "a/cheap").least_pusd == 100 * 10**6


def test_another_maximum_changes_nothing_else() -> None:
    weight = asked(max_tokens=100)
    assert quoted(with_maximum(weight, 7), "a/cheap").most_pusd == 7 * 10**6
    assert weight.likely_tokens - with_maximum(weight, 0).likely_tokens == 100


ANTHROPIC = Provider("anthropic", "anthropic", "https://api.anthropic.com/v1")
ADVISED = PriceBook(
    Catalogue([]),
    {
        "anthropic": Catalogue(
            [
                model("claude-haiku-4-5", "0.000001", "0.000005", 64_000),
                model("claude-opus-4-8", "0.000005", "0.000025", 128_000),
            ]
        )
    },
)


def advised(provider: Provider = ANTHROPIC, **limits: object) -> Quote:
    tool = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-8", **limits}
    messages = [{"role": "user", "content": "x" * 1000}]
    body = {"model": "claude-haiku-4-5", "max_tokens": 4_000, "messages": messages, "tools": [tool]}
    content = json.dumps(body).encode()
    weight = weigh(read_call(endpoint_for("POST", "/messages"), "POST", ("/messages", ""), ("", content)))
    return quote_for(weight, provider, [("claude-haiku-4-5", "claude-haiku-4-5")], ADVISED)


def test_advice_of_another_model_is_held_for_as_often_as_it_may_be_asked_for() -> None:
    alone, once, twice = (
        advised(max_uses=1, max_tokens=1_000),
        advised(max_uses=1, max_tokens=2_048),
        advised(max_uses=2),
    )
    assert alone.bound is not None and once.bound is not None and twice.bound is not None
    # it is written at the advisor's price, and read by the model that asked at its own; what was written before is read by the advisor
    more = 1_048 * (25_000_000 + 5_000_000 + 1_000_000)
    assert once.bound.pusd - alone.bound.pusd == more
    assert once.bound.pusd > 2_048 * 25_000_000 + 4_000 * 5_000_000 + 5_000 * 5_000_000
    assert twice.bound.pusd > 2 * 128_000 * 25_000_000, "without a maximum it may say as much as its model can"
    assert once.bound.output_tokens == 4_000
    unsaid, five = advised(not_uses=5, max_tokens=2_048), advised(max_uses=5, max_tokens=2_048)
    assert unsaid == five, "as often as the operator assumes"


def test_advice_that_nothing_bounds_is_named() -> None:
    for quote in (advised(model="claude-unheard-of"), advised(msgspec.structs.replace(ANTHROPIC, kind="openai"))):
        assert (quote.bound, quote.unbounded) == (None, Unbounded("tool", "advisor"))
    elsewhere = Provider("own", "anthropic", "http://127.0.0.1:1/v1")
    assert advised(elsewhere).unbounded == Unbounded("price", near=None, model="claude-haiku-4-5")
