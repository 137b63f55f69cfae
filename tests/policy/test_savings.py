"""What would have cost less: what past calls used, at other prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.policy.analysis.savings import (
    Choice,
    Held,
    Repeated,
    Spent,
    Unused,
    advise,
    at_price,
    exact_repeats,
    unused_maximum,
    unused_tools,
)
from proxy.policy.money.prices import Override, Price
from proxy.wire.usage import Usage

USD = 10**12
PRICE = Price(Decimal("0.00001"), Decimal("0.00003"), cached_input_usd=Decimal("0.000001"))
CHEAP = Price(Decimal("0.000001"), Decimal("0.000003"))
OWN = Choice("big", "maker/big", "here", PRICE, takes=0b11, quality=0.8, source="table: 80")


def spent(**changes: Any) -> Spent:
    """A hundred calls of 1,000 tokens in and 100 out: $1.30 at PRICE."""
    usage = Usage(100_000, 10_000, changes.pop("cached", 0))
    return Spent(
        **{"model": "big", "provider": "here", "calls": 100, "usage": usage, "cost_pusd": 13 * USD // 10, **changes}
    )


def other(**changes: Any) -> Choice:
    values = {"name": "small", "slug": "maker/small", "provider": "here", "price": CHEAP, "takes": 0b11}
    return Choice(**{**values, **changes})


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (PRICE, 13 * USD // 10),
        (None, 0),
        (Price(Decimal(0), Decimal(0), request_usd=Decimal("0.01")), USD),
        (Price(Decimal(0), Decimal(0), overrides=(Override((("input_usd", Decimal(1)),), min_prompt_tokens=2000),)), 0),
        (Price(Decimal(0), Decimal(0), overrides=(Override((("input_usd", Decimal("0.00001")),), min_prompt_tokens=500),)), USD),
        (Price(Decimal(0), Decimal(0), audio_second_usd=Decimal(1)), None),
    ],
)  # fmt: skip
def test_the_same_tokens_at_another_price(price: Price | None, cost: int | None) -> None:
    assert at_price(spent(), price) == cost


@pytest.mark.parametrize(
    ("held", "is_told"),
    [
        (Held("big", "here", 100, 80, USD, USD // 10), True),
        (Held("big", "here", 100, 80, USD, USD // 3), False),
        (Held("big", "here", 5, 80, USD, USD // 10), False),
        (Held("big", "here", 100, 0, USD // 1000, 0), False),
    ],
)
def test_a_maximum_that_is_never_used_is_told_of_enough_calls_and_money(held: Held, is_told: bool) -> None:
    assert (unused_maximum(held) is not None) == is_told


@pytest.mark.parametrize(
    ("repeats", "cost_pusd", "is_told"), [(20, USD, True), (19, USD, False), (20, USD // 200, False)]
)
def test_repeats_are_told_of_enough_calls_and_money(repeats: int, cost_pusd: int, is_told: bool) -> None:
    assert (exact_repeats(Repeated("big", "here", 100, repeats, cost_pusd)) is not None) == is_told


def tool(name: str = "look", **changes: Any) -> Unused:
    """A definition of 500 tokens in each of a hundred calls: $0.50 at PRICE."""
    values = {"model": "big", "provider": "here", "calls": 100, "tokens": 50_000, "cached_tokens": 0}
    return Unused(**{**values, "tool": name, **changes})


NO_CACHE = replace(PRICE, cached_input_usd=None)
TOOLS: list[tuple[str, list[Unused], dict[str, Any], Any]] = [
    ("one", [tool()], {}, (USD // 2, "medium")),
    ("two", [tool(), tool("run", tokens=10_000)], {}, (6 * USD // 10, "medium")),
    ("half of it cached", [tool(cached_tokens=25_000)], {}, (275 * USD // 1000, "medium")),
    ("all of it cached", [tool(cached_tokens=50_000)], {}, (USD // 20, "medium")),
    ("no price of what is cached", [tool(cached_tokens=50_000)], {"price": NO_CACHE}, (USD // 2, "medium")),
    ("at half the price", [tool()], {"cost_pusd": 65 * USD // 100}, (USD // 4, "medium")),
    ("more than was spent", [tool(tokens=500_000)], {}, (13 * USD // 10, "medium")),
    ("few calls", [tool(calls=20)], {}, (USD // 2, "low")),
    ("few calls of one of them", [tool(), tool("run", calls=99, tokens=10_000)], {}, (6 * USD // 10, "low")),
    ("too few calls", [tool(calls=19)], {}, None),
    ("less than a cent", [tool(tokens=999)], {}, None),
    ("of other calls", [tool(model="small"), tool(provider="there")], {}, None),
    ("free", [tool()], {"price": None}, None),
    ("none", [], {}, None),
]


@pytest.mark.parametrize(("found", "changes", "wanted"), [row[1:] for row in TOOLS], ids=[row[0] for row in TOOLS])
def test_tools_that_are_never_called_cost_what_reading_them_does(
    found: list[Unused], changes: dict[str, Any], wanted: tuple[int, str] | None
) -> None:
    own = replace(OWN, price=changes.pop("price", PRICE))
    told = unused_tools(spent(**changes), own, found)
    assert (None if told is None else (told.saves_pusd, told.confidence)) == wanted


def test_the_tools_that_cost_most_are_named() -> None:
    told = unused_tools(spent(), OWN, [tool(f"tool{number}", tokens=100 * number) for number in range(1, 41)])
    assert told is not None
    assert told.why.startswith(
        "defined and never called: tool40 ($0.04: 40 tokens in each of 100 calls), tool39 ($0.039: 39"
    )
    assert (
        "tool21 ($0.021: 21 tokens in each of 100 calls) and 20 more; the provider's cache had 0% of that" in told.why
    )


TABLE: list[tuple[str, Choice, tuple[str, str] | None]] = [
    ("as good by the table", other(quality=0.79, source="table: 79"), ("cheaper_model", "low")),
    (
        "not as good by the table, of the same author",
        other(quality=0.5, source="table: 50"),
        ("cheaper_model", "unproven"),
    ),
    ("of the same author, unknown", other(), ("cheaper_model", "unproven")),
    ("of another author, unknown", other(slug="others/small"), None),
    ("as good and free", other(price=None, quality=0.9, source="table: 90"), ("cheaper_model", "low")),
    ("can do less", other(takes=0b01, quality=0.9, source="table: 90"), None),
    ("takes too short a prompt", other(context=2000, quality=0.9, source="table: 90"), None),
    ("dearer", other(price=Price(Decimal(1), Decimal(1)), quality=0.9, source="table: 90"), None),
    ("not by the token", other(price=Price(Decimal(0), Decimal(0), audio_second_usd=Decimal(1))), None),
    ("the same elsewhere", other(name="there/big", slug="maker/big", provider="there"), ("cheaper_provider", "high")),
    ("the same here", other(slug="maker/big"), None),
]


@pytest.mark.parametrize(("_", "choice", "wanted"), TABLE, ids=[name for name, *_ in TABLE])
def test_another_model_is_advised_where_it_can_do_as_much_for_less(
    _: str, choice: Choice, wanted: tuple[str, str] | None
) -> None:
    found = advise(spent(), OWN, [OWN, choice])
    assert [(one.kind, one.confidence) for one in found] == ([] if wanted is None else [wanted])
    if found:
        assert (found[0].to, found[0].saves_pusd) == (
            choice.name,
            spent().cost_pusd - (at_price(spent(), choice.price) or 0),
        )


@pytest.mark.parametrize(
    ("changes", "saves"),
    [
        ({"usage": Usage(200_000, 0, 0)}, 9 * USD // 10),  # half of 200,000 tokens at $9 less a million
        ({"usage": Usage(200_000, 0, 30_000)}, 63 * USD // 100),
        ({"usage": Usage(200_000, 0, 40_000)}, None),
        ({"usage": Usage(100_000, 0, 0)}, None),
        ({"usage": Usage(200_000, 0, 0), "calls": 19}, None),
        ({"usage": Usage(200_000, 0, 0), "cost_pusd": USD // 101}, None),
    ],
    ids=["nothing cached", "a little", "enough", "short prompts", "few calls", "next to nothing"],
)
def test_a_cache_is_advised_where_long_prompts_are_read_anew(changes: dict[str, Any], saves: int | None) -> None:
    found = advise(spent(**changes), OWN, [])
    assert [(one.kind, one.confidence, one.saves_pusd) for one in found] == (
        [] if saves is None else [("prompt_cache", "low", saves)]
    )


def test_a_tier_for_calls_that_can_wait_is_advised_where_the_list_has_its_price() -> None:
    half = ("service_tier", "flex", PRICE.times(Decimal("0.5")))
    own = Choice("big", "maker/big", "here", replace(PRICE, variants=(half,)))
    (told,) = advise(spent(), own, [])
    assert (told.kind, told.saves_pusd, told.confidence) == ("flex", 65 * USD // 100, "low")


def test_batches_are_advised_where_the_provider_has_its_own() -> None:
    own = Choice("big", "maker/big", "here", PRICE, has_batches=True)
    assert [(one.kind, one.saves_pusd) for one in advise(spent(), own, [])] == [("batch", 65 * USD // 100)]
    assert advise(spent(calls=0), own, []) == []
    free = Choice("big", "maker/big", "here", None, has_batches=True)
    assert advise(spent(), free, []) == []
