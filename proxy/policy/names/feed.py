"""Reading OpenRouter's /models and the shipped lists, which have its shape; refusing a broken feed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.names.catalogue import MODES, TAKES, Catalogue, Model, is_name

# A feed is refused when it lists fewer models than this, or less than this share of what the last one listed.
FEWEST_MODELS = 50
SMALLEST_SHARE = 0.95
# A price may move tenfold between two feeds; a few models may do worse (a free offer ends), many may not.
WIDEST_CHANGE = 10
SHARE_OF_ODD_PRICES = 0.02

# OpenRouter's words (wire.md 1.12) -> ours.
_PARAMETERS = {
    "tools": "tools",
    "structured_outputs": "json_schema",
    "reasoning": "reasoning",
    "include_reasoning": "reasoning",
    "web_search_options": "web_search",
}
_INPUTS = {"image": "pictures", "file": "files", "audio": "audio", "video": "video"}
_OUTPUTS = {
    "text": "chat",
    "image": "image",
    "embeddings": "embedding",
    "speech": "speech",
    "transcription": "transcription",
    "rerank": "rerank",
    "video": "video",
}
OPENROUTERS_LIST = "OpenRouter's list"


class _Feed(Struct):
    """The envelope of /models."""

    data: list[msgspec.Raw]
    source: object = None


class _Entry(Struct):
    """One member of `data`, before anything in it is believed; from `max_output` on as only shipped lists have it."""

    id: Any = None
    canonical_slug: Any = None
    name: Any = None
    created: Any = None
    context_length: Any = None
    top_provider: Any = None
    pricing: Any = None
    architecture: Any = None
    supported_parameters: Any = None
    expiration_date: Any = None
    max_output: Any = None
    modes: Any = None
    takes: Any = None
    sources: Any = None
    aliases: Any = None
    page: Any = None


class _Source(Struct):
    """The head of a shipped list: the packages it was made from and when, and the pages they name."""

    made: str
    packages: list[dict[str, str]] = []
    pages: list[str] = []


_FEED = msgspec.json.Decoder(_Feed)
_ENTRY = msgspec.json.Decoder(_Entry, float_hook=Decimal)


def read_feed(data: bytes) -> Catalogue:
    """Read /models, the copy of it on disk or the snapshot; a ValueError says what is wrong with it.

    An entry that makes no sense is left out; what is wrong with the feed as a whole is `accept`'s.
    """
    try:
        feed = _FEED.decode(data)
        source = None if feed.source is None else msgspec.convert(feed.source, _Source)
        models = [model for raw in feed.data if (model := _read_entry(raw, source)) is not None]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(f"the model list is not what OpenRouter's /models answers: {problem}") from problem
    if not models:
        raise ValueError("the model list names no models")
    return Catalogue(models, is_snapshot=feed.source is not None)


def _read_entry(raw: msgspec.Raw, source: _Source | None) -> Model | None:
    """Believe what has the right type; without an id that can stand in a request there is no model."""
    try:
        entry = _ENTRY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation):
        return None
    if not isinstance(entry.id, str) or not is_name(entry.id):
        return None
    slug, name, top = entry.canonical_slug, entry.name, entry.top_provider
    model = Model(
        id=entry.id,
        canonical_slug=slug if isinstance(slug, str) and is_name(slug) else entry.id,
        name=name if isinstance(name, str) and name else entry.id,
        created=_tokens(entry.created) or 0,
        context_length=_tokens(entry.context_length),
        max_output=_tokens(top.get("max_completion_tokens")) if isinstance(top, dict) else None,
        pricing=entry.pricing if isinstance(entry.pricing, dict) else {},
        expires=entry.expiration_date if isinstance(entry.expiration_date, str) else None,
    )
    try:
        return _as_fetched(model, entry) if source is None else _as_shipped(model, entry, source)
    except (AttributeError, IndexError, KeyError, TypeError):  # a feed that says it was shipped, and was not
        return None


def _as_fetched(model: Model, entry: _Entry) -> Model:
    """What OpenRouter says beside prices and sizes."""
    built = entry.architecture if isinstance(entry.architecture, dict) else {}
    takes = {_PARAMETERS.get(word) for word in _words(entry.supported_parameters)}
    takes |= {_INPUTS.get(word) for word in _words(built.get("input_modalities"))}
    takes |= {"prompt_caching"} if "input_cache_read" in model.pricing else set()
    modes = {_OUTPUTS.get(word) for word in _words(built.get("output_modalities"))}
    model = msgspec.structs.replace(
        model, takes=tuple(t for t in TAKES if t in takes), modes=tuple(m for m in MODES if m in modes)
    )
    facts = [name for name in ("pricing", "context_length", "max_output", "modes", "takes") if getattr(model, name)]
    return msgspec.structs.replace(model, sources={OPENROUTERS_LIST: tuple(facts)})


def _as_shipped(model: Model, entry: _Entry, source: _Source) -> Model:
    """What our own generator wrote: it is believed."""
    said = entry.sources or {}
    return msgspec.structs.replace(
        model,
        max_output=entry.max_output,
        modes=tuple(entry.modes or ()),
        takes=tuple(entry.takes or ()),
        sources={title: tuple(said[name]) for name, title in _titles(source) if name in said},
        aliases=tuple(entry.aliases or ()),
        page=None if entry.page is None else source.pages[entry.page],
    )


def _titles(source: _Source) -> Iterator[tuple[str, str]]:
    """Each package's name, and with its version and day."""
    for package in source.packages:
        yield package["package"], f"{package['package']} {package['version']}, {source.made}"


def _words(value: object) -> Iterator[str]:
    for word in value if isinstance(value, list) else ():
        if isinstance(word, str):
            yield word


def _tokens(value: object) -> int | None:
    """Return a positive whole number, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def accept(old: Catalogue, new: Catalogue) -> str | None:
    """Say why the old catalogue is to be kept, or None if the new one may take its place.

    The snapshot also lists models long retired, so its length says nothing about a feed's.
    """
    count, before = len(new.models), len(old.models)
    if count < FEWEST_MODELS:
        return f"it lists {count} models, fewer than {FEWEST_MODELS}"
    if not old.is_snapshot and count < before * SMALLEST_SHARE:
        return f"it lists {count} models where the last one listed {before}"
    positive = sum(_price(model, "completion") > 0 or _price(model, "prompt") > 0 for model in new.models)
    if positive < count / 2:
        return f"{count - positive} of its {count} models have no price above zero"
    shared = [(model, known) for model in new.models if (known := old.get(model.id)) is not None]
    odd = sum(_is_odd(known, model) for model, known in shared)
    if odd > max(3, len(shared) * SHARE_OF_ODD_PRICES):
        return f"{odd} of {len(shared)} prices vanished or moved more than {WIDEST_CHANGE} times"
    return None


def _is_odd(old: Model, new: Model) -> bool:
    """Whether a price known before is gone, or moved further than prices do."""
    for key in ("prompt", "completion"):
        before, now = _price(old, key), _price(new, key)
        if before > 0 and not before <= now * WIDEST_CHANGE <= before * WIDEST_CHANGE**2:
            return True
    return False


def price_of(model: Model, key: str) -> Decimal | None:
    """A base price in USD per token ("prompt", "completion"); None where the list has none that can be read."""
    price = _price(model, key)
    return None if price < 0 else price


def _price(model: Model, key: str) -> Decimal:
    """Return a base price, or -1 (the feed's own word for unknown) if there is none that can be read."""
    value = model.pricing.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return Decimal(-1)
    try:
        price = Decimal(value)
    except InvalidOperation:
        return Decimal(-1)
    return price if price.is_finite() else Decimal(-1)
