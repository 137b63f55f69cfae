"""What a request can come to at one model's price: the tokens it may read, the dearest rates, the fees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.prices import Price
from proxy.policy.money.tools import NEVER, NO_TOOLS, Tools, Uses, read_tools
from proxy.policy.money.weight import Weight

# What a model may read at most where nobody knows its window: the widest that are usual.
WIDEST_WINDOW = 2**20
# What one image may come to where nothing better is known (Sizes.image_tokens), and a second of sound.
IMAGE_TOKENS = 6_600
AUDIO_TOKENS_PER_SECOND = 32

# What stands in for a price the list lacks: the dearest of those known.
SEARCH_USD = Decimal("0.05")
FILE_SEARCH_USD = Decimal("0.0025")
# A token of a picture that a model has another one draw: the dearest image model's.
PICTURE_TOKEN_USD = Decimal("0.00004")
_SURCHARGES = {"service_tier": Decimal("2.5"), "speed": Decimal(6), "inference_geo": Decimal("1.1")}

_ZERO = Decimal(0)
_ONE = Decimal(1)
_ONLINE = read_tools({"plugins": [{"id": "web"}]})
_SEARCHING = read_tools({"web_search_options": {}})
_RESEARCHING = Tools(searches=Uses(untold=1), reads_on=True)


Research = Literal["none", "bounded", "endless"]


class Sizes(Struct, frozen=True):
    """The limits of a model in tokens, None unknown; `variant` is what its name ends in (":online"). `searches`: it does for
    every call, asked to or not. `research`: it searches and reads until it knows enough, and thinks as long: no maximum ends
    that where it is endless."""

    context_length: int | None = None
    max_output: int | None = None
    image_tokens: int = IMAGE_TOKENS
    variant: str = ""
    searches: bool = False
    research: Research = "none"


def research_of(model: str) -> Research:
    """Of OpenAI's deep research a maximum of output bounds the thoughts, of Perplexity's it does not."""
    return "none" if "-deep-research" not in model else "endless" if "sonar" in model else "bounded"


class Case(Struct, frozen=True):
    """A request, a price, a model, a policy: what the rates and counts below are taken from.

    `is_listed`: a list of the provider's prices comes with the package; elsewhere its tools cost what the operator says.
    """

    weight: Weight
    price: Price
    sizes: Sizes
    rules: BudgetRules = BudgetRules()
    is_listed: bool = True

    def window(self) -> int | None:
        """The context window; not where the price list knows of longer prompts than it."""
        longest = self.sizes.context_length
        tiers = [o.min_prompt_tokens or 0 for price in self.prices() for o in price.overrides]
        return None if longest is None or max(tiers, default=0) >= longest else longest

    def research(self) -> Research:
        """How the model researches; at a server nobody lists a name says nothing of that."""
        return self.sizes.research if self.is_listed else "none"

    def output_tokens(self) -> int:
        """The most that can be put out for each answer: the least of what the request, the model and its window allow."""
        asked = None if self.research() == "endless" else self.weight.requested.maximum
        largest = self.sizes.max_output
        if largest is None:
            largest = asked or self.rules.unknown_maximum
        limits = (largest, asked, self.window())
        return min(limit for limit in limits if limit is not None)

    def is_assumed(self) -> bool:
        """Whether the output is bounded by nothing but what the operator assumes of models nobody knows."""
        return self.sizes.max_output is None and self.weight.requested.maximum is None

    def most_injected(self) -> int:
        """The largest maximum to put in: the model's own, and no more than its window leaves beside the prompt, as
        some refuse what goes beyond. The prompt is estimated; what is held does not rest on it."""
        window = self.window()
        if window is None:
            return self.output_tokens()
        return min(self.output_tokens(), max(1, window - -(-max(0, self.weight.text_tokens) * 2 // 7)))

    def tools(self) -> tuple[Tools, ...]:
        """The tools that may run: those of the request, and the search that the model's variant is, or the model itself."""
        own = self.weight.requested.tools
        if self.research() != "none" and own == NO_TOOLS:
            return (_RESEARCHING,)
        if self.sizes.searches and own.searches == NEVER:
            return (own, _SEARCHING)
        return (own, _ONLINE) if self.sizes.variant == ":online" else (own,)

    def input_tokens(self) -> int:
        """The most tokens that can be read; where some of it lies elsewhere, all that the model takes.

        What is an array of texts is read text by text, each cut at the window.
        """
        input_media, window = self.weight.input_media, self.window()
        if input_media.items and window is not None and not input_media.is_elsewhere:
            return sum(min(tokens, window) for tokens in input_media.items)
        tokens = max(0, self.weight.text_tokens) + input_media.images * self.sizes.image_tokens
        tokens += input_media.audio_seconds * AUDIO_TOKENS_PER_SECOND
        uses = self.rules.tool_uses
        tokens += sum(runs.at(uses) * each for tools in self.tools() for runs, each in tools.found)
        if input_media.is_elsewhere or any(tools.reads_on for tools in self.tools()):
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
        return self.weight.requested.tiers + nitro

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
        input_media, names = self.weight.input_media, ["input_usd", "cached_input_usd", "cache_write_usd"]
        names += ["audio_input_usd"] * (input_media.audio_seconds > 0) + ["image_input_usd"] * (input_media.images > 0)
        rate = self.rate(names, tokens)
        if input_media.caches_for_hours:
            hour = self.rate(("cache_write_1h_usd",), tokens)
            doubled = ("input_usd",) if self.price.doubles_hour_writes else ("cache_write_usd",)
            rate = max(rate, hour, 2 * self.rate(doubled, tokens))
        return tokens * rate * self.surcharge()

    def fees_usd(self) -> Decimal:
        """Everything that is not counted in tokens."""
        price = self.price
        fees = (price.request_usd or _ZERO) + self.weight.input_media.images * (price.image_usd or _ZERO)
        for tools in self.tools():
            fees += self._tools_usd(tools)
        return fees

    def _tools_usd(self, tools: Tools) -> Decimal:
        """What tools may cost at most: as often as each may run, at its fee."""
        price, uses = self.price, self.rules.tool_uses
        searches, files = tools.searches.at(uses), tools.file_searches.at(uses)
        if not self.is_listed:
            return searches * (price.web_search_usd or _ZERO) + files * (price.file_search_usd or _ZERO)
        search_usd = max(price.search_fees(previews=tools.previews), default=tools.search_usd or SEARCH_USD)
        file_usd = FILE_SEARCH_USD if price.file_search_usd is None else price.file_search_usd
        pictures = sum(runs.at(uses) * tokens for runs, tokens in tools.pictures)
        fees = searches * max(search_usd, tools.search_usd) + files * file_usd + pictures * PICTURE_TOKEN_USD
        return fees + tools.code_usd + tools.parser_usd
