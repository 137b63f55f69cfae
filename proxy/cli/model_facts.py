"""What is known of a model, for people who ask `tollkeeper models NAME`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.policy.money.prices import FIELDS, PIECES, TOKEN_FIELDS


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
        yield (
            "price",
            price or "unknown: give it one under `models:`, of input and output, or calls under a budget are refused",
        )
    else:
        yield from _price_lines(price)
    for source, said in facts["sources"].items():
        yield "source", f"{source}: {', '.join(said).replace('_', ' ')}"
    yield "page", facts["page"] or ""


def _price_lines(price: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "USD", _in_words({name: usd for name, usd in price.items() if name in FIELDS})
    yield from _above_lines(price, "")
    for tier, prices in price.get("tiers", {}).items():
        yield tier, _in_words({name: usd for name, usd in prices.items() if name in FIELDS})
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
        yield where + when, _in_words({name: usd for name, usd in row.items() if name in FIELDS})


def _in_words(prices: dict[str, str]) -> str:
    tokens = [f"{_title(name)} {usd}" for name, usd in prices.items() if name in TOKEN_FIELDS]
    others = [f"{_title(name)} {usd} a {PIECES[name]}" for name, usd in prices.items() if name in PIECES]
    return "; ".join([", ".join(tokens) + " a million tokens"] * bool(tokens) + others)


def _may_write(modes: list[str]) -> bool:
    return not modes or bool({"chat", "completion", "responses"} & set(modes))


def _title(name: str) -> str:
    return name.removesuffix("_usd").replace("_", " ")


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,} tokens"
