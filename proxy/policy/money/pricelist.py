"""Reads a list's `pricing` (OpenRouter's spelling, wire.md 1.12, and ours beside it), and lays one list over another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from proxy.policy.money.prices import Override, Price
from proxy.policy.names.catalogue import Model

# A feed that names a dearer unit, or spells one longer, is broken.
DEAREST_UNIT_USD = Decimal(10_000)
LONGEST_PRICE_TEXT = 64

# What `image` costs beside a token of text where it is a price per image; Gemini's is per token (wire.md 1.12).
_IMAGE_OVER_TOKEN = 100
_LEAST_IMAGE_USD = Decimal("0.00001")

_ZERO = Decimal(0)

# A price of tokens goes with the base prices beside it; a fee stands for itself.
_TOKEN_KEYS = {
    "prompt": "input_usd",
    "completion": "output_usd",
    "input_cache_read": "cached_input_usd",
    "input_cache_write": "cache_write_usd",
    "input_cache_write_1h": "cache_write_1h_usd",
    "internal_reasoning": "reasoning_usd",
    "audio": "audio_input_usd",
    "audio_output": "audio_output_usd",
    "input_audio_cache": "cached_audio_usd",
    "image_token": "image_input_usd",
    "image_output": "image_output_usd",
    "input_image_cache": "cached_image_usd",
}
_FEE_KEYS = {
    "image": "image_usd",
    "request": "request_usd",
    "web_search": "web_search_usd",
    "web_search_low": "web_search_low_usd",
    "web_search_high": "web_search_high_usd",
    "web_search_preview": "web_search_preview_usd",
    "file_search": "file_search_usd",
    "code_session": "code_session_usd",
    "page": "page_usd",
    "character": "character_usd",
    "audio_second": "audio_second_usd",
    "output_second": "output_second_usd",
}
FIELDS = _TOKEN_KEYS | _FEE_KEYS
_CONDITIONS = ("min_prompt_tokens", "utc_start", "utc_end")
_UNIT_FIELDS = ("character_usd", "audio_second_usd", "output_second_usd", "page_usd")

Pricing = Mapping[str, Any]
_Tiers = tuple[Override, ...]


def read_pricing(model: Model) -> Price | None:
    """Read a model's `pricing`; None: what it costs is unknown ("-1", or nothing that could be believed).

    A `discount` is inside the listed price already. What `hold` says replaces the rest for holds.
    """
    try:
        price = _read(model, model.pricing)
        dearer = model.pricing.get("hold")
        if price is None or not isinstance(dearer, dict):
            return price
        return msgspec.structs.replace(price, hold=_read(model, laid_over(dearer, model.pricing)))
    except ValueError:
        return None


def laid_over(own: Pricing, base: Pricing) -> dict[str, Any]:
    """One `pricing` over another, member by member: overrides by their condition, variants by what they are for."""
    merged = {**base, **own}
    for name, identity in (("overrides", _condition), ("variants", _purpose), ("factors", _purpose)):
        rows = {identity(row): row for row in _rows(base, name)}
        for row in _rows(own, name):
            rows[identity(row)] = {**rows.get(identity(row), {}), **row}
        if rows:
            merged[name] = list(rows.values())
    return merged


def completed(own: Pricing, other: Pricing) -> dict[str, Any]:
    """What one list says, completed from another that knows more of the model.

    Prices of tokens are taken over only where both lists agree on the plain ones: they belong together.
    """
    if _plain(own) is None and not _has_units(own):
        return dict(other)
    agree = _plain(own) == _plain(other)
    left_out = own.keys() if agree else own.keys() | _TOKEN_KEYS.keys() | {"overrides", "variants", "factors", "hold"}
    merged = {**own, **{name: value for name, value in other.items() if name not in left_out}}
    dearer = {name: usd for name, usd in _mapping(other.get("hold")).items() if name not in own}
    if agree and dearer and "hold" not in own:
        merged["hold"] = dearer
    elif "hold" not in own:
        merged.pop("hold", None)
    return merged


def _has_units(pricing: Pricing) -> bool:
    """Whether something but tokens is charged: that is a price as well."""
    return any(FIELDS[key] in _UNIT_FIELDS for key in pricing.keys() & FIELDS.keys()) or bool(pricing.get("pictures"))


def _plain(pricing: Pricing) -> tuple[Decimal, Decimal] | None:
    try:
        prices = _prices(pricing)
    except ValueError:
        return None
    return (prices["input_usd"], prices["output_usd"]) if {"input_usd", "output_usd"} <= prices.keys() else None


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


def _read(model: Model, pricing: Pricing) -> Price | None:
    keys = _without_token_prices(pricing, _prices(pricing))
    overrides = tuple(_overrides(pricing))
    if "input_usd" not in keys or "output_usd" not in keys:
        return None
    slug = model.id.rpartition("/")[2]
    if slug.startswith("gpt-image"):  # where the list has one price of output only, it is that of images
        keys.setdefault("image_output_usd", keys["output_usd"])
    is_claude = model.id.startswith("anthropic/") or slug.startswith("claude")
    marks: dict[str, Any] = {"doubles_hour_writes": is_claude, "makes_images": "image" in slug}
    marks |= {"pictures": tuple(_pictures(pricing)), "factors": tuple(_factors(pricing))}
    variants = tuple(
        (member, value, Price(**{**keys, **own, **marks}, overrides=_tiers(overrides, own, tiers)))
        for member, value, own, tiers in _variants(pricing)
    )
    return Price(**{**keys, **marks}, overrides=overrides, variants=variants)


def _rows(pricing: Pricing, name: str) -> list[dict[str, Any]]:
    rows = pricing.get(name)
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise ValueError(name)
    return rows or []


def _mapping(value: object) -> dict[str, Any]:
    """The object itself, or nothing where it is none."""
    return value if isinstance(value, dict) else {}


def _condition(row: Pricing) -> object:
    return tuple(row.get(name) for name in _CONDITIONS)


def _purpose(row: Pricing) -> object:
    when = row.get("when")
    if not isinstance(when, dict) or len(when) != 1:
        raise ValueError("variants")
    member, value = next(iter(when.items()))
    return str(member), str(value)


def _prices(pricing: Pricing) -> dict[str, Decimal]:
    """The prices we have fields for; "-1" for tokens is left out, anything else odd raises ValueError."""
    keys: dict[str, Decimal] = {}
    for key, field in FIELDS.items():
        if (value := pricing.get(key)) is None:
            continue
        usd = read_usd(value)
        if usd == -1 and field in ("input_usd", "output_usd"):
            continue
        keys[field] = _believed(usd)
    _sort_out_images(keys)
    return keys


def _believed(usd: Decimal) -> Decimal:
    if not 0 <= usd <= DEAREST_UNIT_USD:
        raise ValueError("a price must be of this world")
    return usd


def _sort_out_images(keys: dict[str, Decimal]) -> None:
    """Tell a price per image from one per token of an image by its size."""
    image = keys.get("image_usd")
    if image is not None and image <= max(_IMAGE_OVER_TOKEN * keys.get("input_usd", _ZERO), _LEAST_IMAGE_USD):
        keys.setdefault("image_input_usd", keys.pop("image_usd"))


def _without_token_prices(pricing: Pricing, keys: dict[str, Decimal]) -> dict[str, Decimal]:
    """A model charged by the character, second, page or picture has no price per token, and needs none."""
    if _has_units(pricing) and pricing.get("prompt") == "-1":
        return {"input_usd": _ZERO, "output_usd": _ZERO, **keys}
    return keys


def _pictures(pricing: Pricing) -> Iterator[tuple[str, str, Decimal]]:
    """`pictures`: {"high/1024x1024": USD of one}; "" stands for any."""
    for name, usd in _mapping(pricing.get("pictures")).items():
        quality, _, size = str(name).partition("/")
        yield quality, size, _believed(read_usd(usd))


def _factors(pricing: Pricing) -> Iterator[tuple[str, str, Decimal]]:
    for row in _rows(pricing, "factors"):
        member, value = next(iter(row["when"].items()))
        yield str(member), str(value), _believed(read_usd(row.get("times")))


def _overrides(pricing: Pricing) -> Iterator[Override]:
    for row in _rows(pricing, "overrides"):
        prices = _prices(row)
        conditions = {name: row.get(name) for name in _CONDITIONS}
        if any(isinstance(n, bool) or not isinstance(n, int | None) for n in conditions.values()):
            raise ValueError("overrides")
        is_understood = not row.keys() - FIELDS.keys() - set(_CONDITIONS) - {"discount"}
        yield Override(tuple(prices.items()), **conditions, understood=is_understood)


def _variants(pricing: Pricing) -> Iterator[tuple[str, str, dict[str, Decimal], _Tiers]]:
    """The prices of other service tiers; what one leaves out costs what it always does."""
    for row in _rows(pricing, "variants"):
        _purpose(row)
        member, value = next(iter(row["when"].items()))
        yield str(member), str(value), _prices(row), tuple(_overrides(row))


def _tiers(base: _Tiers, own: Mapping[str, Decimal], tiers: _Tiers) -> _Tiers:
    """The overrides of a variant: the base's, never below the variant's own prices, then its own in their place."""
    inherited: dict[object, Override] = {}
    for override in base:
        prices = tuple((name, max(usd, own.get(name, usd))) for name, usd in override.prices)
        inherited[_when(override)] = Override(prices, *_when(override))
    for override in tiers:
        before = inherited.get(_when(override))
        prices = tuple({**dict(before.prices if before else ()), **dict(override.prices)}.items())
        inherited[_when(override)] = Override(prices, *_when(override))
    return tuple(sorted(inherited.values(), key=lambda override: override.min_prompt_tokens or 0))


def _when(override: Override) -> tuple[int | None, int | None, int | None, bool]:
    return override.min_prompt_tokens, override.utc_start, override.utc_end, override.understood
