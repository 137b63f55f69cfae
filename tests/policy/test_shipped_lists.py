"""The lists that come with the package: every row is whole, sane and says where it comes from."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from proxy.data import prices_bytes, snapshot_bytes
from proxy.policy.money.pricelist import FIELDS, read_pricing
from proxy.policy.money.prices import Price
from proxy.policy.names.catalogue import MODES, TAKES, Model
from proxy.policy.names.feed import read_feed
from proxy.policy.names.vendors import VENDORS

LISTS = {"openrouter": snapshot_bytes(), **{vendor: prices_bytes(vendor) for vendor in sorted(VENDORS)}}
KEYS = FIELDS.keys() | {"overrides", "variants", "factors", "pictures", "hold"}

# USD: a token, a fee, a second, a character, a page: nobody asks more.
DEAREST = {"completion": Decimal("0.001"), "prompt": Decimal("0.0002"), "web_search": Decimal("0.05")}

# What its source says so: speech written down in more tokens than were read.
WRITES_MORE_THAN_IT_READS = {"gemini-2.5-pro-preview-tts", "gemini-2.5-flash-preview-tts"}

rows = [(name, model) for name, data in LISTS.items() for model in read_feed(data).models]


def test_every_list_is_small_and_nothing_else_is_shipped() -> None:
    shipped = {path.name for path in files("proxy.data").iterdir() if path.name.endswith(".json")}
    others = {"images.json", "quality.json"}  # their own tests: test_image_models.py, test_routing_decides.py
    assert shipped == {f"{name}.json" for name in LISTS} | others
    assert sum(map(len, LISTS.values())) <= 1_200_000


@pytest.mark.parametrize("name", LISTS)
def test_every_row_is_read_and_no_name_is_claimed_twice(name: str) -> None:
    entries = json.loads(LISTS[name])["data"]
    models = read_feed(LISTS[name]).models
    assert len(models) == len(entries) > 2
    names = [spelled for model in models for spelled in (model.id, *model.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", LISTS)
def test_every_fact_has_its_source_and_its_day(name: str) -> None:
    for model in read_feed(LISTS[name]).models:
        told = {fact for facts in model.sources.values() for fact in facts}
        keys = model.pricing.keys() - {"hold"}
        assert model.pricing.keys() <= KEYS, model.id
        assert "pricing" in told or keys <= told, model.id
        for fact in ("context_length", "max_output", "modes", "takes"):
            assert bool(getattr(model, fact)) == (fact in told), (model.id, fact)
        assert all(
            source.startswith(("genai-prices ", "litellm ", "platform.kimi.ai ")) and ", 20" in source
            for source in model.sources
        )
        assert set(model.modes) <= set(MODES) and set(model.takes) <= set(TAKES)
        assert model.page is None or model.page.startswith("https://")


def prices(model: Model) -> Price | None:
    return read_pricing(model)


@pytest.mark.parametrize("name", LISTS)
def test_every_price_is_read_and_of_this_world(name: str) -> None:
    for model in read_feed(LISTS[name]).models:
        price = prices(model)
        assert price is not None or model.pricing["prompt"] == "-1", model.id
        for key, most in DEAREST.items():
            assert Decimal(str(model.pricing.get(key, 0))) <= most, (model.id, key)
        if price is not None and price.cached_input_usd is not None and model.pricing["prompt"] != "-1":
            assert price.cached_input_usd <= max(price.input_usd, price.output_usd), model.id


def dearer(hold: dict[str, Any], cost: dict[str, Any]) -> bool:
    """Whether every price of the one is above the same price of the other, in tiers and overrides too."""
    nested = ("overrides", "variants", "factors", "pictures")
    if any(Decimal(usd) <= Decimal(cost[key]) for key, usd in hold.items() if key in FIELDS):
        return False
    named = {json.dumps(row.get("when") or row.get("min_prompt_tokens")): row for row in cost.get("overrides", [])}
    named |= {json.dumps(row["when"]): row for row in cost.get("variants", [])}
    for row in [row for name in nested[:2] for row in hold.get(name, [])]:
        own = named[json.dumps(row.get("when") or row.get("min_prompt_tokens"))]
        if not dearer(row, {**cost, **own}):
            return False
    return True


def test_the_price_of_holds_is_never_below_that_of_costs() -> None:
    disagreements = [model for _, model in rows if "hold" in model.pricing]
    assert len(disagreements) > 15
    for model in disagreements:
        assert dearer(dict(model.pricing["hold"]), dict(model.pricing)), model.id
        price = prices(model)
        assert price is not None
        hold = price.for_holds()
        for field in FIELDS.values():
            usd = getattr(price, field)
            assert usd is None or getattr(hold, field) >= usd, (model.id, field)


def test_nothing_writes_more_than_its_window_holds() -> None:
    for _, model in rows:
        if model.max_output and model.context_length and model.id not in WRITES_MORE_THAN_IT_READS:
            assert model.max_output <= model.context_length, model.id


# What has been retired so long that nobody tells its sizes any more, and research nobody can call.
FORGOTTEN = ("gpt-3.5-0301", "gpt-4-32k", "gpt-4.5", "gpt-4-vision", "gpt-4-1106-vision", "o1-preview", "chatgpt-4o")
FORGOTTEN += ("gpt-rosalind", "gpt-5.5-cyber", "gpt-4o:extended", "gpt-5-3", "claude-2", "claude-v1", "claude-instant")
FORGOTTEN += (
    "claude-fable-5-2",
    "claude-mythos-5-2",
    "text-davinci",
    "davinci",
    "curie",
    "babbage",
    "ada",
    "computer-use",
)


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_every_chat_model_of_today_has_sizes_and_a_price(vendor: str) -> None:
    chats = [m for name, m in rows if name == vendor and {"chat", "responses"} & set(m.modes)]
    assert len(chats) > 20
    for model in chats:
        if not model.id.startswith(FORGOTTEN):
            assert model.max_output and model.context_length and prices(model), model.id
