"""The price book of a configuration: the catalogue, the vendors' shipped lists, the operator's own prices."""

from __future__ import annotations

from proxy.data import prices_bytes
from proxy.policy.catalogue import Catalogue, read_feed
from proxy.policy.names import Names
from proxy.policy.pricebook import PriceBook, PriceOverride, per_token
from proxy.policy.values import Settings


def price_book(settings: Settings, names: Names, catalogue: Catalogue) -> PriceBook:
    """Prices by catalogue, by the vendors' shipped lists, and of the operator's own."""
    overrides = {}
    for alias, own in settings.money.prices.items():
        overrides[alias] = PriceOverride(
            per_token(own.input_usd),
            per_token(own.output_usd),
            per_token(own.cached_input_usd),
            names.look_up(alias).plan.targets[0],
        )
    direct = {"openai": read_feed(prices_bytes("openai")), "anthropic": read_feed(prices_bytes("anthropic"))}
    return PriceBook(catalogue, direct, overrides)
