"""The ledger's tables as tests fill and ask them: as its thread does, in a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from proxy.stores.database import raw
from proxy.stores.journal.records import Charge, Record
from proxy.stores.journal.segments import Position
from proxy.stores.ledger import known, sums
from proxy.stores.ledger.ledger import take

Given = Connection | sqlite3.Connection


def apply(connection: Given, batch: Sequence[tuple[Position, Record]], position: Position | None = None) -> set[Charge]:
    """Take records with their positions. `position` is given where it lies behind the last of them, or where there is none."""
    driver = raw(connection)
    changed, _ = take(driver, [record for _, record in batch], position or batch[-1][0])
    sums.bring_up_all(driver)
    return changed


def position(connection: Given) -> Position:
    """Up to where the journal is in there."""
    return known.position(raw(connection))


def spent(connection: Given, budgets: Iterable[str], *periods: int) -> dict[Charge, int]:
    """What the newest periods of each budget have spent."""
    return known.spent(raw(connection), budgets, *periods)
