"""What is new in a provider's list of models, told against what it was before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import price_of

Kind = Literal["new", "gone", "dearer", "cheaper", "deprecated"]
KINDS: tuple[Kind, ...] = ("new", "gone", "dearer", "cheaper", "deprecated")

# Where one of the two prices rises and the other falls, input counts so many times output.
_INPUT_WEIGHS = 3
_MILLION = Decimal(1_000_000)


class Listed(Struct, frozen=True):
    """One entry: USD per token (None: nobody says, or it depends), and the day on which it ends, if the list names one."""

    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    expires: str | None = None


class Change(Struct, frozen=True):
    """One difference. `before` and `after` are in words; `model` is the name in that provider's list."""

    kind: Kind
    provider: str
    model: str
    before: str = ""
    after: str = ""


Lists = Mapping[str, Listed]


def listed_of(catalogue: Catalogue) -> dict[str, Listed]:
    """A list of OpenRouter's shape."""
    return {
        model.id: Listed(price_of(model, "prompt"), price_of(model, "completion"), model.expires)
        for model in catalogue.models
    }


def compare(provider: str, before: Lists, now: Lists) -> list[Change]:
    """What differs, a change for each: what is new and gone first. One model may have two."""
    return [*_names(provider, before, now), *_terms(provider, before, now)]


def _names(provider: str, before: Lists, now: Lists) -> Iterator[Change]:
    for model in sorted(now.keys() - before.keys()):
        yield Change("new", provider, model, after=_price_text(now[model]))
    for model in sorted(before.keys() - now.keys()):
        yield Change("gone", provider, model, before=_price_text(before[model]))


def _terms(provider: str, before: Lists, now: Lists) -> Iterator[Change]:
    for model in sorted(before.keys() & now.keys()):
        was, became = before[model], now[model]
        moved = _moved(was, became)
        if moved:
            kind: Kind = "dearer" if moved > 0 else "cheaper"
            yield Change(kind, provider, model, _price_text(was), _price_text(became))
        if became.expires is not None and became.expires != was.expires:
            yield Change("deprecated", provider, model, after=f"ends {became.expires}")


def _moved(was: Listed, became: Listed) -> Decimal:
    """Above zero where it costs more. A price that nobody knows is no change."""
    if None in (was.input_usd, was.output_usd, became.input_usd, became.output_usd):
        return Decimal(0)
    return _weighed(became) - _weighed(was)


def _weighed(listed: Listed) -> Decimal:
    return (listed.input_usd or Decimal(0)) * _INPUT_WEIGHS + (listed.output_usd or Decimal(0))


def _price_text(listed: Listed) -> str:
    """USD per million tokens, as far as there is a price."""
    if listed.input_usd is None or listed.output_usd is None:
        return ""
    return f"{_per_million(listed.input_usd)} in, {_per_million(listed.output_usd)} out"


def _per_million(usd: Decimal) -> str:
    return f"{(usd * _MILLION).normalize():f}"


def counted(kinds: Iterable[str]) -> str:
    """How many of each: "3 new, 1 dearer"; "nothing new" where there are none."""
    found = list(kinds)
    return ", ".join(f"{found.count(kind)} {kind}" for kind in KINDS if kind in found) or "nothing new"
