"""Budgets that bind some calls only, and those that give every session, key or tag a sum of its own.

Of the latter only those in use are in memory: one that nobody uses is forgotten, and what it has spent is asked of whoever
wrote it down when it is used again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from proxy.policy.money.account import Account
from proxy.policy.money.budgets import Budget, Each, Subject

MOST_OWN = 10_000
_MOST_KNOWN = 4096
OF = "@"  # between a budget's id and whose own it is


class Narrowed:
    """`accounts` are those of the books, by id, `moved` as they have it. What is said to be in use (`using`) is not forgotten."""

    def __init__(self, accounts: dict[str, Account], moved: Callable[[], None]) -> None:
        self._accounts = accounts
        self._moved = moved
        self._budgets: dict[str, Budget] = {}
        self._fitting: dict[tuple[tuple[str, ...], Subject], list[Budget]] = {}
        self._own: OrderedDict[str, Account] = OrderedDict()
        self._uses: dict[str, int] = {}

    def replace(self, budgets: Iterable[Budget]) -> None:
        """Take on other budgets; what is in memory of them goes on."""
        self._budgets = {budget.id: budget for budget in budgets}
        self._fitting = {}
        for identity, account in self._own.items():
            if (budget := self.budget_of(identity)) is not None:
                account.change(budget)

    def budget_of(self, identity: str) -> Budget | None:
        """Somebody's own budget by its id; None for any other, or of a budget that is not in force."""
        template, at, of = identity.partition(OF)
        budget = self._budgets.get(template)
        return replace(budget, id=identity, of=of) if at and budget is not None and budget.each is not None else None

    def ids(self, scopes: tuple[str, ...], subject: Subject) -> tuple[str, ...]:
        """The budgets that bind an attempt beside those of its scopes alone."""
        found: list[str] = []
        for budget in self._fit(scopes, subject):
            found += (
                [budget.id] if budget.each is None else [f"{budget.id}{OF}{of}" for of in own(budget.each, subject)]
            )
        return tuple(found)

    def _fit(self, scopes: tuple[str, ...], subject: Subject) -> list[Budget]:
        """Whatever its session, which no budget names."""
        asked = scopes, subject._replace(session="")
        found = self._fitting.get(asked)
        if found is None:
            if len(self._fitting) >= _MOST_KNOWN:
                self._fitting.clear()
            within = [budget for budget in self._budgets.values() if budget.scope in scopes]
            found = [budget for budget in within if budget.only is None or budget.only.fits(subject)]
            self._fitting[asked] = found
        return found

    def at(self, identity: str) -> list[Account]:
        """The account of this id, none where it binds nobody now."""
        is_bound = identity.partition(OF)[0] in self._budgets and identity in self._accounts
        return [self._accounts[identity]] if is_bound else []

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Those that are somebody's own, and not in memory."""
        return [one for one in ids if one not in self._own and self.budget_of(one) is not None]

    def open(self, ids: Iterable[str], spent: Mapping[tuple[str, int], int]) -> None:
        """Have somebody's own accounts in memory from now on, with what each period has spent. One that is there stays."""
        opened = set()
        for identity in ids:
            budget = self.budget_of(identity)
            if budget is not None and identity not in self._own:
                self._own[identity] = self._accounts[identity] = Account(budget, self._moved)
                opened.add(identity)
        for (identity, period), amount in spent.items():
            if identity in opened:
                self._accounts[identity].load(period, amount)
        if len(self._own) > MOST_OWN:
            self._forget()

    @contextmanager
    def using(self, ids: tuple[str, ...]) -> Iterator[None]:
        """A call asks for room in these, or waits for it."""
        for one in ids:
            self._uses[one] = self._uses.get(one, 0) + 1
        try:
            yield
        finally:
            for one in ids:
                left = self._uses.pop(one) - 1
                if left:
                    self._uses[one] = left
                if one in self._own:
                    self._own.move_to_end(one)

    def templates(self) -> Iterable[Budget]:
        """All of them, as they are configured."""
        return self._budgets.values()

    def own(self) -> Iterable[Account]:
        """Those that are somebody's own and in memory, the one used last at the end."""
        return [account for one, account in self._own.items() if one.partition(OF)[0] in self._budgets]

    def _forget(self) -> None:
        """Forget a part of those that nobody uses now, those that were not used for longest first."""
        idle = [one for one, account in self._own.items() if one not in self._uses and account.is_idle]
        for one in idle[: MOST_OWN // 10]:
            del self._own[one], self._accounts[one]


def own(each: Each, subject: Subject) -> tuple[str, ...]:
    """Whose own budgets an attempt falls under. The same session id under two keys is two sessions."""
    if each == "key":
        return (subject.key,) if subject.key else ()
    if each == "tag":
        return subject.tags
    return (f"{subject.key}/{subject.session}",) if subject.session else ()
