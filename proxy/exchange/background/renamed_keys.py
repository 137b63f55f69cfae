"""Keys that were given another name. It lifts no cap: what their budgets have spent goes on under it, and what their calls under
way hold and cost counts there as well."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from proxy.policy.money.account import Standing
from proxy.policy.money.books import Books, Charge
from proxy.policy.money.budgets import Budget, key_scope
from proxy.policy.money.narrowed import OF
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Adjusted

if TYPE_CHECKING:
    from proxy.exchange.held import Booked

Inherited = tuple[Standing, str]  # where a budget stood, and what it is called under the new name


def heir_of(budget: Budget, old: str, new: str) -> str | None:
    """What a budget that is the key's alone is called under its new name; None for others."""
    (template, at, of), scope = budget.id.partition(OF), key_scope(old)
    is_own = budget.scope == scope
    if is_own:
        template = key_scope(new) + template.removeprefix(scope)
    if budget.each in ("key", "session") and of.partition("/")[0] == old:
        is_own, of = True, new + of.removeprefix(old)
    return template + at + of if is_own else None


def unopened(books: Books, names: tuple[str, str], now: float) -> list[str]:
    """Those of both names that are not in memory, of budgets that give every key and session one of its own."""
    each = [budget.id for budget in books.narrowed.templates() if budget.each == "key"]
    heirs = [heir_of(standing.budget, *names) for standing in books.own_state(now)]
    ids = [f"{template}{OF}{name}" for template in each for name in names] + [
        heir for heir in heirs if heir is not None
    ]
    return books.narrowed.missing(ids)


def inherited(books: Books, standings: Iterable[Standing], names: tuple[str, str], now: float) -> list[Inherited]:
    """Of these budgets the key's own, each with that in force which is its heir."""
    found = [(standing, heir_of(standing.budget, *names)) for standing in standings]
    return [(at, heir) for at, heir in found if heir is not None and books.standing(heir, now) is not None]


def moved(pairs: Iterable[Inherited], names: tuple[str, str], now: float) -> list[Adjusted]:
    """What they have spent and hold, in their heirs' place of theirs."""
    records: list[Adjusted] = []
    for standing, heir in pairs:
        records += _move(
            (standing.budget.id, standing.period), heir, standing.spent_pusd + standing.held_pusd, names, now
        )
    return records


def _move(charge: Charge, heir: str, pusd: int, names: tuple[str, str], now: float) -> list[Adjusted]:
    why, (budget, period) = "the key {} is called {} now".format(*names), charge
    sides = ((heir, pusd), (budget, -pusd)) if pusd else ()
    return [Adjusted(f"adj_{secrets.token_hex(12)}", int(now * 1000), at, period, part, why) for at, part in sides]


class RenamedKeys:
    """Of one daemon. `_heirs` are by the former name, `_open` the holds there were then: what of each was moved, and where to."""

    def __init__(self, books: Books, journal: Journal) -> None:
        """Nobody was renamed yet."""
        self._books, self._journal = books, journal
        self._heirs: dict[str, dict[str, str]] = {}
        self._open: dict[str, dict[Charge, tuple[str, int, tuple[str, str]]]] = {}

    def heirs(self, known: Container[str]) -> dict[str, str]:
        """By which budgets calls under a former name are bound, but for names that somebody has again."""
        found: dict[str, str] = {}
        for name, heirs in self._heirs.items():
            found |= {} if key_scope(name) in known else heirs
        return found

    def carry(self, old: str, new: str, now: float) -> list[str]:
        """Move what the budgets have spent and hold; their heirs' names. Raises `JournalUnwritable`."""
        books, names = self._books, (old, new)
        plain = [budget.id for budget in books.narrowed.templates() if budget.scope == key_scope(old)]
        standings = books.standings((key_scope(old), *plain), now) + books.own_state(now)
        pairs = inherited(books, standings, names, now)
        periods = {(at.budget.id, at.period): heir for at, heir in pairs}
        led = {key_scope(old): key_scope(new), **{budget: heir for (budget, _), heir in periods.items()}}
        for heirs in self._heirs.values():
            heirs.update({was: led.get(heir, heir) for was, heir in heirs.items()})
        self._heirs[old] = led
        for open_ in self._open.values():
            open_.update({charge: (led.get(heir, heir), pusd, why) for charge, (heir, pusd, why) in open_.items()})
        for hold_id, charge, pusd in books.under_way():
            if charge in periods:
                self._open.setdefault(hold_id, {}).setdefault(charge, (periods[charge], pusd, names))
        records = moved(pairs, names, now)
        self._write(records)
        return [heir for at, heir in pairs if at.spent_pusd or at.held_pusd]

    def saw(self, booked: Booked) -> None:
        """An attempt has ended: what it held was moved, what it cost is."""
        if not self._open or (open_ := self._open.pop(booked[0].id, None)) is None:
            return
        row = booked[0]
        with contextlib.suppress(JournalUnwritable):  # then the hold stays charged
            for charge, (heir, pusd, names) in open_.items():
                if heir != charge[0]:
                    self._write(_move(charge, heir, row.cost_pusd - pusd, names, row.at_ms / 1000))

    def _write(self, records: Iterable[Adjusted]) -> None:
        for record in records:
            self._journal.append(record)
            self._books.adjust(record.budget, record.period, record.delta_pusd)
