"""What a request can come to at one model's price: the tokens it may read, the dearest rates, the fees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from proxy.policy.asks import TOKENS_PER_SEARCH, web_plugin
from proxy.policy.budgets import BudgetRules
from proxy.policy.prices import Price
from proxy.policy.weight import Weight

# What a model may read at most where nobody knows its window: the widest that are usual.
WIDEST_WINDOW = 2**20
# What one image may come to where nothing better is known (Sizes.image_tokens), and a second of sound.
IMAGE_TOKENS = 6_600
AUDIO_TOKENS_PER_SECOND = 32

# What stands in for a price the list lacks: the dearest of those known.
SEARCH_USD = Decimal("0.05")
FILE_SEARCH_USD = Decimal("0.0025")
_SURCHARGES = {"service_tier": Decimal("2.5"), "speed": Decimal(6), "inference_geo": Decimal("1.1")}

_ZERO = Decimal(0)
_ONE = Decimal(1)


class Sizes(Struct, frozen=True):
    """The limits of a model in tokens, None unknown; `variant` is what its name ends in (":online")."""

    context_length: int | None = None
    max_output: int | None = None
    image_tokens: int = IMAGE_TOKENS
    variant: str = ""


class Case(Struct, frozen=True):
    """A request, a price, a model, a policy: what the rates and counts below are taken from."""

    weight: Weight
    price: Price
    sizes: Sizes
    rules: BudgetRules = BudgetRules()

    def window(self) -> int | None:
        """The context window; not where the price list knows of longer prompts than it."""
        longest = self.sizes.context_length
        tiers = [o.min_prompt_tokens or 0 for price in self.prices() for o in price.overrides]
        return None if longest is None or max(tiers, default=0) >= longest else longest

    def output_tokens(self) -> int:
        """The most that can be put out for each answer: the least of what the request, the model and its window allow."""
        asked = self.weight.asks.maximum
        largest = self.sizes.max_output
        if largest is None:
            largest = asked or self.rules.unknown_maximum
        limits = (largest, asked, self.window())
        return min(limit for limit in limits if limit is not None)

    def is_assumed(self) -> bool:
        """Whether the output is bounded by nothing but what the operator assumes of models nobody knows."""
        return self.sizes.max_output is None and self.weight.asks.maximum is None

    def most_injected(self) -> int:
        """The largest maximum to put in: the model's own, and no more than its window leaves beside the prompt, as
        some refuse what goes beyond. The prompt is estimated; what is held does not rest on it."""
        window = self.window()
        if window is None:
            return self.output_tokens()
        return min(self.output_tokens(), max(1, window - -(-max(0, self.weight.intake.text_tokens) * 2 // 7)))

    def searches(self) -> tuple[int, Decimal]:
        """How many web searches may run, and the most one costs."""
        tools = self.weight.asks.tools
        count, least = tools.searches, tools.search_usd
        if self.sizes.variant == ":online":
            plugin = web_plugin()
            count, least = count + plugin.searches, max(least, plugin.search_usd)
        listed = self.price.web_search_usd
        if listed is None:
            return count, least or SEARCH_USD
        return count, max(least, listed)

    def input_tokens(self) -> int:
        """The most tokens that can be read; where some of it lies elsewhere, all that the model takes."""
        intake, tools = self.weight.intake, self.weight.asks.tools
        tokens = max(0, intake.text_tokens) + intake.images * self.sizes.image_tokens
        tokens += intake.audio_seconds * AUDIO_TOKENS_PER_SECOND + self.searches()[0] * TOKENS_PER_SEARCH
        window = self.window()
        if intake.is_elsewhere or tools.reads_on:
            return max(tokens, WIDEST_WINDOW) if window is None else window
        return tokens if window is None else min(tokens, window)

    def prices(self) -> Iterator[Price]:
        """The price, and those of the tiers of service that were asked for."""
        yield self.price
        asked = self.tiers()
        for member, value, price in self.price.variants:
            if (member, value) in asked:
                yield price

    def tiers(self) -> tuple[tuple[str, str], ...]:
        """The dearer tiers a call may be served at; `:nitro` makes a priority one eligible."""
        nitro = (("service_tier", "priority"),) if self.sizes.variant == ":nitro" else ()
        return self.weight.asks.tiers + nitro

    def surcharge(self) -> Decimal:
        """The factor for tiers the list has no price of."""
        listed = {(member, value) for member, value, _ in self.price.variants}
        factors = {member: _SURCHARGES[member] for member, value in self.tiers() if (member, value) not in listed}
        total = _ONE
        for factor in factors.values():
            total *= factor
        return total

    def rate(self, fields: Iterable[str], reach: int) -> Decimal:
        """The dearest of some prices for a prompt of up to `reach` tokens, at any hour and tier asked for."""
        names = frozenset(fields)
        found = [_ZERO]
        for price in self.prices():
            found += [usd for name in names if (usd := getattr(price, name)) is not None]
            for override in price.overrides:
                if override.reaches(reach):
                    found += [usd for name, usd in override.prices if name in names]
        return max(found)

    def input_usd(self, tokens: int) -> Decimal:
        """The most that reading so many tokens can cost."""
        intake, names = self.weight.intake, ["input_usd", "cached_input_usd", "cache_write_usd"]
        names += ["audio_input_usd"] * (intake.audio_seconds > 0) + ["image_input_usd"] * (intake.images > 0)
        rate = self.rate(names, tokens)
        if intake.caches_for_hours:
            hour = self.rate(("cache_write_1h_usd",), tokens)
            doubled = 2 * self.rate(("input_usd",), tokens) if self.price.doubles_hour_writes else _ZERO
            rate = max(rate, hour, doubled)
        return tokens * rate * self.surcharge()

    def fees_usd(self) -> Decimal:
        """Everything that is not counted in tokens."""
        tools, price = self.weight.asks.tools, self.price
        searches, search_usd = self.searches()
        file_usd = FILE_SEARCH_USD if price.file_search_usd is None else price.file_search_usd
        fees = (price.request_usd or _ZERO) + searches * search_usd + tools.file_searches * file_usd + tools.code_usd
        return fees + self.weight.intake.images * (price.image_usd or _ZERO)
