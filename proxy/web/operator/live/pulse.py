"""The last hour, minute by minute, as the calls that ended in it say; in memory, since the daemon's start."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from proxy.exchange.reporting.lines import Alike
from proxy.policy.money.amounts import usd_text
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.admin_api import instant

MINUTES = 60
_MOST_TIMES = 1000  # of a minute, for its percentiles
_MOST_TIMES_OF_TENANT = 100


class MinuteAnswer(Struct, frozen=True):
    """The calls that ended in the minute that begins at `at`. `first_token_ms`: half of them were as quick, and 95 of 100."""

    at: str
    calls: int
    errors: int
    cost_usd: str
    first_token_ms: dict[str, int] | None


class _Sums(Struct):
    """`first_token_seconds` of the first calls of a minute, at most so many as are kept."""

    calls: int = 0
    errors: int = 0
    cost_pusd: int = 0
    first_token_seconds: array[float] = msgspec.field(default_factory=lambda: array("d"))

    def add(self, other: _Sums, most_times: int | None = None) -> None:
        """And those."""
        self.calls += other.calls
        self.errors += other.errors
        self.cost_pusd += other.cost_pusd
        room = None if most_times is None else most_times - len(self.first_token_seconds)
        self.first_token_seconds.extend(other.first_token_seconds[:room])


class Ended(Struct):
    """Calls that ended, summed up."""

    all: _Sums = msgspec.field(default_factory=_Sums)
    of_tenants: dict[str, _Sums] = {}

    def add(self, other: Ended) -> None:
        """And those."""
        self.all.add(other.all, _MOST_TIMES)
        for name, sums in other.of_tenants.items():
            self.of_tenants.setdefault(name, _Sums()).add(sums, _MOST_TIMES_OF_TENANT)


def summed(kinds: Sequence[Alike]) -> Ended:
    """Of calls that ended together; in any thread. Whether a cost is told is the same for all calls of a kind."""
    firsts = [line.first_token_seconds for alike in kinds for line in alike.lines]
    times = array("d", [first for first in firsts if first is not None][:_MOST_TIMES])
    errors = sum([len(alike.lines) for alike in kinds if alike.entry.status >= 400])
    priced = [alike.ended for alike in kinds if alike.entry.cost_usd is not None]
    cost_pusd = sum([record.cost_pusd for same in priced for record, _ in same])
    whole = Ended(_Sums(len(firsts), errors, cost_pusd, times))
    if any([record.tenant for alike in kinds if alike.has_seldom for record, _ in alike.ended]):
        _part(whole.of_tenants, kinds)
    return whole


def _part(of_tenants: dict[str, _Sums], kinds: Iterable[Alike]) -> None:
    for alike in kinds:
        is_error, is_priced = alike.entry.status >= 400, alike.entry.cost_usd is not None
        for (record, _), line in zip(alike.ended, alike.lines, strict=True):
            first = line.first_token_seconds
            times = array("d", () if first is None else (first,))
            one = _Sums(1, int(is_error), record.cost_pusd if is_priced else 0, times)
            of_tenants.setdefault(record.tenant, _Sums()).add(one, _MOST_TIMES_OF_TENANT)
    of_tenants.pop("", None)


class Pulse:
    """Belongs to the event loop. `now` is UTC epoch seconds."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, Ended]] = deque(maxlen=MINUTES)  # each with its number since the epoch

    def take(self, ended: Ended, now: float) -> None:
        """Calls have ended."""
        number = int(now // 60)
        if not self._minutes or self._minutes[-1][0] < number:
            self._minutes.append((number, Ended()))
        self._minutes[-1][1].add(ended)

    def minutes(self, now: float, bounds: Bounds, last: int = MINUTES) -> list[MinuteAnswer]:
        """Of the last minutes those in which calls within bounds ended, oldest first."""
        first = int(now // 60) - last + 1
        found = [(number, _within(minute, bounds)) for number, minute in self._minutes if number >= first]
        return [_answer(number, sums) for number, sums in found if sums.calls]


def _within(minute: Ended, bounds: Bounds) -> _Sums:
    if bounds.tenants is None:
        return minute.all
    whole = _Sums()
    for name in minute.of_tenants.keys() & set(bounds.tenants):
        whole.add(minute.of_tenants[name])
    return whole


def _answer(number: int, sums: _Sums) -> MinuteAnswer:
    times = sorted(sums.first_token_seconds)
    shares = {f"p{of}": round(1000 * times[(len(times) - 1) * of // 100]) for of in (50, 95)} if times else None
    return MinuteAnswer(instant(60_000 * number), sums.calls, sums.errors, usd_text(sums.cost_pusd), shares)
