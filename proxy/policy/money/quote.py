"""What one attempt may cost: the bound over every model that may serve it, and what becomes of it under a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from proxy.errors import BudgetExceeded, BudgetInFlight, ModelNotFound, ModelNotPriced
from proxy.policy.money.account import Room
from proxy.policy.money.bounds import BOUNDED, Bound, Slope, dearest, upper_bound
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.chains import chain_bound
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import FREE_OF_CHARGE, Price
from proxy.policy.money.requested import PLAIN
from proxy.policy.money.weight import Weight, asking, longer
from proxy.policy.names.vendors import vendor_of
from proxy.policy.values import Provider

# One call may hold this part of what is free unasked; what others need next is still there then.
_PART = 4
# An answer this long is worth waiting for; one shorter than the least is none.
COMFORTABLE_OUTPUT_TOKENS = 4_096
LEAST_OUTPUT_TOKENS = 256

_NO_TOOLS = PLAIN.tools
_NOTHING = Bound(0, 0, 0, 0, 0)
_USUAL = BudgetRules()


class Unbounded(Struct, frozen=True):
    """What it is that nothing bounds the cost of; `tool` is its type or id, `model` the one of those that may serve
    that has no price, `near` the names most like it where no list has it (None: one has it, or there is no list)."""

    by: Literal["price", "tool", "request", "endpoint"]
    tool: str = ""
    near: tuple[str, ...] | None = None
    model: str = ""


class Quote(Struct, frozen=True):
    """`price` is the asked model's own (None: unknown). `bound` None: nothing bounds the cost.

    `may_lower`: the request set no maximum of output tokens, and the endpoint has a member for one of ours.
    `unbounded` says why nothing bounds the cost: no price, a tool (by its name), or the request itself.
    """

    price: Price | None
    bound: Bound | None
    may_lower: bool
    unbounded: Unbounded | None = None

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing whatever comes of it."""
        return self.bound is _NOTHING

    @property
    def most_pusd(self) -> int | None:
        """The hold without lowering; None where nothing bounds the cost."""
        return None if self.bound is None else self.bound.pusd

    @property
    def least_pusd(self) -> int:
        """The smallest hold that would do."""
        if self.bound is None:
            return 0
        return self.bound.at(_at_most(LEAST_OUTPUT_TOKENS, self.bound)) if self.may_lower else self.bound.pusd


FREE_QUOTE = Quote(FREE_OF_CHARGE, _NOTHING, False)


class Go(Struct, frozen=True):
    """The hold to take, and the maximum of output tokens to put in; None leaves the request as it is."""

    hold_pusd: int
    maximum: int | None = None


class Wait(Struct, frozen=True):
    """Spending leaves enough, others' holds do not; `least_pusd` is what has to come free."""

    least_pusd: int


class Refuse(Struct, frozen=True):
    """Spending alone leaves less than `least_pusd`, the smallest hold that would do."""

    least_pusd: int


Decision = Go | Wait | Refuse


def ample_pusd(bound: Bound, may_lower: bool) -> int:
    """What has to be free for a call with this bound to go as it is; of one that costs nothing, nothing has to.

    Its output has to fit a part of what is free; where its maximum is the client's own, or nobody knows the model's largest
    output, what is held has to fit.
    """
    output = bound.pusd - bound.pusd_without_output
    if may_lower and output and not bound.is_assumed:
        return bound.pusd_without_output + _PART * output
    return bound.pusd


def decide(bound: Bound, room: Room, *, may_lower: bool) -> Decision:
    """What becomes of a call with this bound where so much is free."""
    if bound.pusd == 0 or room.free_pusd >= ample_pusd(bound, may_lower):
        return Go(bound.pusd)
    if not may_lower or bound.pusd_per_output_token == 0:
        return Wait(bound.pusd) if bound.pusd <= room.spendable_pusd else Refuse(bound.pusd)
    part = (room.free_pusd - bound.pusd_without_output) // _PART
    comfortable = _at_most(COMFORTABLE_OUTPUT_TOKENS, bound)
    tokens = max(comfortable, _at_most(part // bound.pusd_per_output_token, bound))
    if bound.at(tokens) <= room.free_pusd:
        return _with(tokens, bound)
    if bound.at(comfortable) <= room.spendable_pusd:
        return Wait(bound.at(comfortable))
    return _at_the_end(bound, room)


def _at_the_end(bound: Bound, room: Room) -> Decision:
    """Little money is left, whatever others hold: as long an answer as what is free pays for."""
    least = _at_most(LEAST_OUTPUT_TOKENS, bound)
    tokens = _at_most((room.free_pusd - bound.pusd_without_output) // bound.pusd_per_output_token, bound)
    if tokens >= least:
        return _with(tokens, bound)
    return Wait(bound.at(least)) if bound.at(least) <= room.spendable_pusd else Refuse(bound.at(least))


def _at_most(tokens: int, bound: Bound) -> int:
    return min(tokens, bound.output_tokens, bound.most_injected)


def _with(tokens: int, bound: Bound) -> Go:
    """Held for so many tokens; as many as the model gives at most need no maximum."""
    return Go(bound.at(tokens), None if tokens >= bound.output_tokens else tokens)


def judge_in_shadow(quote: Quote, room: Room, rules: BudgetRules) -> tuple[int, str | None]:
    """What a budget in shadow counts as held for a call (pusd), and the code it would refuse it with; None: it would not.

    One that would have to wait is not sure to be refused; nobody waits for it, so that nobody knows.
    """
    if quote.is_free:
        return 0, None
    if quote.bound is None:
        if quote.unbounded is None or rules.unpriced == "allow":
            return 0, None
        return 0, ModelNotPriced.code if quote.unbounded.near is None else ModelNotFound.code
    decision = decide(quote.bound, room, may_lower=quote.may_lower)
    if isinstance(decision, Go):
        return decision.hold_pusd, None
    return decision.least_pusd, BudgetInFlight.code if isinstance(decision, Wait) else BudgetExceeded.code


def quote_for(
    weight: Weight,
    provider: Provider,
    models: Sequence[tuple[str, str]],
    prices: PriceBook,
    rules: BudgetRules = _USUAL,
) -> Quote:
    """Quote one attempt; `models` are (label, upstream model) of all that may serve it, the asked one first."""
    slope, requested = slope_for(weight, provider, models, prices, rules), weight.requested
    if slope is not None:
        return Quote(slope.price, slope.bound(weight.text_tokens, requested.maximum), requested.may_lower)
    weight = _as_heeded(weight, provider)
    is_listed = provider.kind == "mock" or vendor_of(provider) is not None
    advised, advice_pusd = _advised(weight, provider, prices, rules) if is_listed else (weight, 0)
    bounds: list[Bound | None] = []
    own: list[Price | None] = []
    may_lower = weight.requested.may_lower
    for label, model in models:
        price = prices.price(provider, label, model)
        if isinstance(price, Free):
            return FREE_QUOTE
        own.append(price)
        if weight.endpoint not in BOUNDED:
            return Quote(price, None, False, Unbounded("endpoint"))
        if price is None:
            near = prices.near(provider, model)
            why = Unbounded("price", near=None if near is None else tuple(near), model=label)
            return Quote(own[0], None, False, why)
        sizes = prices.sizes(provider, model)
        may_lower = may_lower and not (is_listed and sizes.research == "endless")
        bounds.append(None if advised is None else upper_bound(advised, price, sizes, rules, is_listed=is_listed))
    if requested.fallbacks and advised is not None and provider.kind == "anthropic":
        bounds = [chain_bound(advised, provider, models[0], prices, rules)]
    if (bound := dearest(bounds)) is None:
        tool = "advisor" if advised is None else weight.requested.tools.unbounded if is_listed else ""
        return Quote(own[0], None, False, Unbounded("tool", tool) if tool else Unbounded("request"))
    return Quote(own[0], bound.plus(advice_pusd * (1 + len(requested.fallbacks))), may_lower)


def _as_heeded(weight: Weight, provider: Provider) -> Weight:
    """The request with the maximum that this provider makes of its own."""
    if provider.max_tokens_field == "none":  # it heeds none either
        return asking(weight, maximum=None, may_lower=False)
    only_caches = weight.requested.only_caches and vendor_of(provider) == "anthropic"
    return asking(weight, maximum=0) if only_caches else weight


def _advised(weight: Weight, provider: Provider, prices: PriceBook, rules: BudgetRules) -> tuple[Weight | None, int]:
    """The request with the advice of other models in it, and the most that these cost: each reads all of it, what was
    written until then, and what was advised before. None where nothing bounds that: no price, or a server that heeds none
    of the tool's own limits, as OpenRouter."""
    added, pusd = 0, 0
    for advice in weight.requested.tools.advice:
        price, sizes = prices.price(provider, advice.model, advice.model), prices.sizes(provider, advice.model)
        if provider.kind != "anthropic" or not isinstance(price, Price):
            return None, 0
        runs, most = advice.uses.at(rules.tool_uses), advice.most_tokens or sizes.max_output or rules.unknown_maximum
        before = (weight.requested.maximum or rules.unknown_maximum) + runs * most
        asked = asking(longer(weight, before), tools=_NO_TOOLS, maximum=most, may_lower=False)
        if (bound := upper_bound(asked, price, sizes, rules)) is None:
            return None, 0
        added, pusd = added + runs * most, pusd + runs * bound.pusd
    return longer(weight, added) if added else weight, pusd


def slope_for(
    weight: Weight, provider: Provider, models: Sequence[tuple[str, str]], prices: PriceBook, rules: BudgetRules
) -> Slope | None:
    """The line that the bounds of such attempts are on, whatever their messages say; None where each is worked out."""
    requested = weight.requested
    if requested.tools is not _NO_TOOLS or len(models) > 1 or provider.max_tokens_field == "none":
        return None
    if requested.fallbacks or requested.only_caches:
        return None
    return prices.slope(provider, models[0], rules)


def with_maximum(weight: Weight, maximum: int) -> Weight:
    """The weight of the same request with another maximum of output tokens."""
    return asking(weight, maximum=maximum, may_lower=False)
