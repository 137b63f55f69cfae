"""Where a budget will stand when its period ends, and when it runs out: from what every hour cost so far.

Expected of an hour is what the same hour of the week cost on average, moved most of the way to the level of the last days.
How much days differ, and how far the last ones are from the usual, says how wide the interval is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

from msgspec import Struct

HISTORY_HOURS = 28 * 24
_WEEK, _DAY = 168, 24
_LEAST_HOURS = 48  # with less than that the present rate goes on
_LEVEL_HOURS = 48
_FARTHEST = 4  # times as long as it was seen, the present rate alone says something
_BELIEVED = 0.75
_LEAST_LEVEL, _MOST_LEVEL = 0.25, 4.0
_TENTH = 1.2816  # of a normal distribution: a tenth lies beyond so many deviations
_LEAST_SPREAD, _UNSURE_SPREAD = 0.05, 0.5
_MOST_SPREAD = 2.0

Confidence = Literal["high", "medium", "low"]


class Forecast(Struct, frozen=True):
    """What will have been spent at the end: with one chance in ten at most `p10_pusd`, in two `p50_pusd`, in nine of ten
    `p90_pusd`. `out_in_hours` until the cap is reached at the expected rate; None: not before the end."""

    p10_pusd: int
    p50_pusd: int
    p90_pusd: int
    out_in_hours: float | None
    confidence: Confidence


class Ahead(Struct, frozen=True):
    """What is asked: `spent_pusd` of `cap_pusd` so far, `elapsed_hours` into the period, and `left_hours` until its end."""

    spent_pusd: int
    cap_pusd: int
    elapsed_hours: float
    left_hours: float


def forecast(ahead: Ahead, history: Sequence[int]) -> Forecast:
    """`history` is what each past hour cost (1e-12 USD), the newest last; it begins with the first hour anything is known of.

    Its last hour is the one that was over last; weeks are told apart by counting back from it.
    """
    hours, moved = _expected(ahead, history)
    rest = _sum_until(hours, ahead.left_hours)
    spread = min(_MOST_SPREAD, sqrt(_spread(history, ahead.left_hours) ** 2 + moved**2))
    low, high = max(0.0, 1 - _TENTH * spread), 1 + _TENTH * spread
    return Forecast(
        p10_pusd=ahead.spent_pusd + int(rest * low),
        p50_pusd=ahead.spent_pusd + int(rest),
        p90_pusd=ahead.spent_pusd + int(rest * high),
        out_in_hours=_out_in(ahead, hours),
        confidence=_confidence(history),
    )


def foreseen(found: Forecast, elapsed_hours: float) -> float | None:
    """In how many hours it runs out, where enough was seen to say so: ten minutes of a rate tell nothing of tomorrow."""
    out = found.out_in_hours
    is_seen = found.confidence != "low" or out is None or out <= _FARTHEST * elapsed_hours
    return out if is_seen else None


def _confidence(history: Sequence[int]) -> Confidence:
    if len(history) < _LEAST_HOURS:
        return "low"
    return "high" if len(history) >= 2 * _WEEK else "medium"


def _expected(ahead: Ahead, history: Sequence[int]) -> tuple[list[float], float]:
    """What each of the next hours will cost, as many as there are left, and by which part that was moved from the usual."""
    count = max(1, -int(-ahead.left_hours // 1))
    if len(history) < _LEAST_HOURS:
        known = ahead.elapsed_hours if ahead.elapsed_hours > 0 else 1.0
        rate = ahead.spent_pusd / max(known, 1 / 60)
        return [rate] * count, 0.0
    cycle = _WEEK if len(history) >= 2 * _WEEK else _DAY
    profile = _profile(history, cycle)
    level = _level(history, profile, cycle)
    return [level * profile[(len(history) + hour) % cycle] for hour in range(count)], abs(level - 1)


def _profile(history: Sequence[int], cycle: int) -> list[float]:
    """What an hour of the cycle costs on average."""
    sums, counts = [0] * cycle, [0] * cycle
    for at, amount in enumerate(history):
        sums[at % cycle] += amount
        counts[at % cycle] += 1
    return [total / count for total, count in zip(sums, counts, strict=True)]


def _level(history: Sequence[int], profile: list[float], cycle: int) -> float:
    """By how much the last two days, and the last cycle, were above or below what such times cost; mostly believed."""
    ratios = [_ratio(history, profile, hours) for hours in (_LEVEL_HOURS, max(_LEVEL_HOURS, cycle))]
    return 1 + _BELIEVED * (sum(ratios) / len(ratios) - 1)


def _ratio(history: Sequence[int], profile: list[float], hours: int) -> float:
    first = len(history) - hours
    usual = sum(profile[at % len(profile)] for at in range(first, len(history)))
    if not usual:
        return 1.0
    return min(max(sum(history[first:]) / usual, _LEAST_LEVEL), _MOST_LEVEL)


def _spread(history: Sequence[int], left_hours: float) -> float:
    """The deviation of a sum over what is left, as a part of it: that of days, over as many days."""
    if len(history) < _LEAST_HOURS:
        return _UNSURE_SPREAD
    days = [sum(history[end - _DAY : end]) for end in range(len(history), _DAY - 1, -_DAY)]
    mean = sum(days) / len(days)
    if not mean:
        return _UNSURE_SPREAD
    deviation = sqrt(sum((day - mean) ** 2 for day in days) / max(1, len(days) - 1)) / mean
    return max(_LEAST_SPREAD, deviation / sqrt(max(1.0, left_hours / _DAY)))


def _sum_until(hours: list[float], left: float) -> float:
    whole = int(left)
    part = left - whole
    return sum(hours[:whole]) + (hours[whole] * part if part and whole < len(hours) else 0)


def _out_in(ahead: Ahead, hours: list[float]) -> float | None:
    room = float(ahead.cap_pusd - ahead.spent_pusd)
    if room <= 0:
        return 0.0
    for hour, amount in enumerate(hours):
        if amount >= room:
            out = hour + room / amount
            return out if out < ahead.left_hours else None
        room -= amount
    return None
