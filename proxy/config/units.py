"""Sizes, durations and money as people write them. Errors are sentences that never hold the value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Self

from proxy.policy.money.alerts import percent_text

SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([a-z]{0,3})", re.IGNORECASE | re.ASCII)
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_SIZE_SENTENCE = "must be a size such as 64MiB (B, KB, MB, GB, KiB, MiB, GiB) or a whole number of bytes"
_DURATION_SENTENCE = "must be a duration such as 30s, 6h or 400d (ms, s, m, h, d, w), or a number of seconds"
_MONEY_SENTENCE = "must be an amount in US dollars such as 5 or 0.25"
_RATIO_SENTENCE = "must be a number above 0 and at most 1"
_PERCENT = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,2})?) ?%", re.ASCII)
_PERCENT_SENTENCE = "must be a part in percent such as 80% or 62.5%, above 0% and at most 1000%"
_MOST_PERCENT = 1000
MOST_BYTES = 2**50
LONGEST_SECONDS = 100 * 365.25 * 86400
LONGEST_AMOUNT = 40
SMALLEST_DIGIT, LARGEST_DIGIT = -18, 12  # powers of ten of a dollar


class WrittenFloat(float):
    """A float that remembers its digits, so that money never passes through binary fractions."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> Self:
        """Read `text` as Python does, and keep it."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


def size_bytes(value: object) -> int:
    """Read `64MiB` or a plain number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        unit = SIZE_UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise ValueError(_SIZE_SENTENCE)
        size = int(Decimal(match[1]) * unit)
    if not 0 < size <= MOST_BYTES:
        raise ValueError("must be more than 0 bytes and at most 1 PiB")
    return size


def duration_seconds(value: object) -> float:
    """Read `6h`, `1h30m`, or a plain number of seconds; never negative, at most a hundred years."""
    seconds = _seconds(value)
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError("must be a duration of at most a hundred years")
    return seconds


def duration_from_now(value: object) -> float:
    """The same of how long something goes on, which is not over as it begins."""
    seconds = duration_seconds(value)
    if not seconds:
        raise ValueError("must be longer than nothing")
    return seconds


def duration_within(value: object, least: float, most: float) -> float:
    """The same, within bounds."""
    seconds = duration_seconds(value)
    if not least <= seconds <= most:
        longest = "a hundred years" if most == LONGEST_SECONDS else f"{most:g} s"
        raise ValueError(f"must be at least {least:g} s, and at most {longest}")
    return seconds


def duration_or(word: str, least: float) -> Callable[[object], float | None]:
    """What reads a duration of at least so many seconds, or a word that stands for None."""

    def read(value: object) -> float | None:
        return None if value == word else duration_within(value, least, LONGEST_SECONDS)

    return read


def slow(value: object) -> float | str:
    """How long is slow: a duration, or `p95`."""
    try:
        return "p95" if value == "p95" else duration_within(value, 0.001, 7 * 86400)
    except ValueError as error:
        raise ValueError(f"{error}, or p95") from None


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value <= 10**12 or not math.isfinite(value):
            raise ValueError(_DURATION_SENTENCE)
        return float(value)
    if not isinstance(value, str):
        raise ValueError(_DURATION_SENTENCE)  # noqa: TRY004 - pydantic collects ValueErrors only
    if _SECONDS.fullmatch(value):
        return float(value)
    parts = _DURATION_PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(_DURATION_SENTENCE)
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts)


def usd(value: object) -> Decimal:
    """Read an amount exactly as written; finite, and of a size money can have."""
    amount = _exactly(value, _MONEY_SENTENCE)
    if amount and not SMALLEST_DIGIT <= amount.adjusted() <= LARGEST_DIGIT:
        raise ValueError("is not an amount of money anybody could mean")
    return amount


def ratio(value: object) -> Decimal:
    """Read a part of one: more than 0, at most 1."""
    part = _exactly(value, _RATIO_SENTENCE)
    if not 0 < part <= 1:
        raise ValueError(_RATIO_SENTENCE)
    return part


def percent(value: object) -> str:
    """Read a part in percent, in hundredths of one, and spell it as everybody does: `80%`, `62.5%`."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < Decimal(match[1]) <= _MOST_PERCENT:
        raise ValueError(_PERCENT_SENTENCE)
    return percent_text(int(Decimal(match[1]) * 100))


def part_percent(value: object) -> str:
    """The same of what is part of a whole: at most all of it."""
    part = percent(value)
    if hundredths(part) > 100 * 100:
        raise ValueError("must be at most 100%")
    return part


def hundredths(part: str) -> int:
    """A part in percent as `percent` spells it, in hundredths of one."""
    return int(Decimal(part.removesuffix("%")) * 100)


def _exactly(value: object, sentence: str) -> Decimal:
    text = value.text if isinstance(value, WrittenFloat) else str(value)
    if isinstance(value, bool) or not isinstance(value, (int, str, WrittenFloat)) or len(text) > LONGEST_AMOUNT:
        raise ValueError(sentence)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(sentence) from None
    if not number.is_finite():
        raise ValueError(sentence)
    return number
