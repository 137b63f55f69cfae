"""What a request can come to at one model's price: the tokens it may read, the dearest rates, the fees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from proxy.policy.asks import TOKENS_PER_SEARCH, web_plugin
from proxy.policy.prices import Price
from proxy.policy.weight import Weight

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
    """A request, a price, a model: what the rates and counts below are taken from."""

    weight: Weight
    price: Price
    sizes: Sizes

    def window(self) -> int | None:
        """The context window; not where the price list knows of longer prompts than it."""
        longest = self.sizes.context_length
        tiers = [o.min_prompt_tokens or 0 for price in self.prices() for o in price.overrides]
        return None if longest is None or max(tiers, default=0) >= longest else longest

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

    def input_tokens(self) -> int | None:
        """The most tokens that can be read; None where nothing says."""
        intake, tools = self.weight.intake, self.weight.asks.tools
        tokens = max(0, intake.text_tokens) + intake.images * self.sizes.image_tokens
        tokens += intake.audio_seconds * AUDIO_TOKENS_PER_SECOND + self.searches()[0] * TOKENS_PER_SEARCH
        window = self.window()
        if intake.is_elsewhere or tools.reads_on:
            return window
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
