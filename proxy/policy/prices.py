"""What a model costs: a price in USD per unit, read from a list's `pricing`, and what a call's usage comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.catalogue import Model

# A feed that names a dearer unit, or spells one longer, is broken.
DEAREST_UNIT_USD = Decimal(10_000)
LONGEST_PRICE_TEXT = 64

# What `image` costs beside a token of text where it is a price per image; Gemini's is per token (wire.md 1.12).
_IMAGE_OVER_TOKEN = 100
_LEAST_IMAGE_USD = Decimal("0.00001")

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
        return 2 * self.input_usd if self.doubles_hour_writes else either(self.cache_write_usd, self.input_usd)


_Variant = tuple[str, str, dict[str, Decimal], tuple[Override, ...]]

FREE_OF_CHARGE = Price(_ZERO, _ZERO)


def either(price: Decimal | None, otherwise: Decimal) -> Decimal:
    """The price, or what is paid where there is no separate one."""
    return otherwise if price is None else price


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
