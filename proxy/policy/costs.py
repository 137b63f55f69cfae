"""What a call comes to: its usage, times the price (wire.md 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal

import msgspec
from msgspec import Struct

from proxy.policy.prices import Price, either
from proxy.wire.usage import Usage

_EXACT = Context(prec=60)
_ZERO = Decimal(0)


class Extra(Struct, frozen=True):
    """What a call used beside the tokens its usage counts. None: it was not told."""

    web_searches: int = 0
    file_searches: int = 0
    input_images: int = 0
    audio_output_tokens: int = 0
    characters: int | None = None
    audio_seconds: int | None = None


class Cost(Struct, frozen=True):
    """What a call comes to; not `exact` where a price was missing and a near one stood in."""

    usd: Decimal
    exact: bool


NOTHING_EXTRA = Extra()


def of_images(usage: Usage) -> Usage:
    """The usage of the image endpoints: all they put out is images, whether the reply says so or not."""
    return msgspec.structs.replace(usage, image_tokens=usage.output_tokens)


def cost_usd(usage: Usage, price: Price, hhmm: int, extra: Extra = NOTHING_EXTRA) -> Cost | None:
    """Price a call by its size and time of day (UTC, HHMM); None where the price counts what nobody told us."""
    price = price.at(usage.input_tokens, hhmm)
    units = ((extra.characters, price.character_usd), (extra.audio_seconds, price.audio_second_usd))
    if any(count is None and usd is not None for count, usd in units):
        return None
    lines = [*_input_lines(usage, price), *_output_lines(usage, price, extra), (1, either(price.request_usd, _ZERO))]
    lines += [(count or 0, either(usd, _ZERO)) for count, usd in units]
    lines.append((extra.input_images, either(price.image_usd, _ZERO)))
    lines.append((extra.web_searches, either(price.web_search_usd, _ZERO)))
    lines.append((extra.file_searches, either(price.file_search_usd, _ZERO)))
    total = _ZERO
    for count, usd in lines:
        total = _EXACT.fma(Decimal(count), usd, total)
    return Cost(total, _is_exact(usage, price, extra))


def _input_lines(usage: Usage, price: Price) -> Iterator[tuple[int, Decimal]]:
    hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    special = usage.cached_tokens + usage.cache_write_tokens + usage.audio_input_tokens
    yield max(0, usage.input_tokens - special), price.input_usd
    yield usage.cached_tokens, either(price.cached_input_usd, price.input_usd)
    yield usage.cache_write_tokens - hour, either(price.cache_write_usd, price.input_usd)
    yield hour, price.write_1h_usd()
    yield usage.audio_input_tokens, either(price.audio_input_usd, price.input_usd)


def _output_lines(usage: Usage, price: Price, extra: Extra) -> Iterator[tuple[int, Decimal]]:
    """A part may be told larger than the whole (wire.md 1.6): it is cut to it, the rest to nothing."""
    reasoning_usd = either(price.reasoning_usd, price.output_usd)
    reasoning = min(usage.output_tokens, usage.reasoning_tokens) if reasoning_usd != price.output_usd else 0
    images = min(usage.output_tokens, usage.image_tokens)
    audio = min(usage.output_tokens, extra.audio_output_tokens)
    yield max(0, usage.output_tokens - reasoning - images - audio), price.output_usd
    yield reasoning, reasoning_usd
    yield images, either(price.image_output_usd, price.output_usd)
    yield audio, either(price.audio_output_usd, price.output_usd)


def _is_exact(usage: Usage, price: Price, extra: Extra) -> bool:
    may_be_images = usage.image_tokens > 0 or (price.makes_images and usage.output_tokens > 0)
    return not (
        (may_be_images and price.image_output_usd is None)
        or (extra.audio_output_tokens > 0 and price.audio_output_usd is None)
        or (extra.web_searches > 0 and price.web_search_usd is None)
        or (extra.file_searches > 0 and price.file_search_usd is None)
        or not all(override.understood for override in price.overrides)
    )
