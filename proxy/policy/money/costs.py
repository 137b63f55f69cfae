"""What a call comes to: its usage, times the price (wire.md 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Context, Decimal

import msgspec
from msgspec import Struct

from proxy.policy.money.prices import FREE_OF_CHARGE, Price, either
from proxy.wire.usage import Pass, Usage

_EXACT = Context(prec=60)
_ZERO = Decimal(0)

PriceOf = Callable[[str], Price | None]
Line = tuple[int, Decimal]


class Extra(Struct, frozen=True):
    """What a call used that its usage does not tell and the request does. None: not told there either."""

    input_images: int = 0
    characters: int | None = None


class Cost(Struct, frozen=True):
    """What a call comes to; not `exact` where a price was missing and a near one stood in."""

    usd: Decimal
    exact: bool


NOTHING_EXTRA = Extra()


def nobody_knows(_: str) -> Price | None:
    """The price of other models, where there is no list."""
    return None


def of_images(usage: Usage) -> Usage:
    """The usage of the image endpoints: what they put out is images, unless the reply says what it is."""
    return msgspec.structs.replace(
        usage, image_tokens=usage.image_tokens or max(0, usage.output_tokens - usage.text_output_tokens)
    )


def of_speech(usage: Usage) -> Usage:
    """The usage of text read aloud: what is put out is sound, unless the reply says what it is."""
    return msgspec.structs.replace(
        usage, audio_output_tokens=usage.audio_output_tokens or max(0, usage.output_tokens - usage.text_output_tokens)
    )


def is_free(price: Price) -> bool:
    """Whether nothing is charged, whatever was used."""
    return msgspec.structs.replace(price, makes_images=False, doubles_hour_writes=False) == FREE_OF_CHARGE


def cost_usd(
    usage: Usage, price: Price, hhmm: int, extra: Extra = NOTHING_EXTRA, price_of: PriceOf = nobody_knows
) -> Cost | None:
    """Price a call by its size and time of day (UTC, HHMM); None where the price counts what nobody told us.

    A call that was made of several runs is the sum of them, each at the price of its own model and size.
    """
    whole = price.at(usage.input_tokens, hhmm)
    units = _units(usage, whole, extra)
    if units is None:
        return None
    lines, exact = [*units, *_fees(usage, whole, extra)], _has_fees(usage, whole)
    for run in usage.passes or (Pass(None, usage),):
        listed = price if run.model is None else price_of(run.model)
        own = (listed or price).at(run.usage.input_tokens, hhmm)
        lines += [*_input_lines(run.usage, own), *_output_lines(run.usage, own)]
        exact = exact and listed is not None and _is_exact(run.usage, own)
    total = _ZERO
    for count, usd in lines:
        total = _EXACT.fma(Decimal(count), usd, total)
    return Cost(total, exact)


def _units(usage: Usage, price: Price, extra: Extra) -> list[Line] | None:
    """What is charged by other units than tokens; None where one is, nothing else is, and it was not told."""
    units = [
        (extra.characters, price.character_usd),
        (usage.audio_seconds, price.audio_second_usd),
        (usage.pages or None, price.page_usd),
        (None, price.output_second_usd),
    ]
    by_token = price.input_usd or price.output_usd
    if not by_token and any(count is None and usd is not None for count, usd in units):
        return None
    if usage.audio_seconds and price.audio_second_usd is None and by_token and not usage.input_tokens:
        return None
    return [(count or 0, either(usd, _ZERO)) for count, usd in units]


def _fees(usage: Usage, price: Price, extra: Extra) -> Iterator[Line]:
    yield usage.search_units or 1, either(price.request_usd, _ZERO)
    yield extra.input_images, either(price.image_usd, _ZERO)
    previews = min(usage.preview_searches, usage.web_searches)
    yield usage.web_searches - previews, either(price.search_usd(), _ZERO)
    yield previews, either(price.preview_search_usd(), _ZERO)
    yield usage.file_searches, either(price.file_search_usd, _ZERO)
    yield usage.code_sessions, either(price.code_session_usd, _ZERO)


def _has_fees(usage: Usage, price: Price) -> bool:
    """Whether every tool that ran has its price."""
    ran = (
        (usage.web_searches, price.search_usd()),
        (usage.file_searches, price.file_search_usd),
        (usage.code_sessions, price.code_session_usd),
    )
    return not any(count and usd is None for count, usd in ran)


def _input_lines(usage: Usage, price: Price) -> Iterator[Line]:
    """Cached sound and pictures are told among the cached tokens and among their own kind: they are charged once."""
    hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    cached_audio = min(usage.cached_audio_tokens, usage.audio_input_tokens, usage.cached_tokens)
    cached_image = min(usage.cached_image_tokens, usage.image_input_tokens, usage.cached_tokens - cached_audio)
    audio, image = usage.audio_input_tokens - cached_audio, usage.image_input_tokens - cached_image
    cached_usd = either(price.cached_input_usd, price.input_usd)
    special = usage.cached_tokens + usage.written_only_tokens + audio
    image = min(image, max(0, usage.input_tokens - special))
    yield max(0, usage.input_tokens - special - image), price.input_usd
    yield usage.cached_tokens - cached_audio - cached_image, cached_usd
    yield cached_audio, either(price.cached_audio_usd, cached_usd)
    yield cached_image, either(price.cached_image_usd, cached_usd)
    yield usage.cache_write_tokens - hour, either(price.cache_write_usd, price.input_usd)
    yield hour, price.write_1h_usd()
    yield audio, either(price.audio_input_usd, price.input_usd)
    yield image, either(price.image_input_usd, price.input_usd)


def _output_lines(usage: Usage, price: Price) -> Iterator[Line]:
    """A part may be told larger than the whole (wire.md 1.6): it is cut to it, the rest to nothing."""
    reasoning_usd = either(price.reasoning_usd, price.output_usd)
    reasoning = min(usage.output_tokens, usage.reasoning_tokens) if reasoning_usd != price.output_usd else 0
    images = min(usage.output_tokens, usage.image_tokens)
    audio = min(usage.output_tokens, usage.audio_output_tokens)
    yield max(0, usage.output_tokens - reasoning - images - audio), price.output_usd
    yield reasoning, reasoning_usd
    yield images, either(price.image_output_usd, price.output_usd)
    yield audio, either(price.audio_output_usd, price.output_usd)


def _is_exact(usage: Usage, price: Price) -> bool:
    may_be_images = usage.image_tokens > 0 or (price.makes_images and usage.output_tokens > 0)
    return not (
        (may_be_images and price.image_output_usd is None)
        or (usage.audio_output_tokens > 0 and price.audio_output_usd is None)
        or not all(override.understood for override in price.overrides)
    )
