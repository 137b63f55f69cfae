"""What an attempt cost, from the best thing known of it (design: reported > computed > counted > the hold).

"Present and zero" is zero. What cannot be believed is passed over for the next source and named.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from proxy.policy.money import to_pusd
from proxy.policy.prices import Price, cost_usd
from proxy.policy.retry import Trouble
from proxy.wire.usage import Usage

Source = Literal["reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown", "none"]


class Ending(Struct, frozen=True):
    """How an attempt ended, as far as its bill is concerned.

    `status` None: no answer came. `failed`: an error inside a 200 and no output. `stops_billing`:
    closing the connection ended the bill. `counted_output` tokens streamed past; `input_tokens`
    is our estimate of the prompt. `hhmm` the UTC time of day, for prices that depend on it.
    """

    trouble: Trouble = "none"
    status: int | None = None
    failed: bool = False
    complete: bool = True
    streamed: bool = False
    stops_billing: bool = False
    usage: Usage | None = None
    input_tokens: int = 0
    counted_output: int = 0
    hhmm: int = 0


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
    usage = ending.usage
    doubts = usage.doubts if usage else ()
    if usage is not None and usage.cost_usd is not None:
        return Settlement(to_pusd(usage.cost_usd + (usage.byok_usd or Decimal(0))), "reported", doubts=doubts)
    if ending.status is not None and (ending.status >= 400 or ending.failed):
        return _VOID if usage is None else _computed(ending, usage, price, doubts)
    if usage is not None and (ending.complete or usage.output_tokens >= ending.counted_output):
        return _computed(ending, usage, price, doubts)
    return _estimated(ending, price, hold_pusd, doubts)


def _computed(ending: Ending, usage: Usage, price: Price | None, doubts: tuple[str, ...]) -> Settlement:
    if price is None:
        return Settlement(0, "unknown", doubts=doubts)
    return Settlement(to_pusd(cost_usd(usage, price, ending.hhmm).usd), "computed", doubts=doubts)


def _estimated(ending: Ending, price: Price | None, hold_pusd: int, doubts: tuple[str, ...]) -> Settlement:
    """No usage: what streamed past, where the bill stopped with it; else all that was held."""
    if price is None:
        return Settlement(0, "unknown", doubts=doubts)
    if ending.streamed and (ending.stops_billing or ending.complete):
        seen = ending.usage or Usage(input_tokens=ending.input_tokens)
        counted = Usage(
            input_tokens=seen.input_tokens,
            output_tokens=max(ending.counted_output, seen.output_tokens),
            cached_tokens=seen.cached_tokens,
            cache_write_tokens=seen.cache_write_tokens,
            cache_write_1h_tokens=seen.cache_write_1h_tokens,
        )
        return Settlement(to_pusd(cost_usd(counted, price, ending.hhmm).usd), "counted", doubts=doubts)
    return Settlement(hold_pusd, "held", doubts=doubts)
