"""Numbers in few cells: counts, seconds, spans of time. A column of them does not jump."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from proxy.policy.money.amounts import dollars

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def count(number: int | None) -> str:
    """At most five cells: 7, 999, 1.2k, 128k, 1.5M."""
    if number is None:
        return "-"
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number // size}{letter}" if number >= 10 * size else f"{number // (size // 10) / 10:.1f}{letter}"
    return str(number)


def seconds(duration: float | None) -> str:
    """How long something took, to three digits: 0.21s, 12.3s, 125s."""
    if duration is None:
        return "-"
    places = 2 if duration < 9.995 else 1 if duration < 99.95 else 0
    return f"{duration:.{places}f}s"


def clock(duration: float) -> str:
    """How long something goes on, as a stopwatch has it: 0:07, 12:30, 1:02:05."""
    minutes, second = divmod(int(duration), _MINUTE)
    hours, minute = divmod(minutes, _MINUTE)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def span(duration: float) -> str:
    """A time to come or gone by, in words and no more exact than it deserves: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    whole = int(duration)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return _two(whole, (_HOUR, "h"), (_MINUTE, "min"))
    return _two(whole, (_DAY, "d"), (_HOUR, "h"))


def _two(whole: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    """The small unit matters below ten of the large one."""
    first, rest = divmod(whole, large[0])
    second = rest // small[0]
    return f"{first} {large[1]} {second} {small[1]}" if second and first < 10 else f"{first} {large[1]}"


def growing(usd: Decimal) -> str:
    """An amount that is watched while it grows: its places stay the same up to a dollar."""
    return f"${usd:.6f}" if usd < 1 else f"${usd:,.2f}"


def rate(usd_an_hour: Decimal) -> str:
    """An estimate: cents, and what matters where there are none."""
    return dollars(
        str(usd_an_hour.quantize(Decimal("0.01") if usd_an_hour >= Decimal("0.01") else Decimal("0.000001")))
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The value that so many percent do not exceed; None where there are none."""
    if not values:
        return None
    return sorted(values)[-(-len(values) * percent // 100) - 1]
