"""What an attempt cost, from the best thing known of it: reported, else computed, else counted, else the hold.

"Present and zero" is zero. What cannot be believed is passed over for the next source and named.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from proxy.policy.money.amounts import to_pusd, told_pusd
from proxy.policy.money.costs import Extra, PriceOf, cost_usd, is_free, nobody_knows, of_images, of_speech
from proxy.policy.money.prices import Price
from proxy.policy.retries.retry import Trouble
from proxy.wire.findings import Findings
from proxy.wire.usage import NO_USAGE, Usage

Source = Literal["reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown", "none"]


class Ending(Struct, frozen=True):
    """How an attempt ended, as far as its bill is concerned.

    `status` None: no answer came. `failed`: an error inside a 200 and no output. `stops_billing`:
    closing the connection ended the bill. `binary`: the reply was no JSON. `counted_output` tokens streamed past
    where it is `countable`, which only a stream is that could be read; `input_tokens` is our estimate of the prompt, `ran` what its tools did where there is no usage.
    `told_all`: the usage is the last there is, whether all else came or not. `makes_speech`: text was read aloud. `pictures` came of the `copies` that were asked for. `characters` were asked to be read aloud. `hhmm` the UTC time of day, and `terms` what the reply says it was served
    at (`service_tier`: `priority`), for prices that depend on them.
    """

    trouble: Trouble = "none"
    status: int | None = None
    failed: bool = False
    complete: bool = True
    told_all: bool = False
    streamed: bool = False
    countable: bool = False
    binary: bool = False
    stops_billing: bool = False
    makes_images: bool = False
    makes_speech: bool = False
    pictures: int = 0
    copies: int = 1
    usage: Usage | None = None
    ran: Usage = NO_USAGE
    input_tokens: int = 0
    counted_output: int = 0
    characters: int | None = None
    hhmm: int = 0
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the answer was an error, or sent us elsewhere: nothing was made for us."""
        return self.status is not None and (self.status >= 300 or self.failed)


class Settlement(Struct, frozen=True, gc=False):
    """The cost and where it is known from: "none" where it provably cost nothing. `doubts` feed the anomaly counter.

    `usage` is what it was reckoned from: counts that are told, or estimated where it is `counted`.
    """

    cost_pusd: int
    source: Source
    doubts: tuple[str, ...] = ()
    usage: Usage | None = None


class Prices(Struct, frozen=True):
    """The price of the model that was asked for (None: unknown), of others that may have helped it, and of one that
    may have `served` in its place."""

    own: Price | None
    of: PriceOf = nobody_knows
    served: PriceOf = nobody_knows

    def by(self, model: str | None) -> Prices:
        """The prices where a reply names this model: its own, where a list knows another's."""
        served = self.served(model) if model else None
        return self if served is None else Prices(served, self.of, self.served)

    def under(self, terms: tuple[tuple[str, str], ...]) -> Prices:
        """The prices where a call was served so."""
        if not terms:
            return self
        return Prices(_under(self.own, terms), lambda model: _under(self.of(model), terms), self.served)


def _under(price: Price | None, terms: tuple[tuple[str, str], ...]) -> Price | None:
    for member, value in terms:
        price = price and price.under(member, value)
    return price


def has_failed(findings: Findings, *, draws: bool) -> bool:
    """Whether what came is an error and no output; of pictures, where an error ends them, there is none."""
    return findings.failed or (findings.broke and findings.said_nothing) or (draws and findings.error is not None)


def is_worth_asking(settlement: Settlement, ending: Ending) -> bool:
    """Only an answer that began and could not state its price, being cut or binary, can be asked for."""
    unstated = not ending.complete or ending.binary
    return settlement.source in ("counted", "held", "unknown") and ending.status == 200 and unstated


_NEVER_SENT = frozenset({"unhealthy", "unreachable", "stale_connection"})
NOTHING = Settlement(0, "none")


def settle(ending: Ending, prices: Prices, hold_pusd: int) -> Settlement:
    """Decide the cost of an attempt."""
    usage = ending.usage
    if ending.trouble in _NEVER_SENT or (ending.refused and usage is None):
        return NOTHING
    if usage is not None and (told := told_pusd(usage)) is not None:
        return Settlement(told, "reported", usage.doubts, usage)
    prices = prices.under(ending.terms)
    if usage is not None and (ending.refused or ending.complete or _is_last(usage, ending)):
        return _priced(ending, usage, prices, hold_pusd)
    return _estimated(ending, prices, hold_pusd)


def _is_last(usage: Usage, ending: Ending) -> bool:
    """Whether a reply that was cut had told all of its usage: Ollama's says nothing but zeros until the very last."""
    return ending.told_all and (usage.output_tokens > 0 or not ending.counted_output)


def _priced(ending: Ending, usage: Usage, prices: Prices, hold_pusd: int) -> Settlement:
    """Tokens times price."""
    if prices.own is None:
        return Settlement(0, "unknown", doubts=usage.doubts, usage=usage)
    is_half_told = usage.miscounted and not (usage.input_tokens and usage.output_tokens)
    if is_half_told or (usage.uncounted and not ending.refused):
        return _estimated(ending, prices, hold_pusd)
    if ending.makes_images and prices.own.is_by_picture and not ending.refused:
        return _by_pictures(ending, hold_pusd)
    usage = of_images(usage) if ending.makes_images else of_speech(usage) if ending.makes_speech else usage
    cost = cost_usd(usage, prices.own, ending.hhmm, Extra(characters=ending.characters), prices.of)
    if cost is None:
        return _at_hold(hold_pusd, usage)
    return Settlement(to_pusd(cost.usd), "computed", doubts=usage.doubts, usage=usage)


def _estimated(ending: Ending, prices: Prices, hold_pusd: int) -> Settlement:
    """No usage to go by: what needs none, what streamed past where the bill stopped with it; else all that was held."""
    usage = ending.usage
    seen = usage or ending.ran
    if prices.own is None:
        return Settlement(0, "unknown", doubts=seen.doubts, usage=usage)
    if is_free(prices.own):
        return Settlement(0, "computed", doubts=seen.doubts, usage=usage)
    if _may_count(ending):
        seen = msgspec.structs.replace(
            seen,
            input_tokens=seen.input_tokens or ending.input_tokens,
            output_tokens=max(ending.counted_output, seen.output_tokens),
            passes=(),
        )
        cost = cost_usd(seen, prices.own, ending.hhmm, Extra(characters=ending.characters))
        if cost is not None:
            return Settlement(to_pusd(cost.usd), "counted", doubts=seen.doubts, usage=seen)
    elif usage is None and ending.complete and not ending.streamed:
        return _by_request(ending, prices.own, hold_pusd)
    return _at_hold(hold_pusd, usage)


def _may_count(ending: Ending) -> bool:
    """Whether what was seen passing is what was billed: never nothing of a reply that could not be read."""
    if not ending.streamed:
        return False
    if ending.status is None:
        return ending.stops_billing
    return ending.countable and (ending.stops_billing or ending.complete)


def _by_request(ending: Ending, price: Price, hold_pusd: int) -> Settlement:
    """A whole reply without usage, where the price is of what was asked for and of nothing else."""
    if ending.makes_images and not is_free(price):
        return _by_pictures(ending, hold_pusd)
    if price.character_usd is not None and not (price.input_usd or price.output_usd):
        cost = cost_usd(NO_USAGE, price, ending.hhmm, Extra(characters=ending.characters))
        if cost is not None:
            return Settlement(to_pusd(cost.usd), "computed")
    return _at_hold(hold_pusd, None)


def _by_pictures(ending: Ending, hold_pusd: int) -> Settlement:
    """The part of the hold that came: fewer pictures than were asked for are not charged. None that can be seen is no proof
    that none came."""
    if not 0 < ending.pictures <= ending.copies:
        return _at_hold(hold_pusd, ending.usage)
    cost = -(-hold_pusd * ending.pictures // ending.copies)
    return Settlement(cost, "counted" if cost else "unknown", usage=ending.usage)


def _at_hold(hold_pusd: int, usage: Usage | None) -> Settlement:
    doubts = usage.doubts if usage else ()
    return Settlement(hold_pusd, "held" if hold_pusd else "unknown", doubts=doubts, usage=usage)
