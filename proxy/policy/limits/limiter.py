"""Limits on requests and tokens in a period, and on calls at once.

A limit over a period is a bucket that drains evenly (GCRA): an idle key may spend its whole
amount at once, then goes on at the rate. Times are whole numbers, of nanoseconds times that
rate, so that nothing is ever rounded. The state is one number a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil, gcd

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.money.budgets import Limit, LimitOf, Per
from proxy.wire.headers import LIMITED

PERIOD_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
CONCURRENT_RETRY_SECONDS = 1.0
_NANO = 10**9
_SOON = 1000  # milliseconds: of what ends so soon the texts are there
_RESETS = {  # the lines that say so many milliseconds
    of: tuple([f"\r\nx-ratelimit-reset-{of}: {f'{ms}ms' if ms else '0s'}\r\n" for ms in range(_SOON)]) for of in LIMITED
}


class Denied(Struct, frozen=True):
    """The limit in the way, and how long until it is not."""

    limit: Limit
    retry_after_seconds: float


class _Measure(Struct, frozen=True):
    """What limits that are alike have in common, so that those of many keys are few: in the smallest whole numbers, so that `rate`
    is mostly 1. `unit` is what one request or token adds to a bucket, `whole` what the whole amount does, `ms` is a millisecond of
    it. `told` is how its headers begin, as far as what is left; `resets` are how they go on, by the milliseconds until it is empty.
    """

    of: LimitOf
    amount: int
    is_of_tokens: bool
    rate: int
    unit: int
    whole: int
    ms: int
    told: str
    resets: tuple[str, ...]

    def part_of(self, tokens: int) -> int:
        """What one call of so many tokens takes of a limit over a period: of tokens no more than fits at all."""
        return min(tokens, self.amount) if self.is_of_tokens else 1

    def tell(self, level: int, free: int) -> str:
        """The headers of a limit over a period that is so full, and has so much free, as lines."""
        ms = -(-level // self.ms)
        if ms < _SOON:
            return f"{self.told}{free // self.unit!s}{self.resets[ms]}"  # as a text, in half the time of a format
        reset = duration_text(level / self.rate / _NANO)
        return f"{self.told}{free // self.unit}\r\nx-ratelimit-reset-{self.of}: {reset}\r\n"


@lru_cache(1024)
def _measure(of: LimitOf, per: Per | None, amount: int) -> _Measure:
    period = PERIOD_SECONDS[per or "minute"] * _NANO
    shared = gcd(amount, period)
    rate, unit = amount // shared, period // shared
    told = f"x-ratelimit-limit-{of}: {amount}\r\nx-ratelimit-remaining-{of}: "
    return _Measure(of, amount, of == "tokens", rate, unit, amount * unit, rate * 10**6, told, _RESETS.get(of, ()))


class _Bucket:
    """The state of one limit: when the bucket will be empty (ns times the rate of its `measure`), or the calls under way."""

    __slots__ = ("empty_at", "limit", "measure", "under_way")

    def __init__(self, limit: Limit) -> None:
        self.under_way = self.empty_at = 0
        self.limit, self.measure = limit, _measure(limit.of, limit.per, limit.amount)

    def change(self, limit: Limit) -> None:
        """Take on a new amount: how full it is, in time, stays."""
        before, self.limit, self.measure = self.measure, limit, _measure(limit.of, limit.per, limit.amount)
        self.empty_at = self.empty_at * self.measure.rate // before.rate

    def wait(self, tokens: int, now_ns: int) -> float:
        """Seconds until one call of so many tokens does fit; 0 when it does now."""
        measure = self.measure
        if self.limit.of == "concurrent":
            return CONCURRENT_RETRY_SECONDS if self.under_way >= measure.amount else 0.0
        over = self.level(now_ns) + measure.part_of(tokens) * measure.unit - measure.whole
        return (-(-(now_ns * measure.rate + over) // measure.rate) - now_ns) / _NANO if over > 0 else 0.0

    def add(self, difference: int, now_ns: int) -> None:
        """Take so many more, or give them back."""
        begun = now_ns * self.measure.rate
        self.empty_at = (self.empty_at if self.empty_at > begun else begun) + difference * self.measure.unit

    def level(self, now_ns: int) -> int:
        """How full it is."""
        return max(0, self.empty_at - now_ns * self.measure.rate)

    def tightness(self, now_ns: int) -> tuple[int, int]:
        """How much is left, and of what."""
        return max(0, (self.measure.whole - self.level(now_ns)) // self.measure.unit), self.measure.amount


class Limits(Struct, frozen=True, eq=False):
    """Those that bind the calls of some scopes: `slots` on calls at once, and `timed` over periods, with how many tokens a call
    takes at most of one on tokens, None of one on requests. `of_tokens` are those on tokens alone; `told` the latter by what they
    limit, as headers tell of it; `has_one_each`: there is one at most of that.

    Limits change while calls are under way: these stand as they did when a call took from them, to be given back to.
    """

    slots: tuple[_Bucket, ...]
    timed: tuple[tuple[_Bucket, int | None], ...]
    of_tokens: tuple[tuple[_Bucket, int], ...]
    told: list[list[_Bucket]]
    has_one_each: bool

    def judge(self, tokens: int, now_ns: int) -> Denied | None:
        """The one that is in the way for longest; None where none is. Nothing is taken."""
        worst = None
        for bucket in (*self.slots, *[bucket for bucket, _ in self.timed]):
            wait = bucket.wait(tokens, now_ns)
            if wait > 0 and (worst is None or wait > worst.retry_after_seconds):
                worst = Denied(bucket.limit, wait)
        return worst

    def take(self, tokens: int, now_ns: int) -> str | None:
        """Take from all of them for one call; their `headers`, right after that. None where nothing is taken: one is in the way,
        as `judge` has it."""
        fits, lines = True, ""
        for slot in self.slots:
            slot.under_way = under_way = slot.under_way + 1
            if under_way > slot.measure.amount:
                fits = False
        for bucket, most in self.timed:
            measure, empty_at = bucket.measure, bucket.empty_at
            begun, level = now_ns * measure.rate, measure.unit
            if most is not None:
                level *= tokens if tokens < most else most
            if empty_at > begun:
                level += empty_at - begun
            bucket.empty_at = begun + level
            free = measure.whole - level
            if free < 0:
                fits = False
            elif (ms := -(-level // measure.ms)) < _SOON:  # as `tell` has it
                lines = f"{lines}{measure.told}{free // measure.unit!s}{measure.resets[ms]}"
            else:
                lines += measure.tell(level, free)
        if fits:
            return lines if self.has_one_each else self.headers(now_ns)
        self.leave()
        self.withdraw(tokens, now_ns)
        return None

    def leave(self) -> None:
        """A call does not count any more among those at once."""
        for slot in self.slots:
            slot.under_way -= 1

    def give_back(self, tokens: int, used: int | None, now_ns: int) -> None:
        """A call that took so many tokens is over: it leaves, and in their place count those it really used, where that is
        known."""
        for slot in self.slots:
            slot.under_way -= 1
        if used is not None:
            for bucket, most in self.of_tokens:
                measure, empty_at, more = bucket.measure, bucket.empty_at, used - (tokens if tokens < most else most)
                begun = now_ns * measure.rate
                bucket.empty_at = (empty_at if empty_at > begun else begun) + more * measure.unit

    def withdraw(self, tokens: int, now_ns: int) -> None:
        """A call that took so many tokens, and has left, is not made after all."""
        for bucket, most in self.timed:
            bucket.add(-1 if most is None else -min(tokens, most), now_ns)

    def headers(self, now_ns: int) -> str:
        """x-ratelimit-* of the tightest, as OpenAI spells them: as lines, each with its end."""
        found = ""
        for buckets in self.told:
            bucket = min(buckets, key=lambda one: one.tightness(now_ns))
            level = bucket.level(now_ns)
            found += bucket.measure.tell(level, max(0, bucket.measure.whole - level))
        return found


class Limiter:
    """Every limit's state. `now_ns` is monotonic nanoseconds.

    Limits in shadow have no part in any verdict, nor in headers: each counts the calls that it alone would have let
    pass. `has_shadows` says whether there is one.
    """

    def __init__(self, limits: Iterable[Limit]) -> None:
        """Begin with every bucket empty."""
        self._buckets: dict[str, _Bucket] = {}
        self._by_scope: dict[str, list[_Bucket]] = {}
        self._of_scopes: dict[tuple[str, ...], Limits] = {}
        self.has_shadows = False
        self.replace(limits)

    def replace(self, limits: Iterable[Limit]) -> None:
        """Take on other limits; one known by its id keeps its state if it counts the same as before."""
        old, self._buckets, self._by_scope, self._of_scopes = self._buckets, {}, {}, {}
        for limit in limits:
            bucket = old.get(limit.id)
            if bucket is None or (bucket.limit.of, bucket.limit.per) != (limit.of, limit.per):
                bucket = _Bucket(limit)
            bucket.change(limit)
            self._buckets[limit.id] = bucket
            self._by_scope.setdefault(limit.scope, []).append(bucket)
        self.has_shadows = any(bucket.limit.shadow for bucket in self._buckets.values())

    def of(self, scopes: tuple[str, ...]) -> Limits:
        """Those of these scopes, until others are taken on."""
        found = self._of_scopes.get(scopes)
        if found is None:
            buckets = [b for scope in scopes for b in self._by_scope.get(scope, ()) if not b.limit.shadow]
            found = self._of_scopes[scopes] = _limits(buckets)
        return found

    def denied_in_shadow(self, scopes: tuple[str, ...], tokens: int, now_ns: int) -> list[Limit]:
        """The limits of these scopes in shadow that would be in the way."""
        return [bucket.limit for bucket in self._shadows(scopes) if bucket.wait(tokens, now_ns) > 0]

    def take_in_shadow(
        self, taken: Limits, scopes: tuple[str, ...], tokens: int, now_ns: int
    ) -> tuple[Limits, list[Limit]]:
        """Take for a call, beside what it has `taken` from, from those limits in shadow that would let it pass; all of these
        together, and those that would not."""
        denied = self.denied_in_shadow(scopes, tokens, now_ns)
        limits = _limits([bucket for bucket in self._shadows(scopes) if bucket.limit not in denied])
        limits.take(tokens, now_ns)
        slots, timed = taken.slots + limits.slots, taken.timed + limits.timed
        return replace(taken, slots=slots, timed=timed, of_tokens=taken.of_tokens + limits.of_tokens), denied

    def _shadows(self, scopes: tuple[str, ...]) -> list[_Bucket]:
        return [bucket for scope in scopes for bucket in self._by_scope.get(scope, ()) if bucket.limit.shadow]


def _limits(buckets: list[_Bucket]) -> Limits:
    told = [each for of in LIMITED if (each := [one for one in buckets if one.limit.of == of])]
    return Limits(
        tuple([one for one in buckets if one.limit.of == "concurrent"]),
        tuple([(one, one.measure.amount if one.measure.is_of_tokens else None) for each in told for one in each]),
        tuple([(one, one.measure.amount) for one in buckets if one.measure.is_of_tokens]),
        told,
        all(len(each) == 1 for each in told),
    )


def pairs_of(headers: str) -> list[tuple[str, str]]:
    """Such lines as names and values."""
    return [(name, value) for name, _, value in (line.partition(": ") for line in headers.splitlines())]


def duration_text(seconds: float) -> str:
    """A duration as OpenAI's headers have it, rounded up: `0s`, `120ms`, `1s`, `6m0s`, `1h0m0s`."""
    if seconds <= 0:
        return "0s"
    if seconds < 0.9995:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(ceil(seconds - 0.0005), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
