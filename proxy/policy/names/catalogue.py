"""Lists of models, OpenRouter's and the vendors' own: finding a model by any of its names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

# What may follow a slug after a colon. Anything else there (Ollama's `llama3.2:3b`) is part of the name.
VARIANTS = frozenset(
    {"free", "nitro", "floor", "online", "thinking", "extended", "exacto", "batch", "beta"},
)

PRESET = "@preset/"

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

_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{4})$")


class Model(Struct, frozen=True):
    """One entry of a list, also known by its `aliases`. Limits in tokens, None where the list does not say.

    `pricing` is the feed's member as it came (USD per unit; decimal strings, "-1" for unknown,
    numbers as int or Decimal, `overrides` as a list): read by the price rules, when asked.
    `modes` is what it does (of MODES), `takes` what it can be given (of TAKES). `sources` is which facts come from where:
    "pricing" for all of it, else its keys. `page` is where the vendor says so. `expires` is the day from which on the
    list promises nothing.
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
    aliases: tuple[str, ...] = ()
    page: str | None = None
    expires: str | None = None


class Catalogue:
    """Models in the list's order, found by id, permanent slug, alias or bare slug."""

    __slots__ = ("_by_name", "_by_slug", "_dated", "authors", "is_snapshot", "models")

    def __init__(self, models: Iterable[Model], *, is_snapshot: bool = False) -> None:
        """Index `models`; where two claim a name, an id beats any other and the first beats the rest."""
        self.models = tuple(models)
        self.is_snapshot = is_snapshot
        self._by_name: dict[str, Model] = {}
        for model in self.models:
            self._by_name.setdefault(model.id, model)
        for model in self.models:
            for name in (model.canonical_slug, *model.aliases):
                self._by_name.setdefault(name, model)
        self._by_slug: dict[str, list[Model]] = {}
        for name, model in self._by_name.items():
            if "/" in name and not name.startswith("~"):
                self._by_slug.setdefault(name.partition("/")[2], []).append(model)
        self._dated: dict[str, str] = {}
        self.authors = frozenset(model.id.partition("/")[0].lstrip("~") for model in self.models if "/" in model.id)

    def get(self, name: str) -> Model | None:
        """Return the model with exactly this id, permanent slug or alias."""
        return self._by_name.get(name)

    def by_slug(self, slug: str) -> Sequence[Model]:
        """Return the models whose id or permanent slug is `slug` after the author."""
        return self._by_slug.get(slug, ())

    def find(self, name: str) -> Model | None:
        """Return the model `name` means, for its price and limits: a variant, preset, fine-tune or date that is not
        listed falls back to the model without it, `-latest` to the plain name and a plain name to either or to its
        newest date, a bare name to its only owner."""
        plain = name.partition(PRESET)[0]
        bare = without_tuning(split_variant(plain)[0])
        latest = bare.removesuffix("-latest")
        for attempt in dict.fromkeys((plain, split_variant(plain)[0], bare, undated(bare), latest, f"{bare}-latest")):
            if (model := self._by_name.get(attempt)) is not None:
                return model
            if len(owners := {owner.id: owner for owner in self.by_slug(attempt)}) == 1:
                return next(iter(owners.values()))
        return self._by_name.get(self._newest().get(undated(latest), ""))

    def near(self, name: str) -> list[str]:
        """Return the ids that look most like `name`."""
        return closest(name, (model.id for model in self.models))

    def _newest(self) -> dict[str, str]:
        """Plain names to the newest dated name of the same model; made when it is first asked for."""
        if not self._dated:
            self._dated = {undated(name): name for name in sorted(self._by_name) if undated(name) != name}
        return self._dated


def undated(name: str) -> str:
    """Return a name without the date it ends in (2025-08-07, 20250807, 08-2025, 0807)."""
    return _DATE.sub("", name)


def without_tuning(name: str) -> str:
    """Return `ft:gpt-4o` for `ft:gpt-4o:org::id`: fine-tunes of one model cost the same."""
    return ":".join(name.split(":")[:2]) if name.startswith("ft:") else name


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


def is_author_slug(name: str) -> bool:
    """Whether `name` is of the form `author/slug`, whatever letters it uses, preset aside."""
    author, _, slug = name.partition(PRESET)[0].partition("/")
    return bool(author.strip("~") and slug) and "/" not in slug and is_name(name)


def is_name(text: str) -> bool:
    """Whether a text may be a model's name at all; vendors' own lists have no author in it."""
    return bool(text) and text.isprintable() and " " not in text
