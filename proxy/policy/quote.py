"""What one attempt may cost: the bound over every model that may serve it, and what it becomes under a smaller budget."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from proxy.policy.bounds import Bound, Sizes, Weight, dearest, lower_maximum, upper_bound
from proxy.policy.pricebook import Free, PriceBook
from proxy.policy.prices import FREE_OF_CHARGE, Price
from proxy.policy.values import Provider


class Quote(Struct, frozen=True):
    """`price` is the asked model's own (None: unknown, or one of several that may serve is).

    `maximum` is set where the request set none and the budget has to: `bound` is then taken at
    that many output tokens.
    """

    price: Price | None
    bound: Bound | None
    is_free: bool = False
    sets_maximum: bool = False

    @property
    def most_pusd(self) -> int | None:
        """The hold without any lowering; None where nothing bounds it."""
        return self.bound.pusd if self.bound is not None else None

    @property
    def can_be_lowered(self) -> bool:
        """Whether a maximum of ours would bound the cost: the request set none, and output is what costs."""
        return not self.sets_maximum and self.bound is not None and self.bound.pusd_per_output_token > 0

    def within(self, left_pusd: int) -> tuple[int, int | None] | None:
        """The hold and the output maximum to set (None: none of ours) where so much is left; None where it does not fit."""
        if self.bound is None:
            return None
        if self.bound.pusd is not None and (self.bound.pusd <= left_pusd or not self.can_be_lowered):
            return self.bound.pusd, None
        tokens = lower_maximum(self.bound, left_pusd) if self.can_be_lowered else None
        return None if tokens is None else (self.bound.at(tokens), tokens)


def quote_for(
    weight: Weight, provider: Provider, models: Iterable[tuple[str, str]], prices: PriceBook, *, sets_maximum: bool
) -> Quote:
    """Quote one attempt; `models` are (label, upstream model) of all that may serve, the asked one first."""
    bounds: list[Bound | None] = []
    own: list[Price | None] = []
    for label, model in models:
        price = prices.price(provider, label, model)
        if isinstance(price, Free):
            return Quote(FREE_OF_CHARGE, Bound(0, 0, 0, 0, 0), is_free=True, sets_maximum=sets_maximum)
        own.append(price)
        bounds.append(None if price is None else upper_bound(weight, price, prices.sizes(provider, model)))
    return Quote(own[0], dearest(bounds), own[0] == FREE_OF_CHARGE, sets_maximum)
