"""How good models are said to be: a dated table of published results, each with its source."""

from __future__ import annotations

from msgspec import Struct

from proxy.policy.names.catalogue import split_variant, undated


class Source(Struct, frozen=True):
    """Where figures come from: the benchmark, its page, its licence, the day it was read. `figures` are by slug without
    author, `low` and `high` what stands for 0 and 1."""

    title: str
    page: str
    licence: str
    read: str
    low: float
    high: float
    figures: dict[str, float]


UNKNOWN = 0.4


class Quality:
    """The first source that has a model speaks for it."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._found: dict[str, tuple[float, str]] = {}
        for source in sources:
            for slug, figure in source.figures.items():
                part = min(1.0, max(0.0, (figure - source.low) / (source.high - source.low)))
                self._found.setdefault(slug, (round(part, 3), f"{source.title}, {source.read}: {figure:g}"))

    def of(self, slug: str) -> tuple[float, str]:
        """0 to 1, and in words who says so; "" where nobody does."""
        plain = split_variant(slug.rpartition("/")[2])[0].lower()
        for name in (plain, undated(plain), plain.removesuffix("-latest")):
            if name in self._found:
                return self._found[name]
        return UNKNOWN, ""
