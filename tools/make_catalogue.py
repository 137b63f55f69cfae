"""Writes the price data shipped in proxy/data from the installed genai-prices package.

Run it after upgrading genai-prices; the same version always writes the same bytes. All three
files have the shape of OpenRouter's /models, so that one parser reads them and the live feed:
openrouter.json (names and prices), openai.json and anthropic.json (prices of direct calls,
ids as the provider spells them). What genai-prices does not know stays out: output limits,
creation times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
)

DATA = Path(__file__).parent.parent / "proxy" / "data"

# genai-prices' unit -> our key and how many single units its price is for. Keys that OpenRouter
# has are spelled as OpenRouter spells them; the last five are prices only direct calls have.
UNITS = {
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
    "web_searches_kcount": ("web_search", 1000),
    "requests_kcount": ("request", 1000),
    "cache_image_read_mtok": ("input_image_cache", 10**6),
    "storage_searches_kcount": ("file_search", 1000),
    "audio_hours": ("audio_second", 3600),
    "input_audio_hours": ("input_audio_second", 3600),
    "input_mchars": ("character", 10**6),
}

# Retired ids that would mislead: an author who never was one ("mistral" beside "mistralai").
SKIPPED = {"mistral/ministral-8b"}

# Entries that stand for several names, and cost nothing.
FREE = {"moderation": ("omni-moderation-latest", "text-moderation-latest")}

DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{2}|\d{2}-\d{4}|\d{4})$")


def decimal_text(price: Decimal, per: int) -> str:
    """The price of one unit, in plain digits."""
    return format((price / per).normalize(), "f")


def unit_prices(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    """What is set in `prices`; a unit we have no key for must not vanish unnoticed."""
    found = {unit: price for unit, price in vars(prices).items() if price is not None}
    if unknown := found.keys() - UNITS.keys():
        raise SystemExit(f"genai-prices has prices in new units: {sorted(unknown)}")
    return found


def price_keys(prices: ModelPrice) -> dict[str, object]:
    """`prices` in OpenRouter's keys, with `overrides` where a long prompt costs more."""
    keys: dict[str, object] = {}
    tiers: dict[int, dict[str, object]] = {}
    for unit, price in unit_prices(prices).items():
        key, per = UNITS[unit]
        if isinstance(price, TieredPrices):
            keys[key] = decimal_text(price.base, per)
            for tier in price.tiers:
                tiers.setdefault(tier.start, {"min_prompt_tokens": tier.start})[key] = decimal_text(tier.price, per)
        else:
            keys[key] = decimal_text(price, per)
    if tiers:
        keys["overrides"] = [tiers[start] for start in sorted(tiers)]
    return keys


def current(model: ModelInfo) -> ModelPrice:
    """The newest prices of a model."""
    if isinstance(model.prices, ModelPrice):
        return model.prices
    for conditional in model.prices:
        if conditional.constraint is not None and not isinstance(conditional.constraint, StartDateConstraint):
            raise SystemExit(f"{model.id}: a price that depends on the time of day has no place in the files yet")
    return model.prices[-1].prices


def pricing(model: ModelInfo) -> dict[str, object]:
    """The `pricing` member: no prices at all means free for `:free`, else unknown ("-1")."""
    keys = price_keys(current(model))
    if not keys:
        nothing = "0" if model.id.endswith(":free") or model.id in FREE else "-1"
        return {"prompt": nothing, "completion": nothing}
    # Charged by the second or the character only: what a token costs is unknown, not nothing.
    silent = "0" if "prompt" in keys or "completion" in keys else "-1"
    keys.setdefault("prompt", silent)
    keys.setdefault("completion", silent)
    variants = [
        {"when": variant.when, **price_keys(variant.prices)}
        for variant in model.price_variants or ()
        if "processing" not in variant.when and "route" not in variant.when  # neither is an endpoint of ours
    ]
    return {**keys, "variants": variants} if variants else keys


def spellings(clause: object) -> Iterator[str]:
    """Every name a match clause holds in full."""
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseStartsWith):
        yield clause.starts_with
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from spellings(part)


def entry(name: str, model: ModelInfo, canonical: str) -> dict[str, object]:
    """One member of `data`."""
    return {
        "id": name,
        "canonical_slug": canonical,
        "name": model.name if model.name and name == model.id else name,
        "context_length": model.context_window,
        "pricing": pricing(model),
    }


def same_words(dated: str, name: str) -> bool:
    """Whether `dated` is `name` and a date, in any order of words (claude-4.5-sonnet-20250929)."""
    return sorted(re.split("[-/]", DATED.sub("", dated))) == sorted(re.split("[-/]", name))


def canonical_slugs(names: list[str], dated: list[str]) -> dict[str, str]:
    """Each name's permanent slug. Two dates of one name are models of their own (gpt-4o-2024-…)."""
    canonical = {name: name for name in names}
    left = []
    for slug in dated:
        name = next((name for name in names if same_words(slug, name)), None)
        if name is None:
            left.append(slug)
        elif canonical[name] == name:
            canonical[name] = slug
        elif canonical[name][-8:] != slug[-8:]:
            canonical |= {canonical[name]: canonical[name], slug: slug, name: name}
    if left and canonical[names[0]] == names[0]:
        canonical[names[0]] = left[0]
    return canonical


def openrouter_entries(models: list[ModelInfo]) -> Iterator[dict[str, object]]:
    """genai-prices folds models of one price into one; here each is itself again."""
    for model in models:
        names = [name for name in dict.fromkeys([model.id, *spellings(model.match)]) if is_openrouter(name, model.id)]
        if not names or model.id in SKIPPED:
            continue
        plain = [name for name in names if name == model.id or not DATED.search(name)]
        dated = [name for name in names if name not in plain]
        for name, canonical in canonical_slugs(plain, dated).items():
            yield entry(name, model, canonical)


def is_openrouter(name: str, main: str) -> bool:
    """Bare names are leftovers of other price lists; variants count only where they have their own price."""
    return "/" in name and (name == main or ":" not in name)


def direct_entries(models: list[ModelInfo]) -> Iterator[dict[str, object]]:
    """Every full name of a provider's own models."""
    for model in models:
        names = FREE.get(model.id) or dict.fromkeys([model.id, *spellings(model.match)])
        for name in names:
            if not name.endswith(("-", "@", ".", "-2024", "-2025", "-0")):
                yield entry(name, model, name)


def made(path: Path, package: dict[str, str]) -> str:
    """The day these prices came into the file: today, unless the file has this version already."""
    source = json.loads(path.read_bytes())["source"] if path.exists() else {}
    return source["made"] if package.items() <= source.items() else datetime.now(UTC).date().isoformat()


def write(path: Path, entries: Iterator[dict[str, object]]) -> None:
    """Write one file, one entry a line, sorted; the first entry of an id wins."""
    unique: dict[object, dict[str, object]] = {}
    for item in entries:
        unique.setdefault(item["id"], item)
    package = {"package": "genai-prices", "version": version("genai-prices"), "licence": "MIT"}
    source = json.dumps({**package, "made": made(path, package)})
    lines = ",\n".join(
        json.dumps(unique[name], separators=(",", ":"), ensure_ascii=False) for name in sorted(unique, key=str)
    )
    path.write_text(f'{{"source":{source},\n"data":[\n{lines}\n]}}\n', encoding="utf-8")


def main() -> None:
    """Write the three files."""
    models = {provider.id: provider.models for provider in providers}
    write(DATA / "openrouter.json", openrouter_entries(models["openrouter"]))
    write(DATA / "openai.json", direct_entries(models["openai"]))
    write(DATA / "anthropic.json", direct_entries(models["anthropic"]))


if __name__ == "__main__":
    main()
