"""What one attempt may cost: the bound over every model that may serve it, and what becomes of it under a smaller budget."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.policy.bounds import LEAST_OUTPUT_TOKENS, Bound, dearest, lower_maximum, upper_bound
from proxy.policy.pricebook import Free, PriceBook
from proxy.policy.prices import FREE_OF_CHARGE, Price
from proxy.policy.values import Provider
from proxy.policy.weight import Weight

_NOTHING = Bound(0, 0, 0, 0, 0)


class Quote(Struct, frozen=True):
    """`price` is the asked model's own (None: unknown). `bound` None: nothing bounds the cost.

    `may_lower`: the request set no maximum of output tokens, so that one of ours may be put in.
    """

    price: Price | None
    bound: Bound | None
    may_lower: bool

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing whatever comes of it."""
        return self.bound == _NOTHING

    @property
    def most_pusd(self) -> int | None:
        """The hold without lowering; None where nothing bounds the output."""
        return None if self.bound is None else self.bound.pusd

    @property
    def least_pusd(self) -> int:
        """The smallest hold that would do: what a refusal names."""
        if self.bound is None:
            return 0
        if self.bound.pusd is None or self.may_lower:
            return self.bound.at(LEAST_OUTPUT_TOKENS)
        return self.bound.pusd

    def within(self, left_pusd: int) -> tuple[int, int | None] | None:
        """The hold and the maximum to put in (None: none) where so much is left; None where nothing sensible fits."""
        if self.bound is None:
            return None
        if self.bound.pusd is not None and (self.bound.pusd <= left_pusd or not self.may_lower):
            return self.bound.pusd, None
        tokens = lower_maximum(self.bound, left_pusd) if self.may_lower else None
        return None if tokens is None else (self.bound.at(tokens), tokens)


def quote_for(weight: Weight, provider: Provider, models: Iterable[tuple[str, str]], prices: PriceBook) -> Quote:
    """Quote one attempt; `models` are (label, upstream model) of all that may serve it, the asked one first."""
    bounds: list[Bound | None] = []
    own: list[Price | None] = []
    for label, model in models:
        price = prices.price(provider, label, model)
        if isinstance(price, Free):
            return Quote(FREE_OF_CHARGE, _NOTHING, may_lower=False)
        own.append(price)
        bounds.append(None if price is None else upper_bound(weight, price, prices.sizes(provider, model)))
    return Quote(own[0], dearest(bounds), may_lower=weight.asks.maximum is None)


def with_maximum(weight: Weight, maximum: int) -> Weight:
    """The weight of the same request with another maximum of output tokens."""
    return msgspec.structs.replace(weight, asks=msgspec.structs.replace(weight.asks, maximum=maximum))
