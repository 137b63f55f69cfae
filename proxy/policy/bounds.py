"""The hold: the most a call can cost at a price, known before the provider sees a byte.

Every part is an upper bound, so that a settlement never passes its hold: one token for a byte of
text, the dearest rate any of it may be charged at, the fees of every tool that may run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Context, Decimal
from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.asks import ASKS_FIELDS, ASKS_MEMBERS, TOKENS_PER_SEARCH, Asks, read_asks, web_plugin
from proxy.policy.intake import INTAKE_MEMBERS, LEAST_AUDIO_BYTES_PER_SECOND, Intake, read_intake
from proxy.policy.money import to_pusd_up
from proxy.policy.prices import Price
from proxy.wire.call import Call, applied_defaults
from proxy.wire.form import read_form

# Fewer output tokens than this are no answer: the maximum is not lowered further.
LEAST_OUTPUT_TOKENS = 256

# What one image may come to where nothing better is known (Sizes.image_tokens), and a second of sound.
IMAGE_TOKENS = 6_600
AUDIO_TOKENS_PER_SECOND = 32
# Tokens of speech for a byte read aloud: digits and abbreviations grow most.
SPEECH_TOKENS_PER_BYTE = 10
# A rerank counts in units of a hundred documents, long ones in pieces of 500 tokens.
_RERANK_UNIT = 100
_RERANK_PIECE = 500

# What stands in for a price the list lacks: the dearest of those known.
SEARCH_USD = Decimal("0.05")
FILE_SEARCH_USD = Decimal("0.0025")
_SURCHARGES = {"service_tier": Decimal("2.5"), "speed": Decimal(6), "inference_geo": Decimal("1.1")}

_EXACT = Context(prec=60)
_ZERO = Decimal(0)
_ONE = Decimal(1)


class Sizes(Struct, frozen=True):
    """The limits of a model in tokens, None unknown; `variant` is what its name ends in (":online")."""

    context_length: int | None = None
    max_output: int | None = None
    image_tokens: int = IMAGE_TOKENS
    variant: str = ""


class Weight(Struct, frozen=True):
    """One request, measured; the same for every model that may serve it."""

    endpoint: str
    body_bytes: int
    intake: Intake
    asks: Asks


class Bound(Struct, frozen=True):
    """The most a call can cost. `output_tokens` and `pusd` are None while nothing bounds the output.

    `pusd_per_output_token` is for one token of each answer that is asked for (`n`).
    """

    input_tokens: int
    output_tokens: int | None
    pusd: int | None
    pusd_without_output: int
    pusd_per_output_token: int

    def at(self, output_tokens: int) -> int:
        """The most it can cost where each answer is cut off at this length."""
        return self.pusd_without_output + output_tokens * self.pusd_per_output_token


def weigh(call: Call, defaults: tuple[tuple[str, bytes], ...] = ()) -> Weight:
    """Measure a request once, with the defaults of its alias that will be put in."""
    wanted = INTAKE_MEMBERS | ASKS_MEMBERS
    members: dict[str, Any] = {}
    if call.form is not None:
        fields = read_form(call.body, call.content_type, ASKS_FIELDS)
        members = {name: field.text for name, field in fields.items()}
    elif call.document is not None:
        members = {name: call.document.value(name) for name in call.document.members if name in wanted}
    for name, text in applied_defaults(call, defaults):
        members[name] = msgspec.json.decode(text)
    size = len(call.body) + sum(len(text) for _, text in defaults)
    return Weight(call.endpoint.name, size, read_intake(call, members), read_asks(call, members))


def likely_tokens(weight: Weight) -> int:
    """What a limit on tokens reserves until the call's own count is known: 3.5 bytes a token, and the maximum."""
    asks, intake = weight.asks, weight.intake
    read = -(-max(0, intake.text_tokens) * 2 // 7) + intake.images * 1_000 + intake.audio_seconds
    return read + (asks.maximum or 0) * (asks.copies or 1)


def upper_bound(asked: Call | Weight, price: Price, sizes: Sizes) -> Bound | None:
    """The most the request can cost at this price; None where nothing bounds it."""
    weight = weigh(asked) if isinstance(asked, Call) else asked
    measure = _MEASURES.get(weight.endpoint)
    return None if measure is None else measure(_Case(weight, price, sizes))


def dearest(bounds: Iterable[Bound | None]) -> Bound | None:
    """A bound for whichever of several models serves; None where one of them has none."""
    found = list(bounds)
    if not found or None in found:
        return None
    all_of = [bound for bound in found if bound is not None]
    outputs = [bound.output_tokens for bound in all_of]
    totals = [bound.pusd for bound in all_of]
    return Bound(
        input_tokens=max(bound.input_tokens for bound in all_of),
        output_tokens=None if None in outputs else max(tokens or 0 for tokens in outputs),
        pusd=None if None in totals else max(pusd or 0 for pusd in totals),
        pusd_without_output=max(bound.pusd_without_output for bound in all_of),
        pusd_per_output_token=max(bound.pusd_per_output_token for bound in all_of),
    )


def lower_maximum(bound: Bound, left_pusd: int) -> int | None:
    """The output tokens that `left_pusd` pays for, each answer cut off there; None where too few to be an answer."""
    if bound.pusd_per_output_token == 0:
        return None
    affordable = (left_pusd - bound.pusd_without_output) // bound.pusd_per_output_token
    if bound.output_tokens is not None:
        affordable = min(affordable, bound.output_tokens)
    return affordable if affordable >= LEAST_OUTPUT_TOKENS else None


class _Case(Struct, frozen=True):
    """A request, a price, a model: what the rates and counts below are taken from."""

    weight: Weight
    price: Price
    sizes: Sizes

    def window(self) -> int | None:
        """The context window; not where the price list knows of longer prompts than it."""
        longest = self.sizes.context_length
        tiers = [o.min_prompt_tokens or 0 for price in self.prices() for o in price.overrides]
        return None if longest is None or max(tiers, default=0) >= longest else longest

    def tools_searches(self) -> tuple[int, Decimal]:
        """How many web searches may run, and the most one costs."""
        tools, fee = self.weight.asks.tools, _ZERO
        searches, least = tools.searches, tools.search_usd
        if self.sizes.variant == ":online":
            plugin = web_plugin()
            searches, least = searches + plugin.searches, max(least, plugin.search_usd)
        if searches:
            listed = self.price.web_search_usd
            fee = max(least, SEARCH_USD if listed is None and not least else listed or _ZERO)
        return searches, fee

    def input_tokens(self) -> int | None:
        """The most tokens that can be read; None where nothing says."""
        intake, tools = self.weight.intake, self.weight.asks.tools
        tokens = max(0, intake.text_tokens) + intake.images * self.sizes.image_tokens
        tokens += intake.audio_seconds * AUDIO_TOKENS_PER_SECOND + self.tools_searches()[0] * TOKENS_PER_SEARCH
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
        if self.weight.asks.caches_for_hours:
            hour = self.rate(("cache_write_1h_usd",), tokens)
            doubled = 2 * self.rate(("input_usd",), tokens) if self.price.doubles_hour_writes else _ZERO
            rate = max(rate, hour, doubled)
        return _EXACT.multiply(tokens * rate, self.surcharge())

    def fees_usd(self) -> Decimal:
        """Everything that is not counted in tokens."""
        tools, price = self.weight.asks.tools, self.price
        searches, search_usd = self.tools_searches()
        file_usd = FILE_SEARCH_USD if price.file_search_usd is None else price.file_search_usd
        fees = (price.request_usd or _ZERO) + searches * search_usd + tools.file_searches * file_usd + tools.code_usd
        return fees + self.weight.intake.images * (price.image_usd or _ZERO)
