"""What a recorded reply says of itself, and what it must have cost. Written from the providers' own documents, and from
nothing of Tollkeeper's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price
from traffic.recorded import Exchange

# xAI counts money in ten thousand millionths of a dollar
TICKS = Decimal(10) ** 10
WEB_SEARCH_USD = Decimal("0.01")  # Anthropic's, and OpenAI's for `web_search`: $10 per 1,000
FILE_SEARCH_USD = Decimal("0.0025")  # OpenAI's: $2.50 per 1,000
SEARCH_PREVIEW_USD = Decimal("0.025")  # OpenAI's search models, which search for every answer: $25 per 1,000
CONTAINER_USD = Decimal("0.03")  # OpenAI's, for each container that code or a shell ran in
# the names genai-prices has for the hosts
SELLERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "openrouter": "openrouter",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "perplexity": "perplexity",
    "groq": "groq",
    "moonshot": "moonshotai",
}


# genai-prices has an older list: USD per million read, read from the cache, written (api-docs.deepseek.com, V3.2)
NEWER = {
    ("deepseek", name): (Decimal("0.28"), Decimal("0.028"), Decimal("0.42"))
    for name in ("deepseek-chat", "deepseek-reasoner")
}


@dataclass(frozen=True)
class Tokens:
    """One model's part of a reply. `read` holds everything read, whatever was cached of it."""

    read: int = 0
    written: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    model: str | None = None

    def plus(self, other: Tokens) -> Tokens:
        """The two together."""
        names = ("read", "written", "cached", "cache_write", "cache_write_1h", "reasoning")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Truth:
    """What one reply says. `parts`: what was billed, model by model; None where it tells no usage."""

    parts: tuple[Tokens, ...] | None = None
    reported_usd: Decimal | None = None
    fees_usd: Decimal = Decimal(0)
    served: str | None = None
    tier: str | None = None
    events: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def failure(self) -> str | None:
        """The code of the error that a stream ended with."""
        for event in self.events:
            if event.get("type") in ("error", "response.failed"):
                error = _response(event).get("error") or event
                return str(error.get("code") or error.get("type"))
        return None

    @property
    def tokens(self) -> Tokens:
        """All parts together."""
        total = Tokens()
        for part in self.parts or ():
            total = total.plus(part)
        return total


def truth_of(exchange: Exchange) -> Truth:
    """Read a reply to its end."""
    events = tuple(_documents(exchange))
    usages = [(usage, event) for event in events for usage in _usages(event)]
    merged = _merged([usage for usage, _ in usages], exchange.shape.startswith("messages"))
    served = next((name for event in events if (name := _model(event))), None)
    tier = next((tier for event in reversed(events) if (tier := _response(event).get("service_tier"))), None)
    if merged is None:
        return Truth(served=served, events=events)
    parts = _parts(merged)
    return Truth(parts, _reported(merged), _fees(events, merged, exchange), served, tier, events)


def cost_of(truth: Truth, exchange: Exchange) -> tuple[Decimal, str] | None:
    """What it must have cost in USD, and who says so; None where nobody outside of us knows."""
    if truth.reported_usd is not None:
        return truth.reported_usd, "reported"
    seller = SELLERS.get(exchange.entry or "")
    if truth.parts is None or seller is None or truth.tier in ("flex", "priority") or truth.tokens.cache_write_1h:
        return None
    total = truth.fees_usd
    for part in truth.parts:
        model = part.model or truth.served or exchange.model or ""
        if newer := NEWER.get((seller, model)):
            total += _by_hand(part, *newer)
            continue
        try:
            total += calc_price(_usage(part), model, provider_id=seller).total_price
        except LookupError:
            return None
    return total, "genai-prices"


def _by_hand(part: Tokens, read: Decimal, cached: Decimal, written: Decimal) -> Decimal:
    return ((part.read - part.cached) * read + part.cached * cached + part.written * written).scaleb(-6)


def _usage(part: Tokens) -> Usage:
    return Usage(
        input_tokens=part.read,
        output_tokens=part.written,
        cache_read_tokens=part.cached,
        cache_write_tokens=part.cache_write,
    )


def _documents(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The reply's JSON, or that of each event."""
    text = exchange.reply.decode("utf-8", "replace")
    pieces = [text]
    if exchange.streamed:
        lines = text.replace("\r\n", "\n").split("\n")
        pieces = [line.partition(":")[2] for line in lines if line.lstrip().startswith("data:")]
    for piece in pieces:
        try:
            document = json.loads(piece, parse_float=Decimal)
        except ValueError:
            continue
        if isinstance(document, dict):
            yield document


def _response(event: dict[str, Any]) -> dict[str, Any]:
    """Where an event of the Responses API or of Anthropic's keeps what a whole reply says at its top."""
    inner = event.get("response") or event.get("message") or event
    return inner if isinstance(inner, dict) else event


def _model(event: dict[str, Any]) -> str | None:
    model = _response(event).get("model")
    return model if isinstance(model, str) and model else None


def _usages(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    places = (event, _response(event), event.get("x_groq"))
    found = {id(usage): usage for place in places if isinstance(place, dict) and (usage := place.get("usage"))}
    yield from (usage for usage in found.values() if isinstance(usage, dict))


def _merged(usages: list[dict[str, Any]], is_anthropic: bool) -> dict[str, Any] | None:
    """The last usage that says anything; Anthropic's later ones add to the first."""
    telling = [usage for usage in usages if any(isinstance(v, int | Decimal) and v for v in _numbers(usage))]
    if not usages:
        return None
    if not is_anthropic:
        return (telling or usages)[-1]
    merged: dict[str, Any] = {}
    for usage in usages:
        merged |= {name: value for name, value in usage.items() if value is not None}
    return merged


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    else:
        yield value


def _parts(usage: dict[str, Any]) -> tuple[Tokens, ...]:
    passes = usage.get("iterations")
    if isinstance(passes, list) and passes:
        first, *others = [_one(each) for each in passes]
        return (replace(first, reasoning=_at(usage, "output_tokens_details", "thinking_tokens")), *others)
    return (_one(usage),)


def _one(usage: dict[str, Any]) -> Tokens:
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        cached, wrote = _at(usage, "cache_read_input_tokens"), _at(usage, "cache_creation_input_tokens")
        return Tokens(
            _at(usage, "input_tokens") + cached + wrote,
            _at(usage, "output_tokens"),
            cached,
            wrote,
            _at(usage, "cache_creation", "ephemeral_1h_input_tokens"),
            _at(usage, "output_tokens_details", "thinking_tokens"),
            usage.get("model"),
        )
    is_chat = "prompt_tokens" in usage
    read, wrote = ("prompt", "completion") if is_chat else ("input", "output")
    reasoning = _at(usage, f"{wrote}_tokens_details", "reasoning_tokens")
    out, total = _at(usage, f"{wrote}_tokens"), _at(usage, "total_tokens")
    if reasoning and _at(usage, f"{read}_tokens") + out + reasoning == total:
        out += reasoning
    cached = max(
        _at(usage, f"{read}_tokens_details", "cached_tokens"),
        _at(usage, "prompt_cache_hit_tokens"),
        _at(usage, "cached_tokens"),
    )
    cache_write = _at(usage, f"{read}_tokens_details", "cache_write_tokens")
    told = _at(usage, f"{read}_tokens") or (0 if out else total)  # a rerank tells the total and nothing else
    return Tokens(told, out, cached, cache_write, 0, reasoning)


def _at(usage: dict[str, Any], *path: str) -> int:
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _reported(usage: dict[str, Any]) -> Decimal | None:
    """OpenRouter's and Perplexity's `cost`, xAI's ticks; with a key of one's own the provider's bill comes on top."""
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if isinstance(ticks, int) and ticks:  # grok at Azure says 0, and Azure sends a bill of its own
        return Decimal(ticks) / TICKS
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if not isinstance(cost, int | Decimal):
        return None
    byok = (usage.get("cost_details") or {}).get("upstream_inference_cost") if usage.get("is_byok") is True else None
    return Decimal(cost) + Decimal(byok or 0)


def _fees(events: tuple[dict[str, Any], ...], usage: dict[str, Any], exchange: Exchange) -> Decimal:
    """Searches and containers at their price; other tools cost nothing in what was recorded, or say so themselves."""
    if exchange.entry == "anthropic":
        return WEB_SEARCH_USD * _at(usage, "server_tool_use", "web_search_requests")
    if exchange.entry != "openai" or not events:
        return Decimal(0)
    items = [item for item in _response(events[-1]).get("output") or () if isinstance(item, dict)]
    kinds = [item.get("type") for item in items]
    searches = [item for item in items if item.get("type") == "web_search_call"]
    billed = sum((item.get("action") or {}).get("type", "search") == "search" for item in searches)
    places = [item.get("environment") if item.get("type") == "shell_call" else item for item in items]
    containers = {place["container_id"] for place in places if place and place.get("container_id")}
    fees = WEB_SEARCH_USD * billed + FILE_SEARCH_USD * kinds.count("file_search_call")
    if "-search-preview" in (exchange.model or ""):
        fees += SEARCH_PREVIEW_USD
    return fees + CONTAINER_USD * len(containers)
