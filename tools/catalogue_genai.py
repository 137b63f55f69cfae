"""Reads the prices inside the installed genai-prices package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from tools.catalogue_rows import Prices, Row

# genai-prices' name of a provider -> our vendor.
VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "x-ai": "xai",
    "groq": "groq",
    "perplexity": "perplexity",
    "together": "together",
    "fireworks": "fireworks",
    "cerebras": "cerebras",
    "moonshotai": "moonshot",
    "cohere": "cohere",
    "zai": "zai",
    "minimax": "minimax",
    "novita": "novita",
    "voyageai": "voyage",
}

# genai-prices' unit -> our key and how many single units its price is for.
_UNITS = {
    "input_mtok": ("prompt", 10**6),
    "output_mtok": ("completion", 10**6),
    "cache_read_mtok": ("input_cache_read", 10**6),
    "cache_write_mtok": ("input_cache_write", 10**6),
    "cache_write_1h_mtok": ("input_cache_write_1h", 10**6),
    "output_reasoning_mtok": ("internal_reasoning", 10**6),
    "input_audio_mtok": ("audio", 10**6),
    "output_audio_mtok": ("audio_output", 10**6),
    "cache_audio_read_mtok": ("input_audio_cache", 10**6),
    "input_image_mtok": ("image_token", 10**6),
    "output_image_mtok": ("image_output", 10**6),
    "cache_image_read_mtok": ("input_image_cache", 10**6),
    "web_searches_kcount": ("web_search", 1000),
    "requests_kcount": ("request", 1000),
    "storage_searches_kcount": ("file_search", 1000),
    "audio_hours": ("audio_second", 3600),
    "input_audio_hours": ("audio_second", 3600),
    "input_mchars": ("character", 10**6),
    "input_document_kpages": ("page", 1000),
}

# Charged beside the rest and counted in no reply that we read.
_LEFT_OUT = {
    "input_video_mtok",
    "output_video_mtok",
    "output_citation_mtok",
    "input_annotated_document_kpages",
    "input_text_messages_kcount",
}

# Entries that stand for several names, and cost nothing.
_FREE = {"moderation": ("omni-moderation-latest", "text-moderation-latest")}

# What a reply says it was served at; other conditions are of no endpoint of ours.
_TERMS = ("service_tier", "speed")


def package() -> str:
    """The version all of this comes from."""
    return version("genai-prices")


def openrouter_models() -> list[ModelInfo]:
    """OpenRouter's models, folded: models of one price are one."""
    return next(list(provider.models) for provider in providers if provider.id == "openrouter")


def vendors_rows(today: date) -> dict[str, dict[str, Row]]:
    """What the vendors' own lists say, by vendor and by every full name of a model."""
    found: dict[str, dict[str, Row]] = {}
    for provider in providers:
        rows = found.setdefault(VENDORS[provider.id], {}) if provider.id in VENDORS else {}
        for model in provider.models if provider.id in VENDORS else ():
            for name in _FREE.get(model.id) or dict.fromkeys([model.id, *spellings(model.match)]):
                if not name.endswith(("-", "@", ".", ":", "/", "-2024", "-2025", "-2026", "-0")):
                    title, prices = model.name if name == model.id else None, prices_of(model, today)
                    if "-search" in name and "-search" not in model.id:
                        prices.keys.pop("web_search", None)  # the plain model's fee: this one always searches
                    rows.setdefault(name, Row(title, model.context_window, prices=prices, main=model.id))
    return found


def spellings(clause: object) -> Iterator[str]:
    """Every name a match clause holds in full."""
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseStartsWith):
        yield clause.starts_with
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from spellings(part)


def prices_of(model: ModelInfo, today: date) -> Prices:
    """The prices in force, at every hour and tier; nothing at all is free for `:free`, else unknown."""
    found = Prices()
    if isinstance(model.prices, ModelPrice):
        found = _keys(model.prices)
    else:
        for conditional in model.prices:
            constraint = conditional.constraint
            if isinstance(constraint, TimeOfDateConstraint):
                hours = (None, _hhmm(constraint.start_time), _hhmm(constraint.end_time))
                found.overrides[hours] = _keys(conditional.prices).keys
            elif constraint is None or constraint.start_date <= today:
                found = _keys(conditional.prices)
    if not found and (model.id.endswith(":free") or model.id in _FREE):
        found.keys = {"prompt": Decimal(0), "completion": Decimal(0)}
    for variant in model.price_variants or ():
        if isinstance(variant.constraint, StartDateConstraint) and variant.constraint.start_date > today:
            continue
        when = {"service_tier": "batch"} if variant.when == {"processing": "batch"} else dict(variant.when)
        if len(when) == 1 and next(iter(when)) in _TERMS and (own := _keys(variant.prices)):
            found.variants[next(iter(when.items()))] = own
    return found


def _hhmm(clock: time) -> int:
    return clock.hour * 100 + clock.minute


def _keys(prices: ModelPrice) -> Prices:
    """A unit we have no key for must not vanish unnoticed."""
    found = Prices()
    for unit, price in vars(prices).items():
        if price is None or unit in _LEFT_OUT:
            continue
        if unit not in _UNITS:
            raise SystemExit(f"genai-prices has prices in a new unit: {unit}")
        key, per = _UNITS[unit]
        if isinstance(price, TieredPrices):
            found.keys[key] = price.base / per
            for tier in price.tiers:
                found.overrides.setdefault((tier.start, None, None), {})[key] = tier.price / per
        else:
            found.keys[key] = price / per
    return found


DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{2}|\d{2}-\d{4}|\d{4})$")

# Retired ids that would mislead: an author who never was one ("mistral" beside "mistralai").
_SKIPPED = {"mistral/ministral-8b"}


def openrouter_rows(today: date) -> Iterator[tuple[str, str, Row]]:
    """(id, permanent slug, row) of OpenRouter's models, each itself again."""
    for model in openrouter_models():
        spelled = dict.fromkeys([model.id, *spellings(model.match)])
        # bare names are leftovers of other lists; variants count only where they have their own price
        names = [name for name in spelled if "/" in name and (name == model.id or ":" not in name)]
        if not names or model.id in _SKIPPED:
            continue
        plain = [name for name in names if name == model.id or not DATED.search(name)]
        dated = [name for name in names if name not in plain]
        for name, canonical in _canonical_slugs(plain, dated).items():
            title = model.name if name == model.id else None
            yield name, canonical, Row(title, model.context_window, prices=prices_of(model, today))


def _same_words(dated: str, name: str) -> bool:
    """Whether `dated` is `name` and a date, in any order of words (claude-4.5-sonnet-20250929)."""
    return sorted(re.split("[-/]", DATED.sub("", dated))) == sorted(re.split("[-/]", name))


def _canonical_slugs(names: list[str], dated: list[str]) -> dict[str, str]:
    """Each name's permanent slug. Two dates of one name are models of their own (gpt-4o-2024-…)."""
    canonical = {name: name for name in names}
    left = []
    for slug in dated:
        name = next((name for name in names if _same_words(slug, name)), None)
        if name is None:
            left.append(slug)
        elif canonical[name] == name:
            canonical[name] = slug
        elif canonical[name][-8:] != slug[-8:]:
            canonical |= {canonical[name]: canonical[name], slug: slug, name: name}
    if left and canonical[names[0]] == names[0]:
        canonical[names[0]] = left[0]
    return canonical
