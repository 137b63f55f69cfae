"""What an attempt cost, from the best thing known of it: reported, else computed, else counted, else the hold.

"Present and zero" is zero. What cannot be believed is passed over for the next source and named.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from proxy.policy.costs import Extra, cost_usd, of_images
from proxy.policy.money import to_pusd
from proxy.policy.prices import Price
from proxy.policy.retry import Trouble
from proxy.wire.usage import Usage

Source = Literal["reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown", "none"]


class Ending(Struct, frozen=True):
    """How an attempt ended, as far as its bill is concerned.

    `status` None: no answer came. `failed`: an error inside a 200 and no output. `stops_billing`:
    closing the connection ended the bill. `binary`: the reply was no JSON. `counted_output` tokens streamed past; `input_tokens`
    is our estimate of the prompt. `hhmm` the UTC time of day, and `terms` what the reply says it was served at
    (`service_tier`: `priority`), for prices that depend on them.
    """

    trouble: Trouble = "none"
    status: int | None = None
    failed: bool = False
    complete: bool = True
    streamed: bool = False
    binary: bool = False
    stops_billing: bool = False
    makes_images: bool = False
    usage: Usage | None = None
    input_tokens: int = 0
    counted_output: int = 0
    hhmm: int = 0
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the answer was an error."""
        return self.status is not None and (self.status >= 400 or self.failed)


class Settlement(Struct, frozen=True):
    """The cost and where it is known from; `void` when it provably cost nothing. `doubts` feed the anomaly counter."""

    cost_pusd: int
    source: Source
    void: bool = False
    doubts: tuple[str, ...] = ()


_VOID = Settlement(0, "none", void=True)


def settle(ending: Ending, price: Price | None, hold_pusd: int) -> Settlement:
    """Decide the cost of an attempt. `price` None: the model has no known price."""
    if ending.trouble in ("unhealthy", "unreachable"):
        return _VOID
    for member, value in ending.terms:
        price = price and price.under(member, value)
    usage = ending.usage
    doubts = usage.doubts if usage else ()
    if usage is not None and usage.cost_usd is not None:
        return Settlement(to_pusd(usage.cost_usd + (usage.byok_usd or Decimal(0))), "reported", doubts=doubts)
    if ending.refused and usage is None:
        return _VOID
    if usage is not None and (ending.refused or ending.complete):
        return _priced(ending, usage, price, hold_pusd)
    return _estimated(ending, price, hold_pusd)


def _priced(ending: Ending, usage: Usage, price: Price | None, hold_pusd: int) -> Settlement:
    """Tokens times price."""
    if price is None:
        return Settlement(0, "unknown", doubts=usage.doubts)
    is_half_told = usage.miscounted and not (usage.input_tokens and usage.output_tokens)
    if is_half_told or (usage.uncounted and not ending.refused):
        return _estimated(ending, price, hold_pusd)
    extra = Extra(web_searches=usage.web_searches, audio_output_tokens=usage.audio_output_tokens)
    cost = cost_usd(of_images(usage) if ending.makes_images else usage, price, ending.hhmm, extra)
    if cost is None:
        return _at_hold(hold_pusd, usage.doubts)
    return Settlement(to_pusd(cost.usd), "computed", doubts=usage.doubts)


def _estimated(ending: Ending, price: Price | None, hold_pusd: int) -> Settlement:
    """No usage to go by: what streamed past, where the bill stopped with it; else all that was held."""
    doubts = ending.usage.doubts if ending.usage else ()
    if price is None:
        return Settlement(0, "unknown", doubts=doubts)
    if ending.streamed and (ending.stops_billing or ending.complete):
        seen = ending.usage or Usage()
        counted = msgspec.structs.replace(
            seen,
            input_tokens=seen.input_tokens or ending.input_tokens,
            output_tokens=max(ending.counted_output, seen.output_tokens),
        )
        cost = cost_usd(counted, price, ending.hhmm)
        if cost is not None:
            return Settlement(to_pusd(cost.usd), "counted", doubts=doubts)
    return _at_hold(hold_pusd, doubts)


def _at_hold(hold_pusd: int, doubts: tuple[str, ...]) -> Settlement:
    return Settlement(hold_pusd, "held" if hold_pusd else "unknown", doubts=doubts)
