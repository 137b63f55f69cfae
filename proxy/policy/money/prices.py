"""What a model costs: a price in USD per unit, by the size of a call, the time of day and the tier of service."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

_IN_BATCH = Decimal("0.5")
_ZERO = Decimal(0)
# What is charged by the token, and so moves with a factor.
TOKEN_FIELDS = (
    "input_usd",
    "output_usd",
    "cached_input_usd",
    "cache_write_usd",
    "cache_write_1h_usd",
    "reasoning_usd",
    "audio_input_usd",
    "audio_output_usd",
    "cached_audio_usd",
    "image_input_usd",
    "image_output_usd",
    "cached_image_usd",
)
# A field of `Price` -> what it is called, and of what it is the price where that is no token.
PIECES = {
    "character_usd": "million characters",
    "image_usd": "picture read",
    "request_usd": "call",
    "web_search_usd": "search",
    "web_search_low_usd": "search",
    "web_search_high_usd": "search",
    "web_search_preview_usd": "search",
    "file_search_usd": "search",
    "code_session_usd": "session",
    "page_usd": "page",
    "audio_second_usd": "second heard",
    "output_second_usd": "second made",
}
FIELDS = (*TOKEN_FIELDS, *PIECES)


class Override(Struct, frozen=True):
    """Prices that replace others for prompts above `min_prompt_tokens`, or between two times of day
    (UTC, HHMM, half-open, past midnight where the end is the smaller).

    One with a condition nobody here understands is never applied, but bounds count it.
    """

    prices: tuple[tuple[str, Decimal], ...]
    min_prompt_tokens: int | None = None
    utc_start: int | None = None
    utc_end: int | None = None
    understood: bool = True

    def applies(self, prompt_tokens: int, hhmm: int) -> bool:
        """Whether a call of this size at this time pays these prices."""
        if not self.understood or not self.reaches(prompt_tokens):
            return False
        start, end = self.utc_start or 0, 2400 if self.utc_end is None else self.utc_end
        return start <= hhmm < end if start <= end else hhmm >= start or hhmm < end

    def times(self, factor: Decimal) -> Override:
        """The same with its prices of tokens multiplied."""
        prices = tuple((name, usd * factor if name in TOKEN_FIELDS else usd) for name, usd in self.prices)
        return msgspec.structs.replace(self, prices=prices)

    def reaches(self, prompt_tokens: int) -> bool:
        """Whether the prompt is long enough, whatever the time."""
        return self.min_prompt_tokens is None or prompt_tokens > self.min_prompt_tokens


class PictureLine(Struct, frozen=True):
    """What one picture made costs, as OpenRouter's images API prices it: by the picture, or by its megapixels. `variant` is
    the resolution or quality the line is for ("2k", "medium_1k", "high_resolution"), "" for any."""

    unit: Literal["image", "megapixel"]
    usd: Decimal
    variant: str = ""


class Price(Struct, frozen=True):
    """USD per unit: a token where the name says no other. None: not charged separately.

    `image_usd` is per input image; `character_usd` per character read aloud, `audio_second_usd` per second heard,
    `output_second_usd` per second of sound or film made, where there is no price per token; `page_usd` per page of a
    document. `web_search_usd` is per search of medium context, `web_search_low_usd` and `web_search_high_usd` where
    the others cost otherwise, `web_search_preview_usd` where the tool of that name does; `code_session_usd` per container of a code interpreter. `pictures` are prices of
    one picture made, as (quality, size, USD), "" standing for any. `doubles_hour_writes`: an hour in the cache costs
    twice the input where no price says so. `makes_images`: the model's output may be images.
    `variants` are the prices of other service tiers, as (member, value, price), `factors` what others multiply
    prices of tokens by. `picture_lines` are what pictures cost that are not priced by the token, at every host of the model.
    `hold` is what holds are taken at
    where sources disagree, the dearer of each; None where they do not.
    """

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    cache_write_1h_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None
    audio_input_usd: Decimal | None = None
    audio_output_usd: Decimal | None = None
    image_input_usd: Decimal | None = None
    image_output_usd: Decimal | None = None
    image_usd: Decimal | None = None
    request_usd: Decimal | None = None
    web_search_usd: Decimal | None = None
    file_search_usd: Decimal | None = None
    character_usd: Decimal | None = None
    audio_second_usd: Decimal | None = None
    output_second_usd: Decimal | None = None
    page_usd: Decimal | None = None
    cached_audio_usd: Decimal | None = None
    cached_image_usd: Decimal | None = None
    web_search_low_usd: Decimal | None = None
    web_search_high_usd: Decimal | None = None
    web_search_preview_usd: Decimal | None = None
    code_session_usd: Decimal | None = None
    pictures: tuple[tuple[str, str, Decimal], ...] = ()
    picture_lines: tuple[PictureLine, ...] = ()
    doubles_hour_writes: bool = False
    makes_images: bool = False
    overrides: tuple[Override, ...] = ()
    variants: tuple[tuple[str, str, Price], ...] = ()
    factors: tuple[tuple[str, str, Decimal], ...] = ()
    hold: Price | None = None

    @property
    def is_by_picture(self) -> bool:
        """Whether pictures are charged one by one, and not by what they come to in tokens."""
        return self.image_output_usd is None and bool(self.picture_lines or self.pictures)

    def for_holds(self) -> Price:
        """The price a bound is taken at: the dearer one where sources disagree."""
        return self if self.hold is None else self.hold

    def search_usd(self, context: str = "medium") -> Decimal | None:
        """A web search by the size of its context ("low", "medium", "high")."""
        sized = {"low": self.web_search_low_usd, "high": self.web_search_high_usd}.get(context)
        return self.web_search_usd if sized is None else sized

    def preview_search_usd(self) -> Decimal | None:
        """A web search by the tool `web_search_preview`."""
        return self.web_search_usd if self.web_search_preview_usd is None else self.web_search_preview_usd

    def search_fees(self, *, previews: bool) -> list[Decimal]:
        """What a web search may cost, whatever the size of its context; empty where no list says. `previews`: it may be one by
        `web_search_preview`."""
        fees = [self.web_search_usd, self.web_search_low_usd, self.web_search_high_usd]
        return [usd for usd in (*fees, *[self.web_search_preview_usd] * previews) if usd is not None]

    def picture_usd(self, quality: str = "", size: str = "") -> Decimal | None:
        """One picture of a quality and size; the dearest that may be meant where either is not said ("", "auto")."""
        wanted = ("" if quality == "auto" else quality, "" if size == "auto" else size)
        for fits in (_is_exactly, _may_be):
            found = [usd for *names, usd in self.pictures if all(map(fits, names, wanted))]
            if found:
                return max(found)
        return None

    def at(self, prompt_tokens: int, hhmm: int) -> Price:
        """The price of a call of this size at this time; later overrides win."""
        changes: dict[str, Decimal] = {}
        for override in self.overrides:
            if override.applies(prompt_tokens, hhmm):
                changes.update(override.prices)
        return msgspec.structs.replace(self, **changes) if changes else self

    def under(self, member: str, value: str) -> Price:
        """The price where the call was served with `member` set so (`service_tier`: `priority`); as usual where no
        list has another."""
        for name, text, price in self.variants:
            if (name, text) == (member, value):
                return price
        for name, text, factor in self.factors:
            if (name, text) == (member, value):
                return self.times(factor)
        return self

    def in_batch(self) -> Price:
        """The price in a provider's own batch: its list's, else half, as providers have it (wire.md 5)."""
        listed = self.under("service_tier", "batch")
        return self.times(_IN_BATCH) if listed is self else listed

    def times(self, factor: Decimal) -> Price:
        """Every price of a token multiplied, in every tier; fees stay."""
        tokens = {name: usd * factor for name in TOKEN_FIELDS if (usd := getattr(self, name)) is not None}
        overrides = tuple(override.times(factor) for override in self.overrides)
        variants = tuple((member, value, price.times(factor)) for member, value, price in self.variants)
        hold = None if self.hold is None else self.hold.times(factor)
        return msgspec.structs.replace(self, **tokens, overrides=overrides, variants=variants, hold=hold)

    def write_1h_usd(self) -> Decimal:
        """A token written to the cache for an hour or longer: OpenAI's twelve cost twice the half hour that it lists."""
        if self.cache_write_1h_usd is not None:
            return self.cache_write_1h_usd
        if self.doubles_hour_writes:
            return 2 * self.input_usd
        return self.input_usd if self.cache_write_usd is None else 2 * self.cache_write_usd


FREE_OF_CHARGE = Price(_ZERO, _ZERO)


def _is_exactly(listed: str, wanted: str) -> bool:
    return listed == wanted and bool(wanted)


def _may_be(listed: str, wanted: str) -> bool:
    return "" in (listed, wanted) or listed == wanted


def either(price: Decimal | None, otherwise: Decimal) -> Decimal:
    """The price, or what is paid where there is no separate one."""
    return otherwise if price is None else price
