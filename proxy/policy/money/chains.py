"""What Anthropic's `fallbacks` may come to: each model that wrote anything before it declined is billed beside the one that answers."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.money.bounds import Bound, dearest, upper_bound
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.prices import Price
from proxy.policy.money.weight import Weight, asking, longer
from proxy.policy.names.vendors import vendor_of
from proxy.policy.values import Provider

Names = tuple[str, str]  # a label, and the model as the provider is sent it


def chain_bound(
    weight: Weight, provider: Provider, asked: Names, prices: PriceBook, rules: BudgetRules
) -> Bound | None:
    """The bound of the asked model and of all that may be taken in its place, one after the other, each of which reads what
    those before wrote; None where nothing bounds one of them. Of Anthropic's own choosing, which it does not publish, it
    may be any model of its list."""
    first = _dearest_of([asked], weight, provider, prices, rules)
    if first is None:
        return None
    written, total_pusd, requested = first.output_tokens, 0, weight.requested
    for one in requested.fallbacks:
        names = [(one.model, one.model)] if one.model is not None else [asked, *_offered(provider, prices)]
        maximum, tiers = one.maximum or requested.maximum, (*requested.tiers, *one.tiers)
        again = asking(longer(weight, written), maximum=maximum, may_lower=False, tiers=tiers)
        bound = _dearest_of(names, again, provider, prices, rules)
        if bound is None:
            return None
        written, total_pusd = written + bound.output_tokens, total_pusd + bound.pusd
    return first.plus(total_pusd)


def _offered(provider: Provider, prices: PriceBook) -> list[Names]:
    return [("", name) for name in prices.offered(provider) if isinstance(prices.price(provider, "", name), Price)]


def _dearest_of(
    names: Iterable[Names], weight: Weight, provider: Provider, prices: PriceBook, rules: BudgetRules
) -> Bound | None:
    is_listed, bounds = vendor_of(provider) is not None, list[Bound | None]()
    for label, model in names:
        price, sizes = prices.price(provider, label, model), prices.sizes(provider, model)
        if not isinstance(price, Price):
            return None
        bounds.append(upper_bound(weight, price, sizes, rules, is_listed=is_listed))
    return dearest(bounds)
