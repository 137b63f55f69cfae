"""Limits on requests and tokens in a period, and on calls at once.

A limit over a period is a bucket that drains evenly (GCRA): an idle key may spend its whole
amount at once, then goes on at the rate. Times are whole numbers of nanoseconds times the
amount, so that nothing is ever rounded. The state is one number a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from math import ceil

from msgspec import Struct

from proxy.policy.money.budgets import Limit

PERIOD_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
CONCURRENT_RETRY_SECONDS = 1.0
_NANO = 10**9
_TOLD = tuple(
    (of, *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset"))) for of in ("requests", "tokens")
)
HEADERS = frozenset(name for _, *names in _TOLD for name in names)


class Taken(Struct, frozen=True):
    """What one call took. `tokens` are (limit id, tokens reserved), `slots` the limits it counts in while it lasts."""

    number: int
    tokens: tuple[tuple[str, int], ...] = ()
    slots: tuple[str, ...] = ()


class Denied(Struct, frozen=True):
    """The limit in the way, and how long until it is not."""

    limit: Limit
    retry_after_seconds: float


class _Bucket:
    """The state of one limit: when the bucket will be empty (ns times amount), or the calls under way.

    `unit` is what one request or token adds to that, `whole` what the whole amount does; `text` says the amount.
    """

    __slots__ = ("amount", "empty_at", "limit", "of", "text", "under_way", "unit", "whole")

    def __init__(self, limit: Limit) -> None:
        self.under_way = 0
        self.empty_at = 0
        self.unit = PERIOD_SECONDS[limit.per or "minute"] * _NANO
        self.limit = limit
        self.amount = limit.amount
        self.change(limit)

    def change(self, limit: Limit) -> None:
        """Take on a new amount: how full it is, in time, stays."""
        self.empty_at = self.empty_at * limit.amount // self.amount
        self.limit, self.of, self.amount = limit, limit.of, limit.amount
        self.whole, self.text = limit.amount * self.unit, str(limit.amount)

    def wait(self, amount: int, now_ns: int) -> float:
        """Seconds until `amount`, cut to what fits at all, does fit; 0 when it does now."""
        if self.of == "concurrent":
            return CONCURRENT_RETRY_SECONDS if self.under_way >= self.amount else 0.0
        level = self.empty_at - now_ns * self.amount
        over = (level if level > 0 else 0) + (amount if amount < self.amount else self.amount) * self.unit - self.whole
        return -(-over // self.amount) / _NANO if over > 0 else 0.0

    def add(self, amount: int, now_ns: int) -> int:
        """Take `amount`, cut to what fits at all; return what was taken."""
        part = amount if amount < self.amount else self.amount
        begun, empty_at = now_ns * self.amount, self.empty_at
        self.empty_at = (empty_at if empty_at > begun else begun) + part * self.unit
        return part

    def correct(self, difference: int, now_ns: int) -> None:
        """Take more than was reserved, or give back."""
        begun = now_ns * self.amount
        self.empty_at = (self.empty_at if self.empty_at > begun else begun) + difference * self.unit


class Limiter:
    """Every limit's state. `now` is monotonic seconds.

    Limits in shadow have no part in any verdict, nor in headers: each counts the calls that it alone would have let
    pass. `has_shadows` says whether there is one.
    """

    def __init__(self, limits: Iterable[Limit]) -> None:
        """Begin with every bucket empty."""
        self._buckets: dict[str, _Bucket] = {}
        self._by_scope: dict[str, list[_Bucket]] = {}
        self._of_scopes: dict[tuple[str, ...], list[_Bucket]] = {}
        self._numbers = count()
        self._open: set[int] = set()
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

    def judge(self, scopes: tuple[str, ...], tokens: int, now: float, requests: int = 1) -> Denied | None:
        """The limit of these scopes that is in the way for longest; None where none is. Nothing is taken."""
        now_ns = int(now * _NANO + 0.5)
        worst: Denied | None = None
        for bucket in self._of(scopes):
            amount = tokens if bucket.of == "tokens" else requests
            if bucket.of != "concurrent" and amount < bucket.amount:  # mostly there is room, however empty it is
                if bucket.empty_at + amount * bucket.unit <= bucket.whole + now_ns * bucket.amount:
                    continue
            wait = bucket.wait(amount, now_ns)
            if wait > 0 and (worst is None or wait > worst.retry_after_seconds):
                worst = Denied(bucket.limit, wait)
        return worst

    def add(self, scopes: tuple[str, ...], tokens: int, now: float, requests: int = 1) -> Taken:
        """Take from every limit of these scopes what was judged to fit, in the same step."""
        return self._add(Taken(next(self._numbers)), self._of(scopes), (tokens, requests), _ns(now))

    def denied_in_shadow(self, scopes: tuple[str, ...], tokens: int, now: float) -> list[Limit]:
        """The limits of these scopes in shadow that would be in the way."""
        now_ns = _ns(now)
        return [b.limit for b in self._shadows(scopes) if b.wait(tokens if b.of == "tokens" else 1, now_ns) > 0]

    def add_in_shadow(
        self, taken: Taken, scopes: tuple[str, ...], tokens: int, now: float
    ) -> tuple[Taken, list[Limit]]:
        """Take, beside what a call has taken, from those limits in shadow that would let it pass; return all that is
        taken, and the others."""
        denied = self.denied_in_shadow(scopes, tokens, now)
        passing = [bucket for bucket in self._shadows(scopes) if bucket.limit not in denied]
        return self._add(taken, passing, (tokens, 1), _ns(now)), denied

    def _add(self, taken: Taken, buckets: list[_Bucket], amounts: tuple[int, int], now_ns: int) -> Taken:
        """`amounts` are tokens and requests."""
        tokens, requests = amounts
        reserved, slots = taken.tokens, taken.slots
        for bucket in buckets:
            if bucket.of == "concurrent":
                bucket.under_way += 1
                slots += (bucket.limit.id,)
            elif bucket.of == "tokens":
                reserved += ((bucket.limit.id, bucket.add(tokens, now_ns)),)
            else:
                bucket.add(requests, now_ns)
        if slots:
            self._open.add(taken.number)
        return Taken(taken.number, reserved, slots)

    def give_back(self, taken: Taken) -> None:
        """The call is over: it no longer counts among those at once. Told twice, it counts once."""
        if taken.number not in self._open:
            return
        self._open.discard(taken.number)
        for limit_id in taken.slots:
            if (bucket := self._buckets.get(limit_id)) is not None and bucket.under_way > 0:
                bucket.under_way -= 1

    def withdraw(self, scopes: tuple[str, ...], taken: Iterable[Taken], now: float) -> None:
        """Calls that had taken from every limit of these scopes are not made after all."""
        for one in taken:
            self.give_back(one)
            self.correct(one, 0, now)
            for bucket in self._of(scopes):
                if bucket.of == "requests":
                    bucket.correct(-1, _ns(now))

    def correct(self, taken: Taken, tokens: int, now: float) -> None:
        """Count the tokens a call really used in the place of those reserved; to be told once."""
        for limit_id, reserved in taken.tokens:
            if (bucket := self._buckets.get(limit_id)) is not None:
                bucket.correct(tokens - reserved, _ns(now))

    def headers(self, scopes: tuple[str, ...], now: float) -> dict[str, str]:
        """x-ratelimit-* of the tightest limits of these scopes, as OpenAI spells them."""
        now_ns = _ns(now)
        tightest: dict[str, tuple[int, int, int, str]] = {}
        for bucket in self._of(scopes):
            if bucket.of != "concurrent":
                level = bucket.empty_at - now_ns * bucket.amount
                level = level if level > 0 else 0
                left = bucket.amount - -(-level // bucket.unit)
                one = left if left > 0 else 0, bucket.amount, level, bucket.text
                if bucket.of not in tightest or one[:2] < tightest[bucket.of][:2]:
                    tightest[bucket.of] = one
        found: dict[str, str] = {}
        for of, limit, remaining, reset in _TOLD:
            if of in tightest:
                left, amount, level, found[limit] = tightest[of]
                found[remaining] = str(left)
                found[reset] = duration_text(level / amount / _NANO)
        return found

    def _of(self, scopes: tuple[str, ...]) -> list[_Bucket]:
        found = self._of_scopes.get(scopes)
        if found is None:
            buckets = [bucket for scope in scopes for bucket in self._by_scope.get(scope, ())]
            found = self._of_scopes[scopes] = [bucket for bucket in buckets if not bucket.limit.shadow]
        return found

    def _shadows(self, scopes: tuple[str, ...]) -> list[_Bucket]:
        return [bucket for scope in scopes for bucket in self._by_scope.get(scope, ()) if bucket.limit.shadow]


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


def _ns(seconds: float) -> int:
    return int(seconds * _NANO + 0.5)
