"""What one source says of a model, in the shape both sources are brought to before they are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_UP, Context, Decimal
from typing import TypeVar

# (min_prompt_tokens, utc_start, utc_end): when an override applies.
Condition = tuple[int | None, int | None, int | None]
# (member, value) of a reply: `service_tier`, `flex`.
Purpose = tuple[str, str]

K = TypeVar("K")

# Differences below this are roundings (0.111 USD an hour, given by the second).
SAME = Decimal("0.005")

# Prices of tokens, which go with the plain ones beside them.
TOKEN_KEYS = frozenset(
    """prompt completion input_cache_read input_cache_write input_cache_write_1h internal_reasoning audio audio_output
    input_audio_cache image_token image_output input_image_cache""".split()
)

_DIGITS = Context(prec=12, rounding=ROUND_UP)


@dataclass
class Prices:
    """USD per unit by our keys; `overrides` by condition; `variants` by what they are for."""

    keys: dict[str, Decimal] = field(default_factory=dict)
    overrides: dict[Condition, dict[str, Decimal]] = field(default_factory=dict)
    variants: dict[Purpose, Prices] = field(default_factory=dict)
    factors: dict[Purpose, Decimal] = field(default_factory=dict)
    pictures: dict[str, Decimal] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.overrides or self.variants or self.factors or self.pictures)


@dataclass
class Row:
    """One model of one vendor, `main` being what the source calls it where this is another name of it. None and empty:
    the source does not say."""

    name: str | None = None
    context: int | None = None
    max_output: int | None = None
    modes: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    prices: Prices = field(default_factory=Prices)
    page: str | None = None
    main: str = ""


def differ(one: Decimal, other: Decimal) -> bool:
    """Whether two prices disagree by more than a rounding."""
    return abs(one - other) > SAME * max(one, other)


def merged(own: Prices, other: Prices) -> tuple[Prices, Prices, list[str]]:
    """What costs are counted by (`own` goes first), the dearer prices for holds, and where the two disagree, in words.

    Where they disagree about plain tokens, the other's prices of special ones do not belong to these.
    """
    cost, hold = Prices(), Prices()
    cost.keys, hold.keys, told = _merged_keys(own.keys, other.keys)
    if any(word.startswith(("prompt", "completion")) for word in told):
        cost.keys = {key: usd for key, usd in cost.keys.items() if key in own.keys or key not in TOKEN_KEYS}
        other = Prices(other.keys, factors=other.factors, pictures=other.pictures)
    _merge_overrides(own, other, (cost, hold, told))
    for purpose in dict.fromkeys([*own.variants, *other.variants]):
        empty = Prices()
        parts = merged(own.variants.get(purpose, empty), other.variants.get(purpose, empty))
        cost.variants[purpose] = parts[0]
        hold.variants |= {purpose: parts[1]} if parts[1] else {}
        told += [f"{purpose[1]} {word}" for word in parts[2]]
    cost.factors, hold.factors, _ = _merged_keys(own.factors, other.factors)
    cost.pictures, hold.pictures, words = _merged_keys(own.pictures, other.pictures)
    return cost, hold, told + [f"picture {word}" for word in words]


def _merge_overrides(own: Prices, other: Prices, into: tuple[Prices, Prices, list[str]]) -> None:
    cost, hold, told = into
    also = {_nearest(when, own.overrides): keys for when, keys in other.overrides.items()}
    for when in dict.fromkeys([*own.overrides, *also]):
        keys, dearer, words = _merged_keys(own.overrides.get(when, {}), also.get(when, {}))
        if when[0] is None:  # at some hours only: what costs as always is no news
            keys = {key: usd for key, usd in keys.items() if cost.keys.get(key) != usd}
        cost.overrides |= {when: keys} if keys else {}
        hold.overrides |= {when: dearer} if dearer else {}
        told += [f"{_words(when)} {word}" for word in words]


def _nearest(when: Condition, known: Iterable[Condition]) -> Condition:
    """The same length of prompt as another source spells it (200000, 199999)."""
    tokens = when[0]
    for condition in known if tokens is not None else ():
        if condition[0] is not None and condition[1:] == when[1:] and abs(condition[0] - (tokens or 0)) < 1000:
            return condition
    return when


def _merged_keys(
    own: dict[K, Decimal], other: dict[K, Decimal]
) -> tuple[dict[K, Decimal], dict[K, Decimal], list[str]]:
    dearer: dict[K, Decimal] = {}
    told: list[str] = []
    for key, usd in own.items():
        also = other.get(key)
        if also is not None and differ(usd, also):
            told.append(f"{key} {plain(usd)} or {plain(also)}")
            if also > usd:
                dearer[key] = also
    return {**other, **own}, dearer, told


def agree(one: Prices, other: Prices) -> bool:
    """Whether two prices may be of the same thing: nothing both name differs."""
    return all(not differ(one.keys[key], other.keys[key]) for key in one.keys.keys() & other.keys.keys())


def _words(condition: Condition) -> str:
    tokens, start, end = condition
    return f"above {tokens}" if tokens is not None else f"{start}-{end} UTC"


def plain(usd: Decimal) -> str:
    """In plain digits, and not more of them than anybody charges by."""
    return format(_DIGITS.plus(usd).normalize(), "f")


def without_repetitions(prices: Prices) -> Prices:
    """Variants without what they share with the base; a variant left with nothing is none."""
    variants = {}
    for purpose, variant in prices.variants.items():
        keys = {key: usd for key, usd in variant.keys.items() if prices.keys.get(key) != usd}
        overrides = {
            when: {
                key: usd for key, usd in row.items() if prices.overrides.get(when, {}).get(key) != usd or key in keys
            }
            for when, row in variant.overrides.items()
        }
        own = Prices(keys, {when: row for when, row in overrides.items() if row})
        if own:
            variants[purpose] = own
    return Prices(prices.keys, prices.overrides, variants, prices.factors, prices.pictures)


def as_json(prices: Prices) -> dict[str, object]:
    """In the words of the shipped lists."""
    found: dict[str, object] = {key: plain(usd) for key, usd in prices.keys.items()}
    if prices.overrides:
        found["overrides"] = list(_override_rows(prices.overrides))
    if prices.variants:
        found["variants"] = [{"when": dict([purpose]), **as_json(own)} for purpose, own in prices.variants.items()]
    if prices.factors:
        found["factors"] = [{"when": dict([purpose]), "times": plain(by)} for purpose, by in prices.factors.items()]
    if prices.pictures:
        found["pictures"] = {name: plain(usd) for name, usd in sorted(prices.pictures.items())}
    return found


def _override_rows(overrides: dict[Condition, dict[str, Decimal]]) -> Iterator[dict[str, object]]:
    for condition in sorted(overrides, key=lambda when: tuple(-1 if n is None else n for n in when)):
        named = zip(("min_prompt_tokens", "utc_start", "utc_end"), condition, strict=True)
        row: dict[str, object] = {name: value for name, value in named if value is not None}
        yield row | {key: plain(usd) for key, usd in overrides[condition].items()}
