"""What one picture comes to: the output tokens of its area and quality, or a price by the picture or the megapixel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from proxy.policy.money.counts import count
from proxy.policy.money.prices import PictureLine, Price

# Output tokens of a picture of 1024 x 1024 at the highest quality, and of the smallest one.
TOKENS_PER_PICTURE = 7_100
FEWEST_PICTURE_TOKENS = 1_300
TOKENS_PER_PARTIAL_PICTURE = 100
# Side of a square picture in pixels, by the resolution's name.
TIERS = {"512": 512, "768": 768, "1K": 1024, "1.5K": 1536, "2K": 2048, "4K": 4096}

_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_RESOLUTIONS = {"512": 1, "1k": 1, "2k": 4, "4k": 16}
_QUALITIES = {"low": 10, "medium": 3}
_QUALITY_WORDS = frozenset({"low", "medium", "high", "xhigh", "max", "standard", "hd"})
# What hosts call resolutions above this many pixels a side, and the most megapixels they draw where none can be asked for
# (Black Forest Labs: 4 MP); a begun one counts as a whole one.
_HIGH_RESOLUTION = 1536
_MOST_MEGAPIXELS = 5
_MEGA = Decimal(10**6)
# A little above the square's side, so that what is asked for in full HD and 4K is not drawn smaller.
_NUDGE = 1.02
_FURTHEST = 1.5

# Output tokens of one picture as their makers state them (OpenAI's image guide; Google's Gemini pricing page), by what stands
# in the model's name, the first that does: by quality for a square one, or by resolution.
_USUAL_TOKENS: tuple[tuple[str, dict[str, int]], ...] = (
    ("gpt-image-2", {"low": 200, "medium": 1_767, "high": 7_033}),
    ("gpt-image", {"low": 272, "medium": 1_056, "high": 4_160}),
    ("gemini-3-pro-image", {"1K": 1_120, "2K": 1_120, "4K": 2_000}),
    ("gemini-3.1-flash", {"512": 747, "1K": 1_120, "2K": 1_680, "4K": 2_520}),
    ("gemini-2.5-flash-image", {"1K": 1_290}),
)


class Picture(Struct, frozen=True):
    """One picture as it is asked for: "" and None where nobody says, or leaves it to the model. `tier` is its resolution,
    asked for or nearest to the `size` in pixels."""

    quality: str = ""
    tier: str = ""
    size: str = ""
    pixels: int | None = None


class Spread(Struct, frozen=True):
    """USD of one picture: the least and most it may come to, and what it likely does."""

    low: Decimal
    expected: Decimal
    high: Decimal


def picture_tokens(members: Mapping[str, Any]) -> int:
    """What one picture may come to, as its `size`, `resolution`, `quality` and `partial_images` have it."""
    size, resolution = str(members.get("size") or "auto").lower(), str(members.get("resolution") or "1k").lower()
    area = TOKENS_PER_PICTURE * 3 // 2 * _RESOLUTIONS.get(resolution, 16)
    if match := _SIZE.fullmatch(size):
        area = -(-int(match[1]) * int(match[2]) * TOKENS_PER_PICTURE // 2**20)
    elif size != "auto":
        area = TOKENS_PER_PICTURE * 24
    quality = _QUALITIES.get(str(members.get("quality")).lower(), 1)
    partial = count(members.get("partial_images")) or 1
    return max(-(-area // quality), FEWEST_PICTURE_TOKENS) + partial * TOKENS_PER_PARTIAL_PICTURE


def picture_of(members: Mapping[str, Any]) -> Picture:
    """The picture that `size`, `resolution` and `quality` ask for; `size` may be pixels or a resolution."""
    quality, size = _word(members.get("quality")).lower(), _word(members.get("size"))
    found = pixels_of(size)
    tier = _word(members.get("resolution")) or ("" if found else size)
    if found and not tier:
        tier = tier_of(found, TIERS)[0]
    return Picture(quality, tier.upper(), size, found[0] * found[1] if found else None)


def pixels_of(size: str) -> tuple[int, int] | None:
    """Width and height of a size such as 1024x1536; None where it is none."""
    match = _SIZE.fullmatch(size.lower())
    return (int(match[1]), int(match[2])) if match and int(match[1]) and int(match[2]) else None


def tier_of(pixels: tuple[int, int], tiers: Iterable[str]) -> tuple[str, bool]:
    """The resolution nearest to a picture of these pixels, and whether it is near; ("", False) where there is none."""
    side = math.sqrt(pixels[0] * pixels[1]) * _NUDGE
    known = [tier for tier in tiers if tier in TIERS]
    if not known:
        return "", False
    nearest = min(known, key=lambda tier: abs(math.log(side / TIERS[tier])))
    return nearest, 1 / _FURTHEST < side / TIERS[nearest] < _FURTHEST


def spread_of(price: Price, picture: Picture, model: str, most_tokens: int) -> Spread | None:
    """What one picture costs at a price, without what it is made from; None where nobody says. `most_tokens` bounds its
    output tokens."""
    found = [spread for spread in (by_picture(price, picture),) if spread is not None]
    if price.image_output_usd is not None:
        usd = price.image_output_usd
        low, expected = (min(tokens, most_tokens) * usd for tokens in usual_tokens(model, picture))
        found.append(Spread(low, expected, most_tokens * usd))
    if not found:
        return None
    return Spread(min(s.low for s in found), found[0].expected, max(s.high for s in found))


def by_picture(price: Price, picture: Picture) -> Spread | None:
    """What one picture costs where it is priced as one, or by its megapixels; None where it is not."""
    found = [_by_line(line, picture) for line in _meant(price.picture_lines, picture)]
    if not found and price.image_output_usd is None:
        each = price.picture_usd(picture.quality, picture.size)
        found = [] if each is None else [Spread(each, each, each)]
    if not found:
        return None
    return Spread(min(s.low for s in found), found[0].expected, max(s.high for s in found))


def usual_tokens(model: str, picture: Picture) -> tuple[int, int]:
    """The fewest output tokens such a picture comes to, and what it usually does."""
    table = next((table for part, table in _USUAL_TOKENS if part in model), None)
    if table is None:
        return FEWEST_PICTURE_TOKENS, FEWEST_PICTURE_TOKENS
    area = (picture.pixels or TIERS["1K"] ** 2) / TIERS["1K"] ** 2 if "low" in table else 1.0
    asked = table.get(picture.quality) or table.get(picture.tier)
    if asked is None:
        usual = table.get("medium") or table.get("1K") or FEWEST_PICTURE_TOKENS
        return round(min(table.values()) * area), round(usual * area)
    return round(asked * area), round(asked * area)


def _meant(lines: tuple[PictureLine, ...], picture: Picture) -> list[PictureLine]:
    """The lines that may be charged, the likeliest first: those for just this; else all that it may be, among them those
    for any."""
    exact = [line for line in lines if line.variant and _fits(line.variant, picture) == "is"]
    if exact:
        return exact
    maybe = [line for line in lines if not line.variant or _fits(line.variant, picture) == "may be"]
    usual = Picture(picture.quality or "medium", picture.tier or "1K")
    return sorted(maybe, key=lambda line: bool(line.variant) and _fits(line.variant, usual) != "is")


def _fits(variant: str, picture: Picture) -> str:
    """Whether a line's variant "is" what is asked for, "may be", or "is not"."""
    if variant == "high_resolution":
        if not picture.tier:
            return "may be"
        return "is" if TIERS.get(picture.tier, _HIGH_RESOLUTION) >= _HIGH_RESOLUTION else "is not"
    verdicts = set()
    for word in variant.split("_"):
        asked = picture.quality if word in _QUALITY_WORDS else picture.tier.lower()
        is_known = word in _QUALITY_WORDS or word.upper() in TIERS
        verdicts.add("may be" if not asked or not is_known else "is" if asked == word else "is not")
    return next(verdict for verdict in ("is not", "may be", "is") if verdict in verdicts)


def _by_line(line: PictureLine, picture: Picture) -> Spread:
    if line.unit == "image":
        return Spread(line.usd, line.usd, line.usd)
    tier = TIERS.get(picture.tier)
    side = tier or TIERS["1K"]
    megapixels = Decimal(picture.pixels or side**2) / _MEGA
    most = math.ceil(megapixels) + 1 if tier else _MOST_MEGAPIXELS
    return Spread(line.usd * megapixels, line.usd * megapixels, line.usd * max(most, math.ceil(megapixels)))


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.lower() != "auto" else ""
