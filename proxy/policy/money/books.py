"""The counters of every budget: what each period has spent, and what is held for calls under way.

A call takes a hold from all of its budgets in one step or from none. A hold is resolved once:
settled at what the call cost, in the periods it was taken in, or voided.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from proxy.policy.money.account import FITS, Account, BudgetSet, Exceeded, Fits, Room, Standing, Verdict
from proxy.policy.money.budgets import Budget, Subject
from proxy.policy.money.narrowed import OF, Narrowed
from proxy.policy.money.periods import is_period

Charge = tuple[str, int]  # budget id, period
InShadow = tuple[str, int, int]  # the same, and an amount of its own
Open = tuple[BudgetSet, int, tuple[InShadow, ...]]  # of what a call under way holds, how much, and of whom in shadow


class Books:
    """Every budget's counters. Nothing here waits, so nothing comes between a verdict and the hold it allows.

    Amounts are pusd, `now` is UTC epoch seconds, scopes are those of `budgets.py` and, where any budget is `narrowed`, what
    `under` makes of them. Budgets in shadow have no part in any verdict; `has_shadows` says whether there is one, `has_narrowed`
    whether there is a narrowed one.

    Every call takes and settles, few look. So calls are summed up by what binds them (`BudgetSet`), and `_count` brings the sums
    into the counters before anybody looks. `_drawn` is all that was ever taken: no budget has lost more since it was looked at,
    so that one with `enough` need not be looked at for every hold. Scopes that are `hidden` are of nobody who is still here: calls
    under way are bound by their budgets, or by those of `heirs` (by scope, and by a budget's id), and nobody is told of them.
    """

    def __init__(self, budgets: Iterable[Budget]) -> None:
        """Begin with nothing spent and nothing held."""
        self._accounts: dict[str, Account] = {}
        self._by_scope: dict[str, list[Account]] = {}
        self._of_scopes: dict[tuple[str, ...], list[Account]] = {}
        self._budget_sets: dict[tuple[tuple[str, ...], str], BudgetSet] = {}
        self._due: list[BudgetSet] = []
        self._drawn = 0
        self._holds: dict[str, Open] = {}
        self.has_shadows = self.has_narrowed = False
        self.hidden, self.heirs = frozenset[str](), dict[str, str]()
        self.narrowed = Narrowed(self._accounts, self._moved)
        self.replace(budgets)

    @property
    def open_holds(self) -> int:
        """How many holds are neither settled nor voided."""
        return len(self._holds)

    def under_way(self) -> list[tuple[str, Charge, int]]:
        """Every hold that is open, in each of its budgets."""
        return [(hold_id, charge, held) for hold_id, (of, held, _) in self._holds.items() for charge in of.charges]

    def replace(self, budgets: Iterable[Budget]) -> None:
        """Take on other budgets. One known by its id keeps its counters, also while it is not in force."""
        budgets = list(budgets)
        self._by_scope, self._of_scopes = {}, {}
        self._moved()
        for budget in budgets:
            if budget.each is not None:
                continue
            account = self._accounts.get(budget.id)
            if account is None:
                account = self._accounts[budget.id] = Account(budget, self._moved)
            else:
                account.change(budget)
            if not budget.is_narrowed:
                self._by_scope.setdefault(budget.scope, []).append(account)
        self.narrowed.replace(budget for budget in budgets if budget.is_narrowed)
        self.has_shadows = any(budget.shadow for budget in budgets)
        self.has_narrowed = any(budget.is_narrowed for budget in budgets)

    def load(self, budget_id: str, period: int, spent_pusd: int) -> None:
        """Set what a period has spent, as the ledger knows it. A budget not configured, or no period of it, is passed over. Closed
        periods are kept as well, until something is settled: holds still open in them may come back."""
        if self._has((budget_id, period)):
            self._count()
            self._accounts[budget_id].load(period, spent_pusd)
            self._moved()

    def under(self, scopes: tuple[str, ...], subject: Subject) -> tuple[str, ...]:
        """These scopes and the narrowed budgets of them that bind an attempt. What of these is `missing` has to be opened
        before it binds anybody."""
        return scopes + self.narrowed.ids(scopes, subject)

    def open(self, ids: Iterable[str], spent: dict[Charge, int]) -> None:
        """Have budgets that are somebody's own in memory, with what they have spent. What is there stays as it is."""
        self._count()
        self.narrowed.open(ids, spent)

    def is_bound(self, scopes: tuple[str, ...]) -> bool:
        """Whether any budget applies."""
        return bool(self._of(scopes))

    def spent_part(self, scopes: tuple[str, ...], now: float) -> int:
        """Of the budget of these scopes that has spent most of its cap, how much: in hundredths of a percent."""
        self._count()
        return max([account.spent_part(now) for account in self._of(scopes)], default=0)

    def judge(self, scopes: tuple[str, ...], key: str, amount: int, now: float) -> Verdict:
        """Whether every budget of these scopes lets `key` hold `amount`; else the first in the way for good,
        or the first in the way for now."""
        self._count()
        verdicts = [account.judge(key, amount, now) for account in self._of(scopes)]
        against = [verdict for verdict in verdicts if not isinstance(verdict, Fits)]
        return next((one for one in against if isinstance(one, Exceeded)), against[0] if against else FITS)

    def budget_set(self, scopes: tuple[str, ...], key: str, now: float) -> BudgetSet:
        """What binds the calls of a key under these scopes."""
        found = self._budget_sets.get((scopes, key))
        if found is None or not found.begun <= now < found.ends:
            self._count()
            if found is not None:
                found.ends = -inf  # whoever has it asks again
            found = BudgetSet(key, [(account, account.period(now)) for account in self._of(scopes)])
            if scopes in self._of_scopes:
                self._budget_sets[scopes, key] = found
        return found

    def hold(self, hold_id: str, budget_set: BudgetSet, amount: int, spare: int | None = None) -> bool:
        """Hold `amount` in all that binds together now, if `spare` more is free. None: a verdict in this step was that it fits."""
        after = self._drawn + amount
        if spare is not None and after + spare > budget_set.enough and amount:
            self._count()
            if budget_set.room(self._drawn).free_pusd < amount + spare:
                return False
        if amount < 0 or hold_id in self._holds:
            raise ValueError(f"the hold {hold_id!r} is open already, or negative")
        self._holds[hold_id] = budget_set, amount, ()
        self._drawn = after
        budget_set.holds += 1
        budget_set.held += amount
        if not budget_set.is_due:
            budget_set.is_due = True
            self._due.append(budget_set)
        return True

    def shadow_rooms(self, scopes: tuple[str, ...], key: str, now: float) -> list[tuple[str, Room]]:
        """What each budget of these scopes that is in shadow would leave `key`, by its id."""
        self._count()
        accounts = [account for scope in scopes for account in self._at(scope) if account.budget.shadow]
        return [(one.budget.id, BudgetSet(key, [(one, one.period(now))]).room(0)) for one in accounts]

    def take_in_shadow(self, hold_id: str, amounts: dict[str, int], now: float) -> tuple[Charge, ...]:
        """Hold for a call, beside what it has taken, what each of these budgets in shadow asks of it."""
        self._count()
        (budget_set, held, _), shadows = self._holds[hold_id], []
        for budget_id, amount in amounts.items():
            account = self._accounts[budget_id]
            account.at(now).add(budget_set.key, holds=1, held=amount)
            shadows.append((*account.charge, amount))
        self._holds[hold_id] = budget_set, held, tuple(shadows)
        return tuple((budget_id, period) for budget_id, period, _ in shadows)

    def grow(self, hold_id: str, amount: int) -> Verdict:
        """Hold `amount` more for a call under way, in the periods its hold is in; or nothing, where a cap is in the way."""
        self._count()
        budget_set, held, shadows = self._holds[hold_id]
        charges = [*budget_set.charges, *((budget_id, period) for budget_id, period, _ in shadows)]
        charged = [(self._accounts[budget_id], period) for budget_id, period in charges]
        for account, period in charged:
            counter, cap = account.counter(period), account.budget.cap_pusd
            if counter.spent + counter.held + amount > cap and not account.budget.shadow:
                return Exceeded(account.budget, max(0, cap - counter.spent - counter.held), account.resets_at())
        for account, period in charged:
            account.counter(period).add(budget_set.key, held=amount)
        self._drawn += amount
        grown = tuple((budget_id, period, of_it + amount) for budget_id, period, of_it in shadows)
        self._holds[hold_id] = budget_set, held + amount, grown
        return FITS

    def overdrawn(self, hold_id: str) -> list[str]:
        """The budgets in shadow, of those a hold is in, that hold more than they have."""
        self._count()
        accounts = [(self._accounts[budget_id], period) for budget_id, period, _ in self._holds[hold_id][2]]
        return [account.budget.id for account, period in accounts if account.budget.shadow and account.is_over(period)]

    def restore(self, hold_id: str, key: str, amount: int, charges: tuple[Charge, ...]) -> bool:
        """Hold again what a journal says is held; False where that hold is open."""
        if hold_id in self._holds:
            return False
        known = [(self._accounts[charge[0]], charge[1]) for charge in charges if self._has(charge)]
        self.hold(hold_id, BudgetSet(key, known), amount)
        self._count()
        for account, period in known:
            account.reach(period)
        return True

    def settle(self, hold_id: str, actual_pusd: int) -> int | None:
        """Turn a hold into spending; return by how much that is above the hold, or None where no such hold is open.

        Nothing is above a hold of nothing that no budget asked for: nothing bounded that call.
        """
        if actual_pusd < 0:
            raise ValueError("a cost cannot be negative")
        hold = self._holds.pop(hold_id, None)
        if hold is None:
            return None
        budget_set, held, shadows = hold
        budget_set.holds -= 1
        budget_set.held -= held
        budget_set.spent += actual_pusd
        if not budget_set.is_due:
            budget_set.is_due = True
            self._due.append(budget_set)
        if shadows:
            self._settle_shadows(budget_set.key, shadows, actual_pusd)
        if actual_pusd <= held:
            return 0
        self._drawn += actual_pusd - held
        return actual_pusd - held if held or budget_set.charges else 0

    def void(self, hold_id: str) -> bool:
        """Give a hold back, for a call that cost nothing; False where no such hold is open."""
        return self.settle(hold_id, 0) is not None

    def adjust(self, budget_id: str, period: int, delta_pusd: int) -> bool:
        """Correct what a period has spent; below nothing it is credit. False where there is no such budget."""
        account = self._accounts.get(budget_id)
        if account is None:
            return False
        self._count()
        self._drawn += max(0, delta_pusd)
        account.counter(period).spent += delta_pusd
        account.reach(period)
        account.forget()
        return True

    def room(self, scopes: tuple[str, ...], key: str, now: float) -> Room | None:
        """What the tightest of the budgets leaves `key`; None where no budget applies."""
        self._count()
        budget_set = self.budget_set(scopes, key, now)
        return budget_set.room(self._drawn) if budget_set.charges else None

    def state(self, now: float) -> list[Standing]:
        """Where every budget in force stands, but for those that are somebody's own."""
        self._count()
        narrowed = [account for budget in self.narrowed.templates() for account in self.narrowed.at(budget.id)]
        plain = [account for accounts in self._by_scope.values() for account in accounts]
        return [account.standing(now) for account in plain + narrowed if account.budget.scope not in self.hidden]

    def standing(self, budget_id: str, now: float) -> Standing | None:
        """Where one budget stands, somebody's own in memory too; None where it is not in force."""
        self._count()
        narrowed = [account.standing(now) for account in self.narrowed.at(budget_id)]
        return next((s for s in narrowed or self.state(now) if s.budget.id == budget_id), None)

    def standings(self, scopes: tuple[str, ...], now: float) -> list[Standing]:
        """Where those stand that bind a call under these scopes."""
        self._count()
        return [account.standing(now) for scope in scopes for account in self._at(scope)]

    def own_state(self, now: float) -> list[Standing]:
        """Where those stand that are somebody's own and in memory."""
        self._count()
        return [one.standing(now) for one in self.narrowed.own() if one.budget.scope not in self.hidden]

    def _has(self, charge: Charge) -> bool:
        account = self._accounts.get(charge[0])
        return account is not None and is_period(account.budget, charge[1])

    def _of(self, scopes: tuple[str, ...]) -> list[Account]:
        found = self._of_scopes.get(scopes)
        if found is None:
            accounts = [account for scope in scopes for account in self._at(scope)]
            found = [account for account in accounts if not account.budget.shadow]
            if not any(OF in scope for scope in scopes):  # somebody's own come and go
                self._of_scopes[scopes] = found
        return found

    def _moved(self) -> None:
        """Nothing of what was put together binds as it did."""
        for budget_set in self._budget_sets.values():
            budget_set.ends = -inf
        self._budget_sets.clear()

    def _at(self, scope: str) -> list[Account]:
        scope = self.heirs.get(scope, scope)
        return self._by_scope.get(scope) or self.narrowed.at(scope)

    def _settle_shadows(self, key: str, shadows: tuple[InShadow, ...], spent: int) -> None:
        self._count()
        for budget_id, period, amount in shadows:
            account = self._accounts[budget_id]
            self._drawn += max(0, spent - amount)  # one of them may be in force by now
            account.counter(period).add(key, holds=-1, held=-amount, spent=spent)
            account.forget()

    def _count(self) -> None:
        """Bring what calls took and spent since the latest look into the counters."""
        due, self._due = self._due, []
        for budget_set in due:
            budget_set.count()
        for budget_set in due:
            budget_set.forget()
