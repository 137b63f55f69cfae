"""What is known of a model, for `tollkeeper models NAME`: sizes, abilities, every price, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from proxy.errors import ModelNotFound
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import TOKEN_FIELDS, Override, Price
from proxy.policy.names.resolution import Names
from proxy.policy.values import Settings, Target

_PER_MILLION = Decimal(1_000_000)
_BY_MILLION = frozenset({*TOKEN_FIELDS, "character_usd"})

# A field of `Price` -> what it is called, and of what it is the price where that is no token.
_UNITS = {
    "character_usd": "million characters",
    "image_usd": "picture read",
    "request_usd": "call",
    "web_search_usd": "search",
    "web_search_low_usd": "search",
    "web_search_high_usd": "search",
    "file_search_usd": "search",
    "code_session_usd": "session",
    "page_usd": "page",
    "audio_second_usd": "second heard",
    "output_second_usd": "second made",
}
_FIELDS = (*TOKEN_FIELDS, *_UNITS)


def known_of(settings: Settings, names: Names, prices: PriceBook, name: str) -> list[dict[str, Any]]:
    """What is known of every target of a name, first choice first; nothing where it leads nowhere."""
    try:
        plan = names.look_up(name).plan
    except ModelNotFound:
        return []
    labels = [plan.label, *(prices.label_for(target) for target in plan.targets[1:])]
    return [_known(settings, prices, target, label) for target, label in zip(plan.targets, labels, strict=True)]


def _known(settings: Settings, prices: PriceBook, target: Target, label: str) -> dict[str, Any]:
    provider = settings.providers[target.provider]
    facts, price = prices.facts(provider, target.model), prices.price(provider, label, target.model)
    sizes = prices.sizes(provider, target.model)
    own = _own(price, prices.price(provider, "", target.model))
    return {
        "provider": target.provider,
        "model": target.model,
        "modes": [] if facts is None else list(facts.modes),
        "takes": [] if facts is None else list(facts.takes),
        "context_length": sizes.context_length,
        "max_output": sizes.max_output,
        "price": "free" if isinstance(price, Free) else None if price is None else price_facts(price),
        "sources": ({"your own price": own} if own else {})
        | ({} if facts is None else {source: list(said) for source, said in facts.sources.items()}),
        "page": None if facts is None else facts.page,
    }


def _own(price: Price | Free | None, listed: Price | Free | None) -> list[str]:
    """What a `price:` of the operator's own says."""
    names = ("input_usd", "output_usd", "cached_input_usd")
    return [name for name in names if getattr(price, name, None) != getattr(listed, name, None)]


def price_facts(price: Price) -> dict[str, Any]:
    """Every price that is set, as decimal texts: tokens and characters by the million, the rest by the piece."""
    found: dict[str, Any] = _set(price)
    found["above"] = [_override(override) for override in price.overrides]
    found["tiers"] = {f"{member}={value}": _tier(variant, found) for member, value, variant in price.variants}
    found["factors"] = {f"{member}={value}": f"{factor:f}" for member, value, factor in price.factors}
    found["pictures"] = {f"{quality}/{size}": f"{usd:f}" for quality, size, usd in price.pictures}
    found["holds"] = {} if price.hold is None else _changes(_set(price.hold), found)
    return {name: value for name, value in found.items() if value not in ([], {})}


def _tier(variant: Price, base: dict[str, Any]) -> dict[str, Any]:
    """What differs from the usual price, for long prompts too."""
    prices: dict[str, Any] = _changes(_set(variant), base)
    above = [_override(override) for override in variant.overrides]
    return prices if above == base["above"] else prices | {"above": above}


def _set(price: Price) -> dict[str, str]:
    return {name: _text(name, usd) for name in _FIELDS if (usd := getattr(price, name)) is not None}


def _changes(prices: dict[str, str], base: dict[str, Any]) -> dict[str, str]:
    return {name: usd for name, usd in prices.items() if base.get(name) != usd}


def _override(override: Override) -> dict[str, Any]:
    when = {"tokens": override.min_prompt_tokens, "utc_start": override.utc_start, "utc_end": override.utc_end}
    prices = {name: _text(name, usd) for name, usd in override.prices}
    return {name: value for name, value in when.items() if value is not None} | prices


def _text(name: str, usd: Decimal) -> str:
    usd = usd * _PER_MILLION if name in _BY_MILLION else usd
    return f"{usd.normalize():f}"


def facts_text(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [(title, text) for title, text in _lines(facts) if text]
    width = max(len(title) for title, _ in lines)
    return "\n".join(
        [f"{facts['model']} at {facts['provider']}", *(f"  {title:<{width}}  {text}" for title, text in lines)]
    )


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "does", ", ".join(facts["modes"]).replace("_", " ")
    yield "takes", ", ".join(facts["takes"]).replace("_", " ")
    yield "context window", _tokens(facts["context_length"])
    yield "largest output", _tokens(facts["max_output"]) if facts["max_output"] or _may_write(facts["modes"]) else ""
    price = facts["price"]
    if not isinstance(price, dict):
        yield "price", price or "unknown: give it one under `models:`, or calls under a budget are refused"
    else:
        yield from _price_lines(price)
    for source, said in facts["sources"].items():
        yield "source", f"{source}: {', '.join(said).replace('_', ' ')}"
    yield "page", facts["page"] or ""


def _price_lines(price: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "USD", _in_words({name: usd for name, usd in price.items() if name in _FIELDS})
    yield from _above_lines(price, "")
    for tier, prices in price.get("tiers", {}).items():
        yield tier, _in_words({name: usd for name, usd in prices.items() if name in _FIELDS})
        yield from _above_lines(prices, f"{tier} ")
    for tier, factor in price.get("factors", {}).items():
        yield tier, f"{factor} times the prices of tokens"
    for picture, usd in price.get("pictures", {}).items():
        yield f"picture {picture.strip('/')}", usd
    yield "holds", _in_words(price.get("holds", {}))


def _above_lines(prices: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for row in prices.get("above", ()):
        start, end = row.get("utc_start", 0), row.get("utc_end", 2400)
        when = f"above {row['tokens']:,} tokens" if "tokens" in row else f"{start:04}-{end:04} UTC"
        yield where + when, _in_words({name: usd for name, usd in row.items() if name in _FIELDS})


def _in_words(prices: dict[str, str]) -> str:
    tokens = [f"{_title(name)} {usd}" for name, usd in prices.items() if name in TOKEN_FIELDS]
    others = [f"{_title(name)} {usd} a {_UNITS[name]}" for name, usd in prices.items() if name in _UNITS]
    return "; ".join([", ".join(tokens) + " a million tokens"] * bool(tokens) + others)


def _may_write(modes: list[str]) -> bool:
    return not modes or bool({"chat", "completion", "responses"} & set(modes))


def _title(name: str) -> str:
    return name.removesuffix("_usd").replace("_", " ")


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,} tokens"
