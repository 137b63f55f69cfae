"""The last hour, minute by minute, as the calls that ended in it say; in memory, since the daemon's start."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec import Struct

from proxy.exchange.record import Entry
from proxy.policy.money.amounts import to_pusd, usd_text
from proxy.web.operator.desk import instant

MINUTES = 60
_MOST_TIMES = 1000  # of a minute, for its percentiles


class MinuteAnswer(Struct, frozen=True):
    """The calls that ended in the minute that begins at `at`. `first_token_ms`: half of them were as quick, and 95 of 100."""

    at: str
    calls: int
    errors: int
    cost_usd: str
    first_token_ms: dict[str, int] | None


class _Minute(Struct):
    number: int  # since the epoch
    calls: int = 0
    errors: int = 0
    cost_pusd: int = 0
    first_token_seconds: list[float] = msgspec.field(default_factory=list)


class Pulse:
    """Belongs to the event loop. `now` is UTC epoch seconds."""

    def __init__(self) -> None:
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES)

    def take(self, entries: Iterable[Entry], now: float) -> None:
        """Calls have ended."""
        number = int(now // 60)
        if not self._minutes or self._minutes[-1].number < number:
            self._minutes.append(_Minute(number))
        minute = self._minutes[-1]
        for entry in entries:
            minute.calls += 1
            minute.errors += entry.status >= 400
            minute.cost_pusd += to_pusd(Decimal(entry.cost_usd)) if entry.cost_usd else 0
            if entry.first_token_seconds is not None and len(minute.first_token_seconds) < _MOST_TIMES:
                minute.first_token_seconds.append(entry.first_token_seconds)

    def minutes(self, now: float, last: int = MINUTES) -> list[MinuteAnswer]:
        """Of the last minutes those in which calls ended, oldest first."""
        first = int(now // 60) - last + 1
        return [_answer(minute) for minute in self._minutes if minute.number >= first]


def _answer(minute: _Minute) -> MinuteAnswer:
    times = sorted(minute.first_token_seconds)
    shares = {f"p{of}": round(1000 * times[(len(times) - 1) * of // 100]) for of in (50, 95)} if times else None
    at = instant(60_000 * minute.number)
    return MinuteAnswer(at, minute.calls, minute.errors, usd_text(minute.cost_pusd), shares)
