"""What would have cost less: what past calls used, at other prices. Everything is told with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from proxy.policy.money.amounts import PUSD_PER_USD, dollars, to_pusd, usd_text
from proxy.policy.money.costs import cost_usd
from proxy.policy.money.prices import Price
from proxy.wire.usage import Usage

Kind = Literal[
    "cheaper_provider", "cheaper_model", "prompt_cache", "batch", "flex", "maximum", "repeats", "unused_tools"
]
Confidence = Literal["high", "medium", "low", "unproven"]

LEAST_PUSD = PUSD_PER_USD // 100
LEAST_CALLS = 20
_MANY_CALLS = 100  # what none of them did is done by fewer than 3 in 100, as likely as 19 to 1
_MOST_TOLD = 20  # of the tools of one name; the others are counted
_LEAST_CACHED_INPUT = 1024  # tokens a prompt has before OpenAI's and Anthropic's caches take it (wire.md 4)
_LITTLE_CACHED = 0.2
_AS_GOOD = 0.02  # so much less of the table's 0 to 1 is no difference
_IDLE = 4  # a hold so many times the dearest call is more than ever came
_ROOM = 4  # a model must take so many times what calls bring on average


class Spent(Struct, frozen=True):
    """What a name has used at a provider, all calls together; `cost_pusd` in 1e-12 USD."""

    model: str
    provider: str
    calls: int
    usage: Usage
    cost_pusd: int

    @property
    def input_each(self) -> int:
        """What a call reads, on average."""
        return self.usage.input_tokens // max(1, self.calls)


class Held(Struct, frozen=True):
    """What calls of a name at a provider held of their budgets on average, beside the dearest of them (1e-12 USD) and the
    longest reply."""

    model: str
    provider: str
    calls: int
    longest_tokens: int
    hold_pusd: int
    dearest_pusd: int


class Repeated(Struct, frozen=True):
    """Of so many calls of a name at a provider, those whose key had sent one of the same length within the hour before; what
    these cost, 1e-12 USD."""

    model: str
    provider: str
    calls: int
    repeats: int
    cost_pusd: int


class Unused(Struct, frozen=True):
    """A tool that calls of a name at a provider defined and that was never called: in how many, how many tokens its
    definitions came to, and how many of these the provider's cache had."""

    model: str
    provider: str
    tool: str
    calls: int
    tokens: int
    cached_tokens: int


class Choice(Struct, frozen=True):
    """A model at a provider: what it is called there and as `author/slug`, its price (None: nothing), its abilities as bits,
    how long a context it has (0: nobody knows), how good it is said to be and by whom ("": a guess)."""

    name: str
    slug: str
    provider: str
    price: Price | None
    takes: int = 0
    context: int = 0
    quality: float = 0.4
    source: str = ""
    has_batches: bool = False


class Advice(Struct, frozen=True):
    """What would have cost `saves_pusd` less. `to`: the model to go to, None where it stays the same."""

    kind: Kind
    model: str
    provider: str
    to: str | None
    saves_pusd: int
    confidence: Confidence
    why: str


def at_price(spent: Spent, price: Price | None) -> int | None:
    """What the same tokens cost at a price, 1e-12 USD; None where it counts what is not known. Prices that depend on the
    length of a prompt are taken at the average one; the time of day is left out."""
    if price is None:
        return 0
    flat = msgspec.structs.replace(price.at(spent.input_each, 0), overrides=())
    cost = cost_usd(msgspec.structs.replace(spent.usage, search_units=spent.calls), flat, 0)
    return None if cost is None else to_pusd(cost.usd)


def advise(spent: Spent, own: Choice, others: Sequence[Choice]) -> list[Advice]:
    """Everything there is to say of one name at one provider, what saves most first. `others` may hold it itself."""
    if not spent.calls or spent.cost_pusd < LEAST_PUSD:
        return []
    found = [
        _elsewhere(spent, own, others),
        _other_model(spent, own, others),
        _prompt_cache(spent, own),
        _batch(spent, own),
        _flex(spent, own),
    ]
    return sorted((a for a in found if a is not None and a.saves_pusd >= LEAST_PUSD), key=lambda a: -a.saves_pusd)


def unused_maximum(held: Held) -> Advice | None:
    """A maximum that replies never come near saves nothing, but holds back what a budget has."""
    if held.calls < LEAST_CALLS or held.hold_pusd < max(LEAST_PUSD, _IDLE * held.dearest_pusd):
        return None
    hold, dearest = (dollars(usd_text(pusd)) for pusd in (held.hold_pusd, held.dearest_pusd))
    why = (
        f"until it ends a call holds {hold} of its budgets, and none of the newest {held.calls:,} cost more than {dearest}: no reply was "
        f"longer than {held.longest_tokens:,} tokens"
    )
    return Advice("maximum", held.model, held.provider, None, 0, "high", why)


def exact_repeats(seen: Repeated) -> Advice | None:
    """Calls that most likely ask the same as one before; no prompt is kept that would prove it."""
    if seen.repeats < LEAST_CALLS or seen.cost_pusd < LEAST_PUSD:
        return None
    why = (
        f"{seen.repeats:,} of the newest {seen.calls:,} calls were as long, in bytes and in tokens, as one that the same key had sent "
        "within the hour before: most likely the same words"
    )
    return Advice("repeats", seen.model, seen.provider, None, seen.cost_pusd, "low", why)


def unused_tools(spent: Spent, own: Choice, found: Sequence[Unused]) -> Advice | None:
    """What it cost to have definitions of tools read that were never called. `found` may be about other names as well."""
    tools = [
        one for one in found if (one.model, one.provider) == (spent.model, spent.provider) and one.calls >= LEAST_CALLS
    ]
    if own.price is None or not tools:
        return None
    costs = sorted(((_read_at(one, spent, own.price), one) for one in tools), key=lambda pair: (-pair[0], pair[1].tool))
    saves = min(spent.cost_pusd, sum(cost for cost, _ in costs))
    if saves < LEAST_PUSD:
        return None
    told = [
        f"{one.tool} ({dollars(usd_text(cost))}: {one.tokens // one.calls:,} tokens in each of {one.calls:,} calls)"
        for cost, one in costs[:_MOST_TOLD]
    ]
    rest = f" and {len(costs) - _MOST_TOLD:,} more" if len(costs) > _MOST_TOLD else ""
    cached = sum(one.cached_tokens for one in tools) / max(1, sum(one.tokens for one in tools))
    why = (
        f"defined and never called: {', '.join(told)}{rest}; the provider's cache had {cached:.0%} of that, and tokens are "
        "estimated from bytes"
    )
    confidence: Confidence = "medium" if min(one.calls for one in tools) >= _MANY_CALLS else "low"
    return Advice("unused_tools", spent.model, spent.provider, None, saves, confidence, why)


def _read_at(tool: Unused, spent: Spent, price: Price) -> int:
    """What its definitions cost to read, 1e-12 USD; less where all calls cost less than their price."""
    flat, listed = price.at(spent.input_each, 0), at_price(spent, price) or 0
    cached_usd = flat.input_usd if flat.cached_input_usd is None else flat.cached_input_usd
    cost = to_pusd((tool.tokens - tool.cached_tokens) * flat.input_usd + tool.cached_tokens * cached_usd)
    return cost * spent.cost_pusd // listed if spent.cost_pusd < listed else cost


def _elsewhere(spent: Spent, own: Choice, others: Sequence[Choice]) -> Advice | None:
    """The same model at another provider."""
    same = [one for one in others if one.slug == own.slug and one.provider != spent.provider]
    best = _cheapest(spent, same)
    if best is None:
        return None
    choice, cost = best
    why = f"{choice.provider} has the same model: {_compared(spent, cost)}"
    return _advice("cheaper_provider", spent, choice, (cost, "high", why))


def _other_model(spent: Spent, own: Choice, others: Sequence[Choice]) -> Advice | None:
    """A model that can do as much; first among those that a table says are as good, else one of the same author, unproven."""
    able = [
        one
        for one in others
        if one.slug != own.slug
        and one.takes & own.takes == own.takes
        and (not one.context or one.context >= _ROOM * spent.input_each)
    ]
    known = [one for one in able if own.source and one.source and one.quality >= own.quality - _AS_GOOD]
    best = _cheapest(spent, known)
    if best is not None:
        choice, cost = best
        why = f"{_compared(spent, cost)}; said to be as good ({choice.quality:.2f} of 1 against {own.quality:.2f}: {choice.source})"
        return _advice("cheaper_model", spent, choice, (cost, "low", why))
    author = own.slug.partition("/")[0]
    best = _cheapest(spent, [one for one in able if one.slug.partition("/")[0] == author])
    if best is None:
        return None
    choice, cost = best
    why = f"{_compared(spent, cost)}; of the same author, and nothing here says how good it is at this"
    return _advice("cheaper_model", spent, choice, (cost, "unproven", why))


def _prompt_cache(spent: Spent, own: Choice) -> Advice | None:
    """Long prompts of which the provider's cache has next to nothing: had it half of them."""
    price, usage = own.price, spent.usage
    if price is None or price.cached_input_usd is None or spent.calls < LEAST_CALLS:
        return None
    if spent.input_each < _LEAST_CACHED_INPUT or usage.cached_tokens >= _LITTLE_CACHED * usage.input_tokens:
        return None
    tokens = usage.input_tokens // 2 - usage.cached_tokens
    saves = to_pusd(max(Decimal(0), (price.input_usd - price.cached_input_usd) * tokens))
    why = (
        f"a call reads {spent.input_each:,} tokens and the provider's cache has {usage.cached_tokens / usage.input_tokens:.0%} "
        "of them: if half of each prompt began as the one before"
    )
    return Advice("prompt_cache", spent.model, spent.provider, None, saves, "low", why)


def _batch(spent: Spent, own: Choice) -> Advice | None:
    """All of it in the provider's own batches, which is the most there is to save so."""
    if own.price is None or not own.has_batches:
        return None
    cost, now = at_price(spent, own.price.in_batch()), at_price(spent, own.price)
    if cost is None or now is None:
        return None
    saves = min(spent.cost_pusd, now - cost)
    return Advice(
        "batch", spent.model, spent.provider, None, saves, "low", "at most: only of calls that nobody waits for"
    )


def _flex(spent: Spent, own: Choice) -> Advice | None:
    """All of it at the price of a tier for calls that can wait, where its list has one."""
    if own.price is None or (flexible := own.price.under("service_tier", "flex")) is own.price:
        return None
    cost, now = at_price(spent, flexible), at_price(spent, own.price)
    if cost is None or now is None:
        return None
    saves = min(spent.cost_pusd, now - cost)
    why = "at most: only of calls that can wait some minutes, and be tried again where no room is left"
    return Advice("flex", spent.model, spent.provider, None, saves, "low", why)


def _cheapest(spent: Spent, among: Sequence[Choice]) -> tuple[Choice, int] | None:
    """The one that would have cost least, with that; None where none would have cost less."""
    priced = [(cost, n) for n, one in enumerate(among) if (cost := at_price(spent, one.price)) is not None]
    cost, number = min(priced, default=(spent.cost_pusd, 0))
    return (among[number], cost) if cost < spent.cost_pusd else None


def _compared(spent: Spent, cost: int) -> str:
    return f"the same tokens cost {dollars(usd_text(cost))} there, {dollars(usd_text(spent.cost_pusd))} here"


def _advice(kind: Kind, spent: Spent, choice: Choice, found: tuple[int, Confidence, str]) -> Advice:
    cost, confidence, why = found
    return Advice(kind, spent.model, spent.provider, choice.name, spent.cost_pusd - cost, confidence, why)
