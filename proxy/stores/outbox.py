"""What somebody has to be told: which thresholds of budgets were, and messages that are not delivered yet.

Every function works inside a transaction of its caller, over the driver alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from proxy.stores.journal.records import Charge

_STANDING = "SELECT spent_pusd, alerted_pusd FROM budget_spent WHERE budget = ? AND period = ?"
_TOLD = "UPDATE budget_spent SET alerted_pusd = ? WHERE budget = ? AND period = ?"
_ADD = "INSERT INTO outbox (id, hook, body, made_ms) VALUES (?, ?, ?, ?)"
_WAITING = "SELECT id, hook, body, made_ms FROM outbox ORDER BY seq"
_REMOVE = "DELETE FROM outbox WHERE id = ? AND hook = ?"


class Message(Struct, frozen=True):
    """`body` goes to the webhook `hook` stands for, under `id` over all tries. Made at UTC epoch milliseconds. `tries`: so often
    it was not taken before."""

    id: str
    hook: str
    body: str
    made_ms: int
    tries: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What it is known by: one message may go to several."""
        return self.id, self.hook


def standing(driver: sqlite3.Connection, charge: Charge) -> tuple[int, int]:
    """What a budget's period has spent, and the highest threshold in it that was told of."""
    found: tuple[int, int] | None = driver.execute(_STANDING, charge).fetchone()
    return found or (0, 0)


def told(driver: sqlite3.Connection, charge: Charge, threshold_pusd: int) -> None:
    """Remember a threshold as told."""
    driver.execute(_TOLD, (threshold_pusd, *charge))


def put(driver: sqlite3.Connection, messages: Iterable[Message]) -> None:
    """Keep messages until they are removed."""
    driver.executemany(_ADD, ((one.id, one.hook, one.body, one.made_ms) for one in messages))


def waiting(driver: sqlite3.Connection) -> list[Message]:
    """All there are, oldest first."""
    return [Message(*row) for row in driver.execute(_WAITING)]


def remove(driver: sqlite3.Connection, names: Iterable[tuple[str, str]]) -> None:
    """These are over."""
    driver.executemany(_REMOVE, names)
