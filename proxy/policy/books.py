"""The counters of every budget: what each period has spent, and what is held for calls under way.

A call takes a hold from all of its budgets in one step or from none. A hold is resolved once:
settled at what the call cost, in the periods it was taken in, or voided.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Context
from math import inf

from msgspec import Struct

from proxy.policy.budgets import Budget
from proxy.policy.periods import is_period, period_end, period_start

Charge = tuple[str, int]  # budget id, period

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

    def release(self, key: str, amount: int) -> None:
        """A key that holds nothing has no entry, whether or not holds of nothing are open."""
        self.held -= amount
        self.holds -= 1
        left = self.held_by_key.pop(key, 0) - amount
        if left:
            self.held_by_key[key] = left


class _Account:
    """One budget with its counters: the current period, and older ones while a hold is open there."""

    def __init__(self, budget: Budget) -> None:
        self.counters: dict[int, _Counter] = {}
        self.newest: int | None = None
        self._seen = (0.0, 0.0)  # times that open no period newer than the newest
        self.change(budget)

    def change(self, budget: Budget) -> None:
        """Take on a new cap, share or zone; what is spent and held stays."""
        self.budget = budget
        self.most_a_key_holds = int(_EXACT.multiply(budget.cap_pusd, budget.share).to_integral_value(ROUND_FLOOR))
        self._seen = (0.0, 0.0)

    def at(self, now: float) -> _Counter:
        """The counter of the period of `now`; a clock that goes back stays in the newest one."""
        if self.newest is None or not self._seen[0] <= now < self._seen[1]:
            start = period_start(self.budget, now)
            end = period_end(self.budget, start)
            self.reach(start)
            self._seen = (start, inf if end is None else end)
        assert self.newest is not None
        return self.counter(self.newest)

    def counter(self, period: int) -> _Counter:
        """The counter of a period, begun where there was none."""
        if period not in self.counters:
            self.counters[period] = _Counter()
        return self.counters[period]

    def reach(self, period: int) -> None:
        """A period has been seen; older ones are closed."""
        if self.newest is None or period > self.newest:
            self.newest = period
            self.forget()

    def forget(self) -> None:
        """Drop closed periods nobody will settle in any more."""
        for period in [p for p, c in self.counters.items() if p != self.newest and not c.holds]:
            del self.counters[period]

    def resets_at(self) -> int | None:
        """When the newest period ends."""
        return None if self.newest is None else period_end(self.budget, self.newest)

    def room(self, key: str, now: float) -> Room:
        """What this budget leaves `key`, which may pass its share with its only hold."""
        counter = self.at(now)
        spendable = self.budget.cap_pusd - counter.spent
        free = spendable - counter.held
        own = counter.held_by_key.get(key, 0)
        return Room(min(free, self.most_a_key_holds - own) if own else free, spendable)

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


class _Hold(Struct, frozen=True):
    key: str
    amount: int
    charges: tuple[Charge, ...]


class Books:
    """Every budget's counters. Nothing here waits, so nothing comes between a verdict and the hold it allows.

    Amounts are pusd, `now` is UTC epoch seconds, scopes are those of `budgets.py`.
    """

    def __init__(self, budgets: Iterable[Budget]) -> None:
        """Begin with nothing spent and nothing held."""
        self._accounts: dict[str, _Account] = {}
        self._by_scope: dict[str, list[_Account]] = {}
        self._holds: dict[str, _Hold] = {}
        self.replace(budgets)

    @property
    def open_holds(self) -> int:
        """How many holds are neither settled nor voided."""
        return len(self._holds)

    def replace(self, budgets: Iterable[Budget]) -> None:
        """Take on other budgets. One known by its id keeps its counters, also while it is not in force."""
        self._by_scope = {}
        for budget in budgets:
            account = self._accounts.get(budget.id)
            if account is None:
                account = self._accounts[budget.id] = _Account(budget)
            else:
                account.change(budget)
            self._by_scope.setdefault(budget.scope, []).append(account)

    def load(self, budget_id: str, period: int, spent_pusd: int) -> None:
        """Set what a period has spent, as the ledger knows it. A budget not configured, or no period of it, is passed over."""
        if self._has((budget_id, period)):
            account = self._accounts[budget_id]
            account.counter(period).spent = spent_pusd
            account.reach(period)
            account.forget()

    def is_bound(self, scopes: tuple[str, ...]) -> bool:
        """Whether any budget applies."""
        return any(scope in self._by_scope for scope in scopes)

    def judge(self, scopes: tuple[str, ...], key: str, amount: int, now: float) -> Verdict:
        """Whether every budget of these scopes lets `key` hold `amount`; else the first in the way for good,
        or the first in the way for now."""
        waiting: Verdict = FITS
        for account in self._of(scopes):
            verdict = account.judge(key, amount, now)
            if isinstance(verdict, Exceeded):
                return verdict
            if isinstance(waiting, Fits):
                waiting = verdict
        return waiting

    def take(self, hold_id: str, scopes: tuple[str, ...], key: str, amount: int, now: float) -> tuple[Charge, ...]:
        """Hold `amount` in every budget of these scopes, in the same step as a verdict that it fits."""
        periods = []
        for account in self._of(scopes):
            account.at(now)
            assert account.newest is not None
            periods.append((account.budget.id, account.newest))
        charges = tuple(periods)
        if not self.restore(hold_id, key, amount, charges):
            raise ValueError(f"the hold {hold_id!r} is open already")
        return charges

    def restore(self, hold_id: str, key: str, amount: int, charges: tuple[Charge, ...]) -> bool:
        """Hold again what a journal says is held; False where that hold is open."""
        if amount < 0:
            raise ValueError("a hold cannot be negative")
        if hold_id in self._holds:
            return False
        known = tuple(charge for charge in charges if self._has(charge))
        self._holds[hold_id] = _Hold(key, amount, known)
        for budget_id, period in known:
            self._accounts[budget_id].counter(period).hold(key, amount)
            self._accounts[budget_id].reach(period)
        return True

    def settle(self, hold_id: str, actual_pusd: int) -> int | None:
        """Turn a hold into spending; return by how much that is above the hold, or None where no such hold is open.

        Nothing is above a hold of nothing that no budget asked for: nothing bounded that call.
        """
        if actual_pusd < 0:
            raise ValueError("a cost cannot be negative")
        hold = self._resolve(hold_id, actual_pusd)
        if hold is None:
            return None
        return max(0, actual_pusd - hold.amount) if hold.amount or hold.charges else 0

    def void(self, hold_id: str) -> bool:
        """Give a hold back, for a call that cost nothing; False where no such hold is open."""
        return self._resolve(hold_id, 0) is not None

    def adjust(self, budget_id: str, period: int, delta_pusd: int) -> bool:
        """Correct what a period has spent; below nothing it is credit. False where there is no such budget."""
        account = self._accounts.get(budget_id)
        if account is None:
            return False
        account.counter(period).spent += delta_pusd
        account.reach(period)
        account.forget()
        return True

    def room(self, scopes: tuple[str, ...], key: str, now: float) -> Room | None:
        """What the tightest of the budgets leaves `key`; None where no budget applies."""
        rooms = [account.room(key, now) for account in self._of(scopes)]
        if not rooms:
            return None
        return Room(min(room.free_pusd for room in rooms), min(room.spendable_pusd for room in rooms))

    def state(self, now: float) -> list[Standing]:
        """Where every budget in force stands."""
        return [_standing(account, now) for accounts in self._by_scope.values() for account in accounts]

    def _has(self, charge: Charge) -> bool:
        account = self._accounts.get(charge[0])
        return account is not None and is_period(account.budget, charge[1])

    def _of(self, scopes: tuple[str, ...]) -> list[_Account]:
        return [account for scope in scopes for account in self._by_scope.get(scope, ())]

    def _resolve(self, hold_id: str, spent: int) -> _Hold | None:
        hold = self._holds.pop(hold_id, None)
        if hold is None:
            return None
        for budget_id, period in hold.charges:
            account = self._accounts[budget_id]
            counter = account.counter(period)
            counter.release(hold.key, hold.amount)
            counter.spent += spent
            account.forget()
        return hold


def _standing(account: _Account, now: float) -> Standing:
    counter, budget = account.at(now), account.budget
    assert account.newest is not None
    left = max(0, budget.cap_pusd - counter.spent - counter.held)
    return Standing(budget, account.newest, counter.spent, counter.held, left, account.resets_at())
