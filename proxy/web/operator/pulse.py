"""The last hour, minute by minute, as the calls that ended in it say; in memory, since the daemon's start."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from proxy.exchange.lines import Alike, Line, OddLine
from proxy.exchange.record import Entry, Record
from proxy.policy.money.amounts import usd_text
from proxy.web.operator.bounds import Bounds
from proxy.web.operator.desk import instant

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


def summed(kinds: Iterable[Alike]) -> Ended:
    """Of calls that ended together; in any thread."""
    ended = Ended()
    for alike in kinds:
        records = [record for record, _ in alike.ended]
        ended.all.add(_sums(alike.entry, records, alike.lines), _MOST_TIMES)
        of_tenants: dict[str, tuple[list[Record], list[Line | OddLine]]] = {}
        for record, line in zip(records, alike.lines, strict=True) if any([one.tenant for one in records]) else ():
            its_records, its_lines = of_tenants.setdefault(record.tenant, ([], []))
            its_records.append(record)
            its_lines.append(line)
        of_tenants.pop("", None)
        for tenant, (its_records, its_lines) in of_tenants.items():
            own = ended.of_tenants.setdefault(tenant, _Sums())
            own.add(_sums(alike.entry, its_records, its_lines), _MOST_TIMES_OF_TENANT)
    return ended


def _sums(entry: Entry, records: Sequence[Record], lines: Sequence[Line | OddLine]) -> _Sums:
    """Of calls of one kind: whether a cost is told is the same for all of them."""
    calls = len(lines)
    cost_pusd = 0 if entry.cost_usd is None else sum([record.cost_pusd for record in records])
    times = [line.first_token_seconds for line in lines if line.first_token_seconds is not None]
    return _Sums(calls, calls if entry.status >= 400 else 0, cost_pusd, array("d", times))


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
