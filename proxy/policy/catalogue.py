"""The models OpenRouter lists: reading the feed, finding a model by any of its names, refusing a broken feed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

import msgspec
from msgspec import Struct

# What may follow a slug after a colon. Anything else there (Ollama's `llama3.2:3b`) is part of the name.
VARIANTS = frozenset(
    {"free", "nitro", "floor", "online", "thinking", "extended", "exacto", "batch", "beta"},
)

PRESET = "@preset/"

# A feed is refused when it lists fewer models than this, or less than this share of what the last one listed.
FEWEST_MODELS = 50
SMALLEST_SHARE = 0.95
# A price may move tenfold between two feeds; a few models may do worse (a free offer ends), many may not.
WIDEST_CHANGE = 10
SHARE_OF_ODD_PRICES = 0.02

# What a model does, and what it can be given, in the words of these lists.
MODES = (
    "chat",
    "completion",
    "responses",
    "embedding",
    "image",
    "speech",
    "transcription",
    "moderation",
    "rerank",
    "ocr",
    "search",
    "video",
    "realtime",
)
TAKES = (
    "tools",
    "pictures",
    "files",
    "audio",
    "video",
    "json_schema",
    "reasoning",
    "prompt_caching",
    "web_search",
)

_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")


class Model(Struct, frozen=True):
    """One entry of the catalogue. Limits in tokens, None where the feed does not say.

    `pricing` is the feed's member as it came (USD per unit; decimal strings, "-1" for unknown,
    numbers as int or Decimal, `overrides` as a list): read by the price rules, when asked.
    `modes` is what it does (of MODES), `takes` what it can be given (of TAKES). `sources` names what each source said.
    """

    id: str
    canonical_slug: str
    name: str
    created: int = 0
    context_length: int | None = None
    max_output: int | None = None
    pricing: Mapping[str, object] = {}
    modes: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = {}


class Catalogue:
    """Models in the feed's order, found by id, permanent slug or bare slug."""

    __slots__ = ("_by_name", "_by_slug", "authors", "is_snapshot", "models")

    def __init__(self, models: Iterable[Model], *, is_snapshot: bool = False) -> None:
        """Index `models`; where two claim a name, an id beats a permanent slug and the first beats the rest."""
        self.models = tuple(models)
        self.is_snapshot = is_snapshot
        self._by_name: dict[str, Model] = {}
        for model in self.models:
            self._by_name.setdefault(model.id, model)
        for model in self.models:
            self._by_name.setdefault(model.canonical_slug, model)
        self._by_slug: dict[str, list[Model]] = {}
        for name, model in self._by_name.items():
            if "/" in name and not name.startswith("~"):
                self._by_slug.setdefault(name.partition("/")[2], []).append(model)
        self.authors = frozenset(model.id.partition("/")[0].lstrip("~") for model in self.models if "/" in model.id)

    def get(self, name: str) -> Model | None:
        """Return the model with exactly this id or permanent slug."""
        return self._by_name.get(name)

    def by_slug(self, slug: str) -> Sequence[Model]:
        """Return the models whose id or permanent slug is `slug` after the author."""
        return self._by_slug.get(slug, ())

    def find(self, name: str) -> Model | None:
        """Return the model `name` means, for its price and limits: a variant or preset or date
        that is not listed falls back to the model without it, a bare name to its only owner."""
        plain = name.partition(PRESET)[0]
        for attempt in (plain, split_variant(plain)[0], _DATE.sub("", split_variant(plain)[0])):
            if (model := self._by_name.get(attempt)) is not None:
                return model
            if len(owners := {owner.id: owner for owner in self.by_slug(attempt)}) == 1:
                return next(iter(owners.values()))
        return None

    def near(self, name: str) -> list[str]:
        """Return the ids that look most like `name`."""
        return closest(name, (model.id for model in self.models))


def split_variant(name: str) -> tuple[str, str]:
    """Split `author/slug:nitro` into the model and `:nitro`; an unknown suffix is part of the name."""
    plain, colon, variant = name.rpartition(":")
    if plain and variant in VARIANTS:
        return plain, colon + variant
    return name, ""


def closest(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the three candidates most like `name`, best first, leaving out what is not alike.

    Likeness is the share of common letter pairs. A bare name is compared with the part after
    the slash, so that the author it lacks does not count against it.
    """
    wanted = name[:100].lower()
    is_bare = "/" not in wanted
    pairs = _letter_pairs(wanted)
    scored = []
    for candidate in dict.fromkeys(candidates):
        other = _letter_pairs(candidate.rpartition("/")[2] if is_bare else candidate)
        likeness = 2 * len(pairs & other) / (len(pairs) + len(other) or 1)
        if likeness >= 0.5:
            scored.append((-likeness, len(candidate), candidate))
    return [candidate for _, _, candidate in sorted(scored)[:3]]


def _letter_pairs(text: str) -> set[tuple[str, str]]:
    """Return every two letters that follow each other in `text`, its end included."""
    return set(pairwise(text + " "))


class _Feed(Struct):
    """The envelope of /models."""

    data: list[msgspec.Raw]
    source: object = None


class _Entry(Struct):
    """One member of `data`, before anything in it is believed."""

    id: object = None
    canonical_slug: object = None
    name: object = None
    created: object = None
    context_length: object = None
    top_provider: object = None
    pricing: object = None


_FEED = msgspec.json.Decoder(_Feed)
_ENTRY = msgspec.json.Decoder(_Entry, float_hook=Decimal)


def read_feed(data: bytes) -> Catalogue:
    """Read /models, the copy of it on disk or the snapshot; a ValueError says what is wrong with it.

    An entry that makes no sense is left out; what is wrong with the feed as a whole is `accept`'s.
    """
    try:
        feed = _FEED.decode(data)
        models = [model for raw in feed.data if (model := _read_entry(raw)) is not None]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(f"the model list is not what OpenRouter's /models answers: {problem}") from problem
    if not models:
        raise ValueError("the model list names no models")
    return Catalogue(models, is_snapshot=feed.source is not None)


def _read_entry(raw: msgspec.Raw) -> Model | None:
    """Believe what has the right type; without an id that can stand in a request there is no model."""
    try:
        entry = _ENTRY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation):
        return None
    if not isinstance(entry.id, str) or not _is_name(entry.id):
        return None
    slug, name, top = entry.canonical_slug, entry.name, entry.top_provider
    return Model(
        id=entry.id,
        canonical_slug=slug if isinstance(slug, str) and _is_name(slug) else entry.id,
        name=name if isinstance(name, str) and name else entry.id,
        created=_tokens(entry.created) or 0,
        context_length=_tokens(entry.context_length),
        max_output=_tokens(top.get("max_completion_tokens")) if isinstance(top, dict) else None,
        pricing=entry.pricing if isinstance(entry.pricing, dict) else {},
    )


def _tokens(value: object) -> int | None:
    """Return a positive whole number, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def is_author_slug(name: str) -> bool:
    """Whether `name` is of the form `author/slug`, whatever letters it uses, preset aside."""
    author, _, slug = name.partition(PRESET)[0].partition("/")
    return bool(author.strip("~") and slug) and "/" not in slug and _is_name(name)


def _is_name(text: str) -> bool:
    """Whether a text may be a model's name at all; vendors' own lists have no author in it."""
    return bool(text) and text.isprintable() and " " not in text


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
