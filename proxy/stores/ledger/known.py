"""What the ledger knows, as a start asks it: plain SQL over the driver alone, each answer about as fast for ten
million rows as for none. The caller's transaction; sqlite3.Error is the caller's as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from proxy.stores.failures import LedgerDamaged, LedgerTooNew
from proxy.stores.journal.records import MOST_INT, Charge
from proxy.stores.journal.segments import START, Position
from proxy.stores.ledger import spending

# of the tables, oldest first; a file with another one is from a later version
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
    "0022",
    "0023",
    "0024",
    "0025",
    "0026",
    "0027",
    "0028",
    "0029",
    "0030",
)

_PERIODS = 3
_TABLES = r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
_NEWEST = "SELECT period, spent_pusd FROM budget_spent WHERE budget = ? ORDER BY period DESC LIMIT ?"


def revision_of(driver: sqlite3.Connection, path: Path) -> str | None:
    """The revision of the tables; "" where no migration ran yet, None for an empty file.

    Raises `LedgerDamaged` where it is something else, `LedgerTooNew` for a revision this version has never heard of.
    """
    tables = {name for (name,) in driver.execute(_TABLES)}
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise LedgerDamaged(str(path), "it is a database of something else")
    (revision,) = driver.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    if revision and revision not in REVISIONS:
        raise LedgerTooNew(str(path), revision)
    return str(revision)


def position(driver: sqlite3.Connection) -> Position:
    """Up to where the journal is in here."""
    found = driver.execute('SELECT segment, "offset" FROM journal_position').fetchone()
    return START if found is None else Position(*found)


def spent(driver: sqlite3.Connection, budgets: Iterable[str], periods: int = _PERIODS) -> dict[Charge, int]:
    """What the newest periods of each budget have spent."""
    wanted = set(budgets)
    found = {
        (budget, period): amount for budget in wanted for period, amount in driver.execute(_NEWEST, (budget, periods))
    }
    if any(map(spending.may_wait, wanted)):
        for charge, amount in spending.waiting(driver).items():
            if charge[0] in wanted:
                found[charge] = min(MOST_INT, found.get(charge, 0) + amount)
    return found


def picture_times(driver: sqlite3.Connection) -> list[tuple[str, int]]:
    """Of the newest attempts, those for pictures that went well: model and milliseconds."""
    asked = driver.execute(
        "SELECT model, total_ms FROM attempts WHERE seq > (SELECT coalesce(max(seq), 0) FROM attempts) - 100000 "
        "AND endpoint LIKE 'images%' AND status BETWEEN 200 AND 299"
    )
    return [(model, total_ms) for model, total_ms in asked]
