"""One budget: what its periods have spent and hold, and what that leaves to a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Context
from math import inf

from msgspec import Struct

from proxy.policy.money.budgets import Budget
from proxy.policy.money.periods import period_end, period_start

_ENDLESS = 10**30  # pusd
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


class Room(Struct, frozen=True):
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


class Counter:
    """One period of one budget. `closed`: a newer one has begun."""

    __slots__ = ("closed", "held", "held_by_key", "holds", "spent")

    def __init__(self, *, closed: bool) -> None:
        self.closed = closed
        self.spent = 0
        self.held = 0
        self.holds = 0
        self.held_by_key: dict[str, int] = {}

    def add(self, key: str, *, holds: int = 0, held: int = 0, spent: int = 0) -> None:
        """Count what holds of `key` take, below nothing what they give back, and what was spent."""
        self.holds += holds
        self.held += held
        self.spent += spent
        left = self.held_by_key.get(key, 0) + held
        if left:
            self.held_by_key[key] = left
        else:  # a key that holds nothing has no entry
            self.held_by_key.pop(key, None)


class Account:
    """One budget with its counters: the current period, and older ones while a hold is open there. `moved` is called when
    that period or the budget is another."""

    def __init__(self, budget: Budget, moved: Callable[[], None]) -> None:
        self.counters: dict[int, Counter] = {}
        self._moved = moved
        self.newest: int | None = None
        self.begun = self.ends = 0.0  # times that open no period newer than the newest
        self.current = Counter(closed=False)  # of the newest, while `begun <= now < ends`
        self.charge = budget.id, 0  # what stands for it in a hold
        self.change(budget)

    def change(self, budget: Budget) -> None:
        """Take on a new cap, share or zone; what is spent and held stays."""
        self.budget = budget
        self.most_a_key_holds = int(_EXACT.multiply(budget.cap_pusd, budget.share).to_integral_value(ROUND_FLOOR))
        self.begun = self.ends = 0.0
        self._moved()

    def at(self, now: float) -> Counter:
        """The counter of the period of `now`; a clock that goes back stays in the newest one."""
        if not self.begun <= now < self.ends:
            start = period_start(self.budget, now)
            end = period_end(self.budget, start)
            self.reach(start)
            assert self.newest is not None
            self.begun, self.ends, self.current = start, inf if end is None else end, self.counter(self.newest)
            self.charge = self.budget.id, self.newest
            self._moved()
        return self.current

    def period(self, now: float) -> int:
        """The start of that period."""
        self.at(now)
        return self.charge[1]

    def counter(self, period: int) -> Counter:
        """The counter of a period, begun where there was none."""
        found = self.counters.get(period)
        if found is None:
            found = self.counters[period] = Counter(closed=self.newest is not None and period != self.newest)
        return found

    def load(self, period: int, spent_pusd: int) -> None:
        """Set what a period has spent."""
        self.counter(period).spent = spent_pusd
        self._begin(period)

    def reach(self, period: int) -> None:
        """A period has been seen; older ones are closed."""
        if self._begin(period):
            self.forget()

    def _begin(self, period: int) -> bool:
        """Whether it is the newest from now on."""
        if self.newest is not None and period <= self.newest:
            return False
        self.newest = period
        self.begun = self.ends = 0.0
        for at, counter in self.counters.items():
            counter.closed = at != period
        self._moved()
        return True

    def forget(self) -> None:
        """Drop closed periods nobody will settle in any more."""
        if len(self.counters) == 1:
            return
        for period in [p for p, c in self.counters.items() if p != self.newest and not c.holds]:
            del self.counters[period]

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


class BudgetSet:
    """What binds the calls of one key: accounts, each with the counter of a period.

    What the calls take and spend (`holds`, `held`, `spent`) is summed up here, until somebody looks: then `count` brings it
    into every counter. `is_due`: there is something to bring. `enough`: until so much is drawn from the books, all of these
    leave the key something, without a look at them. The periods are those of now until one of them ends
    (`begun <= now < ends`), or an account moves, which ends it as well.
    """

    __slots__ = ("begun", "charges", "ends", "enough", "held", "holds", "is_due", "key", "spent", "_rows")

    def __init__(self, key: str, charged: Sequence[tuple[Account, int]]) -> None:
        self.key = key
        self._rows = [(account, account.counter(period)) for account, period in charged]
        self.charges = tuple(
            [
                account.charge if account.charge[1] == period else (account.budget.id, period)
                for account, period in charged
            ]
        )
        self.begun = max([account.begun for account, _ in self._rows], default=-inf)
        self.ends = min([account.ends for account, _ in self._rows], default=inf)
        self.holds = self.held = self.spent = 0
        self.enough = -1
        self.is_due = False

    def count(self) -> None:
        """Bring what was summed up into the counters."""
        for _, counter in self._rows:
            counter.add(self.key, holds=self.holds, held=self.held, spent=self.spent)
        self.holds = self.held = self.spent = 0
        self.is_due = False

    def forget(self) -> None:
        """Drop closed periods nobody will settle in any more."""
        for account, counter in self._rows:
            if counter.closed:
                account.forget()

    def room(self, drawn: int) -> Room:
        """What the tightest leaves the key, which may pass its share of one with its only hold; for that, what was summed up
        has to be counted. `drawn` is what the books have drawn by now."""
        least_free = least_spendable = sure = _ENDLESS
        for account, counter in self._rows:
            own = counter.held_by_key.get(self.key, 0)
            spendable = account.budget.cap_pusd - counter.spent
            free, of_share = spendable - counter.held, account.most_a_key_holds - own
            sure = min(sure, free, of_share)
            if spendable > account.most_a_key_holds and own:
                free = min(free, of_share)
            least_free, least_spendable = min(least_free, free), min(least_spendable, spendable)
        self.enough = drawn + sure
        return Room(least_free, least_spendable)
