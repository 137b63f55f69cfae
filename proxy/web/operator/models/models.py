"""What is known of models: where each name goes, and of one its sizes, abilities, every price, and who says so."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from proxy.errors import ModelNotFound
from proxy.exchange.background.kept_lists import FILE_NAME
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import FIELDS, TOKEN_FIELDS, Override, Price
from proxy.policy.names.feed import OPENROUTERS_LIST
from proxy.policy.names.resolution import Names
from proxy.policy.values import Settings, Target
from proxy.web.operator.models.model_rows import (
    Known,
    ModelAnswer,
    ModelsAnswer,
    ModelsAsk,
    is_filtered,
    row_of,
    wanted,
)

_PER_MILLION = Decimal(1_000_000)
_BY_MILLION = frozenset({*TOKEN_FIELDS, "character_usd"})


def model_list(told: Known, ask: ModelsAsk) -> ModelsAnswer:
    """The names clients may send, and what is known of the one that was asked for. Raises ValueError for a filter that
    says nothing."""
    settings, names, prices = told.settings, told.names, told.prices
    query, off = ask.query, names.switched_off()
    listed = [name for name in (off if ask.off else names.offered()) if query is None or query.lower() in name.lower()]
    gone = frozenset(off)
    own = [] if query is None or is_filtered(ask) else [_checked(told, query)]
    rows = own + [row_of(told, name, gone) for name in listed if not own or name != query]
    rows = wanted(rows, ask, settings.money.zone)
    known = _known_of(settings, names, prices, query) if query and own else []
    for facts in known:
        facts["sources"] = {_dated(source, settings.state_dir): said for source, said in facts["sources"].items()}
    return ModelsAnswer(rows, known, len(off))


def _checked(told: Known, name: str) -> ModelAnswer:
    """The same for a name that may be mistyped: one that no list has is sent on as it is, but not under a budget."""
    row = row_of(told, name)
    if row.target is None:
        return row
    target = told.names.look_up(name).plan.targets[0]
    near = told.prices.near(told.settings.providers[target.provider], target.model)
    if near is None:
        return row
    alike = f"; near it: {', '.join(near)}" if near else ""
    return replace(row, problem=f"no list of models has this name{alike}; under a budget it is refused with 404")


def _dated(source: str, state_dir: str) -> str:
    """The list the daemon fetched, with its day; the shipped ones have theirs already."""
    file = Path(state_dir) / FILE_NAME
    if source != OPENROUTERS_LIST or not file.exists():
        return source
    return f"{source}, {datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()}"


def _known_of(settings: Settings, names: Names, prices: PriceBook, name: str) -> list[dict[str, Any]]:
    """What is known of every target of a name, first choice first; nothing where it leads nowhere."""
    try:
        plan = names.look_up(name).plan
    except ModelNotFound:
        return []
    labels = [plan.label, *(prices.label_for(target, plan.label) for target in plan.targets[1:])]
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
        "price": "free" if isinstance(price, Free) else None if price is None else _price_facts(price),
        "sources": ({"your own price": own} if own else {})
        | ({} if facts is None else {source: list(said) for source, said in facts.sources.items()}),
        "page": None if facts is None else facts.page,
    }


def _own(price: Price | Free | None, listed: Price | Free | None) -> list[str]:
    """What a `price:` of the operator's own says."""
    names = ("input_usd", "output_usd", "cached_input_usd")
    return [name for name in names if getattr(price, name, None) != getattr(listed, name, None)]


def _price_facts(price: Price) -> dict[str, Any]:
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
    return {name: _text(name, usd) for name in FIELDS if (usd := getattr(price, name)) is not None}


def _changes(prices: dict[str, str], base: dict[str, Any]) -> dict[str, str]:
    return {name: usd for name, usd in prices.items() if base.get(name) != usd}


def _override(override: Override) -> dict[str, Any]:
    when = {"tokens": override.min_prompt_tokens, "utc_start": override.utc_start, "utc_end": override.utc_end}
    prices = {name: _text(name, usd) for name, usd in override.prices}
    return {name: value for name, value in when.items() if value is not None} | prices


def _text(name: str, usd: Decimal) -> str:
    usd = usd * _PER_MILLION if name in _BY_MILLION else usd
    return f"{usd.normalize():f}"
