"""What the periods of budgets have spent.

Most calls are charged to budgets of their key alone: where many keys call in turn, what a transaction adds goes to as many
places as there are calls. So it is kept as one row of `unsummed_spent` then, in the same transaction, and brought in where the
other sums are, every few seconds. Whoever asks adds what waits there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterable

import msgspec

from proxy.policy.money.narrowed import OF
from proxy.stores.journal.records import MOST_INT, Charge
from proxy.stores.ledger.statements import adding_up, bounded, no_pause, paused

_FEW = 64  # so many are brought in with their rows
_ADD = adding_up("budget_spent", ("budget", "period"), ("spent_pusd",))
_LEAVE = "INSERT INTO unsummed_spent (charges, amounts) VALUES (?, ?)"
_LEFT = "SELECT charges, amounts FROM unsummed_spent"
_TAKEN = "DELETE FROM unsummed_spent"
_charges = msgspec.json.Decoder(list[Charge])
_amounts = msgspec.json.Decoder(list[int])

Totals = dict[Charge, int]  # pusd


def charge(totals: Totals, charges: Iterable[Charge], amount_pusd: int) -> None:
    """Add an amount to each of the charges."""
    for one in charges:
        totals[one] = totals.get(one, 0) + amount_pusd


def keep(driver: sqlite3.Connection, totals: Totals, pause: Callable[[], object] = no_pause) -> None:
    """Bring them in at once."""
    rows = [(*charge, amount) for charge, amount in totals.items()]
    driver.executemany(_ADD, paused(rows if _are_usual(totals) else map(bounded, rows), pause))


def may_wait(budget: str) -> bool:
    """Whether what this budget has spent may wait: those of somebody's own are asked for while calls go on."""
    return OF not in budget


def leave(driver: sqlite3.Connection, totals: Totals, but: Container[str]) -> None:
    """Let them wait, where they are many; `but` for these budgets."""
    at_once = {one: amount for one, amount in totals.items() if OF in one[0] or one[0] in but}  # as `may_wait` has it
    waiting = {charge: amount for charge, amount in totals.items() if charge not in at_once} if at_once else totals
    if len(waiting) <= _FEW or not _are_usual(waiting):
        keep(driver, totals)
        return
    keep(driver, at_once)
    texts = (msgspec.json.encode(list(part)).decode() for part in (waiting, waiting.values()))
    driver.execute(_LEAVE, tuple(texts))


def waiting(driver: sqlite3.Connection) -> Totals:
    """All that waits."""
    totals: Totals = {}
    for charges, amounts in driver.execute(_LEFT):
        for one, amount in zip(_charges.decode(charges), _amounts.decode(amounts), strict=True):
            totals[one] = totals.get(one, 0) + amount
    return totals


def bring_in(driver: sqlite3.Connection, pause: Callable[[], object] = no_pause) -> None:
    """Let nothing wait any more."""
    if totals := waiting(driver):
        keep(driver, totals, pause)
        driver.execute(_TAKEN)


def _are_usual(totals: Totals) -> bool:
    amounts = totals.values()
    return max(amounts, default=0) <= MOST_INT and min(amounts, default=0) >= -MOST_INT
