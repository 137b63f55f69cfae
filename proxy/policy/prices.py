"""What a model costs: a price in USD per unit, read from a list's `pricing`, and what a call's usage comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.catalogue import Model
from proxy.wire.usage import Usage

# A feed that names a dearer unit, or spells one longer, is broken.
DEAREST_UNIT_USD = Decimal(10_000)
LONGEST_PRICE_TEXT = 64

# What `image` costs beside a token of text where it is a price per image; Gemini's is per token (wire.md 1.12).
_IMAGE_OVER_TOKEN = 100
_LEAST_IMAGE_USD = Decimal("0.00001")

_EXACT = Context(prec=60)
_ZERO = Decimal(0)
_FIELDS = {
    "prompt": "input_usd",
    "completion": "output_usd",
    "input_cache_read": "cached_input_usd",
    "input_cache_write": "cache_write_usd",
    "input_cache_write_1h": "cache_write_1h_usd",
    "internal_reasoning": "reasoning_usd",
    "audio": "audio_input_usd",
    "audio_output": "audio_output_usd",
    "image_token": "image_input_usd",
    "image_output": "image_output_usd",
    "image": "image_usd",
    "request": "request_usd",
    "web_search": "web_search_usd",
    "file_search": "file_search_usd",
    "character": "character_usd",
    "audio_second": "audio_second_usd",
}
_Variant = tuple[str, str, dict[str, Decimal], tuple[Override, ...]]
_CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end"})


class Override(Struct, frozen=True):
    """Prices that replace others for prompts above `min_prompt_tokens`, or between two times of day
    (UTC, HHMM, half-open, past midnight where the end is the smaller).

    One with a condition nobody here understands is never applied, but bounds count it.
    """

    prices: tuple[tuple[str, Decimal], ...]
    min_prompt_tokens: int | None = None
    utc_start: int | None = None
    utc_end: int | None = None
    understood: bool = True

    def applies(self, prompt_tokens: int, hhmm: int) -> bool:
        """Whether a call of this size at this time pays these prices."""
        if not self.understood or not self.reaches(prompt_tokens):
            return False
        start, end = self.utc_start or 0, 2400 if self.utc_end is None else self.utc_end
        return start <= hhmm < end if start <= end else hhmm >= start or hhmm < end

    def reaches(self, prompt_tokens: int) -> bool:
        """Whether the prompt is long enough, whatever the time."""
        return self.min_prompt_tokens is None or prompt_tokens > self.min_prompt_tokens


class Price(Struct, frozen=True):
    """USD per unit: a token where the name says no other. None: not charged separately.

    `image_usd` is per input image, `character_usd` per character and `audio_second_usd` per
    second where there is no price per token. `doubles_hour_writes`: an hour in the cache costs
    twice the input where no price says so. `makes_images`: the model's output may be images.
    `variants` are the prices of other service tiers, as (member, value, price).
    """

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    cache_write_1h_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None
    audio_input_usd: Decimal | None = None
    audio_output_usd: Decimal | None = None
    image_input_usd: Decimal | None = None
    image_output_usd: Decimal | None = None
    image_usd: Decimal | None = None
    request_usd: Decimal | None = None
    web_search_usd: Decimal | None = None
    file_search_usd: Decimal | None = None
    character_usd: Decimal | None = None
    audio_second_usd: Decimal | None = None
    doubles_hour_writes: bool = False
    makes_images: bool = False
    overrides: tuple[Override, ...] = ()
    variants: tuple[tuple[str, str, Price], ...] = ()

    def at(self, prompt_tokens: int, hhmm: int) -> Price:
        """The price of a call of this size at this time; later overrides win."""
        changes: dict[str, Decimal] = {}
        for override in self.overrides:
            if override.applies(prompt_tokens, hhmm):
                changes.update(override.prices)
        return msgspec.structs.replace(self, **changes) if changes else self

    def under(self, member: str, value: str) -> Price:
        """The price where the call was served with `member` set so (`service_tier`: `priority`)."""
        return next((price for name, text, price in self.variants if (name, text) == (member, value)), self)

    def write_1h_usd(self) -> Decimal:
        """A token written to the cache for an hour."""
        if self.cache_write_1h_usd is not None:
            return self.cache_write_1h_usd
        return 2 * self.input_usd if self.doubles_hour_writes else _or(self.cache_write_usd, self.input_usd)


FREE_OF_CHARGE = Price(_ZERO, _ZERO)


def read_pricing(model: Model) -> Price | None:
    """Read a model's `pricing`; None: what it costs is unknown ("-1", or nothing that could be believed).

    A `discount` is inside the listed price already.
    """
    try:
        keys = _prices(model.pricing)
        overrides = tuple(_overrides(model.pricing))
        variants = tuple(_variants(model.pricing, keys))
    except ValueError:
        return None
    keys = _without_token_prices(model.pricing, keys)
    if "input_usd" not in keys or "output_usd" not in keys:
        return None
    slug = model.id.rpartition("/")[2]
    if slug.startswith("gpt-image"):  # where the list has one price of output only, it is that of images
        keys.setdefault("image_output_usd", keys["output_usd"])
    is_claude = model.id.startswith("anthropic/") or slug.startswith("claude")
    marks = {"doubles_hour_writes": is_claude, "makes_images": "image" in slug}
    priced = [(member, value, _price({**own, **marks}, tiers)) for member, value, own, tiers in variants]
    return _price({**keys, **marks, "variants": tuple(priced)}, overrides)


def _price(members: dict[str, Any], overrides: tuple[Override, ...]) -> Price:
    return Price(**members, overrides=overrides)


def _prices(pricing: Mapping[str, object]) -> dict[str, Decimal]:
    """The prices we have fields for; "-1" for tokens is left out, anything else odd raises ValueError."""
    keys: dict[str, Decimal] = {}
    for key, field in _FIELDS.items():
        if (value := pricing.get(key)) is None:
            continue
        usd = read_usd(value)
        if usd == -1 and field in ("input_usd", "output_usd"):
            continue
        if not 0 <= usd <= DEAREST_UNIT_USD:
            raise ValueError(key)
        keys[field] = usd
    _sort_out_images(keys)
    return keys


def read_usd(value: object) -> Decimal:
    """A price as lists spell it: a text or a number, exactly. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("a price must be a number")
    if isinstance(value, str) and len(value) > LONGEST_PRICE_TEXT:
        raise ValueError("a price cannot be that long")
    try:
        usd = Decimal(value)
    except InvalidOperation:
        raise ValueError("a price must be a number") from None
    if not usd.is_finite():
        raise ValueError("a price must be finite")
    return usd


def _sort_out_images(keys: dict[str, Decimal]) -> None:
    """Tell a price per image from one per token of an image by its size."""
    image = keys.get("image_usd")
    if image is not None and image <= max(_IMAGE_OVER_TOKEN * keys.get("input_usd", _ZERO), _LEAST_IMAGE_USD):
        keys.setdefault("image_input_usd", keys.pop("image_usd"))


def _without_token_prices(pricing: Mapping[str, object], keys: dict[str, Decimal]) -> dict[str, Decimal]:
    """A model charged by the character or the second has no price per token, and needs none."""
    is_by_unit = "character_usd" in keys or "audio_second_usd" in keys
    if is_by_unit and pricing.get("prompt") == "-1":
        return {"input_usd": _ZERO, "output_usd": _ZERO, **keys}
    return keys


def _overrides(pricing: Mapping[str, object]) -> Iterator[Override]:
    rows = pricing.get("overrides")
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            raise ValueError("overrides")
        prices = _prices(row)
        conditions = {name: row.get(name) for name in _CONDITIONS}
        if any(isinstance(n, bool) or not isinstance(n, int | None) for n in conditions.values()):
            raise ValueError("overrides")
        is_understood = not row.keys() - _FIELDS.keys() - _CONDITIONS - {"discount"}
        yield Override(
            tuple(prices.items()),
            min_prompt_tokens=row.get("min_prompt_tokens"),
            utc_start=row.get("utc_start"),
            utc_end=row.get("utc_end"),
            understood=is_understood,
        )


def _variants(pricing: Mapping[str, object], keys: dict[str, Decimal]) -> Iterator[_Variant]:
    """The prices of other service tiers; what one leaves out costs what it always does."""
    rows = pricing.get("variants")
    for row in rows if isinstance(rows, list) else ():
        when = row.get("when") if isinstance(row, dict) else None
        if not isinstance(when, dict) or len(when) != 1:
            raise ValueError("variants")
        member, value = next(iter(when.items()))
        yield str(member), str(value), {**keys, **_prices(row)}, tuple(_overrides(row))


def _or(price: Decimal | None, fallback: Decimal) -> Decimal:
    return fallback if price is None else price


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
    lines = [*_input_lines(usage, price), *_output_lines(usage, price, extra), (1, _or(price.request_usd, _ZERO))]
    lines += [(count or 0, _or(usd, _ZERO)) for count, usd in units]
    lines.append((extra.input_images, _or(price.image_usd, _ZERO)))
    lines.append((extra.web_searches, _or(price.web_search_usd, _ZERO)))
    lines.append((extra.file_searches, _or(price.file_search_usd, _ZERO)))
    total = _ZERO
    for count, usd in lines:
        total = _EXACT.fma(Decimal(count), usd, total)
    return Cost(total, _is_exact(usage, price, extra))


def _input_lines(usage: Usage, price: Price) -> Iterator[tuple[int, Decimal]]:
    hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    special = usage.cached_tokens + usage.cache_write_tokens + usage.audio_input_tokens
    yield max(0, usage.input_tokens - special), price.input_usd
    yield usage.cached_tokens, _or(price.cached_input_usd, price.input_usd)
    yield usage.cache_write_tokens - hour, _or(price.cache_write_usd, price.input_usd)
    yield hour, price.write_1h_usd()
    yield usage.audio_input_tokens, _or(price.audio_input_usd, price.input_usd)


def _output_lines(usage: Usage, price: Price, extra: Extra) -> Iterator[tuple[int, Decimal]]:
    """A part may be told larger than the whole (wire.md 1.6): it is cut to it, the rest to nothing."""
    reasoning_usd = _or(price.reasoning_usd, price.output_usd)
    reasoning = min(usage.output_tokens, usage.reasoning_tokens) if reasoning_usd != price.output_usd else 0
    images = min(usage.output_tokens, usage.image_tokens)
    audio = min(usage.output_tokens, extra.audio_output_tokens)
    yield max(0, usage.output_tokens - reasoning - images - audio), price.output_usd
    yield reasoning, reasoning_usd
    yield images, _or(price.image_output_usd, price.output_usd)
    yield audio, _or(price.audio_output_usd, price.output_usd)


def _is_exact(usage: Usage, price: Price, extra: Extra) -> bool:
    may_be_images = usage.image_tokens > 0 or (price.makes_images and usage.output_tokens > 0)
    return not (
        (may_be_images and price.image_output_usd is None)
        or (extra.audio_output_tokens > 0 and price.audio_output_usd is None)
        or (extra.web_searches > 0 and price.web_search_usd is None)
        or (extra.file_searches > 0 and price.file_search_usd is None)
        or not all(override.understood for override in price.overrides)
    )
