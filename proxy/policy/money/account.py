"""One budget: what its periods have spent and hold, and what that leaves to a key."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context
from math import inf
from typing import NamedTuple

from msgspec import Struct

from proxy.policy.money.budgets import Budget
from proxy.policy.money.periods import period_end, period_start

_EXACT = Context(prec=60, rounding=ROUND_FLOOR)


class Fits(Struct, frozen=True):
    """The hold may be taken."""


class InFlight(Struct, frozen=True):
    """Spending leaves enough, but other holds are in the way; some will settle for less."""

    budget: Budget
    retry_after_seconds: float = 1.0


class Exceeded(Struct, frozen=True):
    """What is spent leaves too little: only the next period helps (`resets_at` None: nothing does)."""

    budget: Budget
    left_pusd: int
    resets_at: int | None


Verdict = Fits | InFlight | Exceeded
FITS = Fits()


class Room(NamedTuple):
    """What a key may still take: `spendable_pusd` is the cap less what is spent, `free_pusd` also less what is held
    and what is above the key's share. Below nothing where more is spent or held than the cap."""

    free_pusd: int
    spendable_pusd: int


class Standing(Struct, frozen=True):
    """Where a budget stands in its current period. `left_pusd` counts what is held as spent."""

    budget: Budget
    period: int
    spent_pusd: int
    held_pusd: int
    left_pusd: int
    resets_at: int | None


class _Counter:
    """One period of one budget."""

    __slots__ = ("held", "held_by_key", "holds", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.held = 0
        self.holds = 0
        self.held_by_key: dict[str, int] = {}

    def hold(self, key: str, amount: int) -> None:
        self.held += amount
        self.holds += 1
        if amount:
            self.held_by_key[key] = self.held_by_key.get(key, 0) + amount

    def grow(self, key: str, amount: int) -> None:
        """A hold that is open takes more."""
        self.held += amount
        self.held_by_key[key] = self.held_by_key.get(key, 0) + amount


class Account:
    """One budget with its counters: the current period, and older ones while a hold is open there."""

    def __init__(self, budget: Budget) -> None:
        self.counters: dict[int, _Counter] = {}
        self.newest: int | None = None
        self.begun = self.ends = 0.0  # times that open no period newer than the newest
        self.current = _Counter()  # of the newest, while `begun <= now < ends`
        self.charge = budget.id, 0  # what stands for it in a hold
        self.change(budget)

    def change(self, budget: Budget) -> None:
        """Take on a new cap, share or zone; what is spent and held stays."""
        self.budget = budget
        self.most_a_key_holds = int(_EXACT.multiply(budget.cap_pusd, budget.share).to_integral_value(ROUND_FLOOR))
        self.begun = self.ends = 0.0

    def at(self, now: float) -> _Counter:
        """The counter of the period of `now`; a clock that goes back stays in the newest one."""
        if not self.begun <= now < self.ends:
            start = period_start(self.budget, now)
            end = period_end(self.budget, start)
            self.reach(start)
            assert self.newest is not None
            self.begun, self.ends, self.current = start, inf if end is None else end, self.counter(self.newest)
            self.charge = self.budget.id, self.newest
        return self.current

    def counter(self, period: int) -> _Counter:
        """The counter of a period, begun where there was none."""
        found = self.counters.get(period)
        if found is None:
            found = self.counters[period] = _Counter()
        return found

    def load(self, period: int, spent_pusd: int) -> None:
        """Set what a period has spent."""
        self.counter(period).spent = spent_pusd
        if self.newest is None or period > self.newest:
            self.newest = period
            self.begun = self.ends = 0.0

    def reach(self, period: int) -> None:
        """A period has been seen; older ones are closed."""
        if self.newest is None or period > self.newest:
            self.newest = period
            self.begun = self.ends = 0.0
            self.forget()

    def forget(self) -> None:
        """Drop closed periods nobody will settle in any more."""
        if len(self.counters) == 1:
            return
        for period in [p for p, c in self.counters.items() if p != self.newest and not c.holds]:
            del self.counters[period]

    def settle(self, period: int, key: str, held: int, spent: int) -> None:
        """Turn a hold of a period into spending."""
        counter = self.counters.get(period) or self.counter(period)
        counter.held -= held
        counter.holds -= 1
        counter.spent += spent
        left = counter.held_by_key.pop(key, 0) - held
        if left:  # a key that holds nothing has no entry, whether or not holds of nothing are open
            counter.held_by_key[key] = left
        if len(self.counters) > 1:
            self.forget()

    @property
    def is_idle(self) -> bool:
        """Whether no hold is open in any period."""
        return not any(counter.holds for counter in self.counters.values())

    def is_over(self, period: int) -> bool:
        """Whether a period holds and has spent more than the cap."""
        counter = self.counter(period)
        return counter.spent + counter.held > self.budget.cap_pusd

    def spent_part(self, now: float) -> int:
        """How much of the cap is spent, in hundredths of a percent; a cap of nothing always is."""
        cap = self.budget.cap_pusd
        return self.at(now).spent * 10_000 // cap if cap else 10_000

    def resets_at(self) -> int | None:
        """When the newest period ends."""
        return None if self.newest is None else period_end(self.budget, self.newest)

    def room(self, key: str, now: float) -> tuple[int, int]:
        """What this budget leaves `key`, as `Room` has it; a key may pass its share with its only hold."""
        counter = self.current if self.begun <= now < self.ends else self.at(now)
        spendable = self.budget.cap_pusd - counter.spent
        free = spendable - counter.held
        own = counter.held_by_key.get(key)
        if own and self.most_a_key_holds - own < free:
            free = self.most_a_key_holds - own
        return free, spendable

    def judge(self, key: str, amount: int, now: float) -> Verdict:
        """Whether this budget lets `key` hold `amount` more. Nothing is always little enough."""
        counter, cap = self.at(now), self.budget.cap_pusd
        if amount == 0:
            return FITS
        if counter.spent + amount > cap:
            return Exceeded(self.budget, max(0, cap - counter.spent), self.resets_at())
        own = counter.held_by_key.get(key, 0)
        is_greedy = own > 0 and own + amount > self.most_a_key_holds
        if is_greedy or counter.spent + counter.held + amount > cap:
            return InFlight(self.budget)
        return FITS

    def standing(self, now: float) -> Standing:
        """Where it stands in the period of `now`."""
        counter, budget = self.at(now), self.budget
        assert self.newest is not None
        left = max(0, budget.cap_pusd - counter.spent - counter.held)
        return Standing(budget, self.newest, counter.spent, counter.held, left, self.resets_at())
