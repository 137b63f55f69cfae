"""What providers billed beside what the ledger has, day by day: inside a transaction of the caller, over the driver alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.policy.analysis.bills import BillDay, Correction

MOST_SAMPLED = 5
_LOOKED_THROUGH = 500  # of the newest rows
_PUT = (
    "INSERT INTO bill_days (provider, tenant, day, value) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (provider, tenant, day) DO UPDATE SET value = excluded.value"
)
_CORRECT = (
    "INSERT INTO bill_corrections (at_ms, provider, tenant, day, delta_pusd, cause) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (provider, tenant, day) DO NOTHING"
)
_DAYS = "SELECT value FROM bill_days WHERE day >= ? ORDER BY day DESC, provider, tenant"
_NEWEST = "SELECT value FROM bill_days AS d WHERE day = (SELECT max(day) FROM bill_days WHERE provider = d.provider AND tenant = d.tenant)"
_CORRECTIONS = "SELECT at_ms, provider, tenant, day, delta_pusd, cause FROM bill_corrections WHERE day >= ? ORDER BY at_ms DESC, provider, tenant"
_SAMPLE = (
    "SELECT upstream_id, cost_pusd FROM (SELECT * FROM attempts ORDER BY seq DESC LIMIT ?) "
    "WHERE provider = ? AND at_ms >= ? AND source IN ('reported', 'computed', 'counted') "
    "AND upstream_id LIKE 'gen-%' ORDER BY random() LIMIT ?"
)


class KeptCorrection(Struct, frozen=True):
    """A correction, and when it was made (UTC epoch milliseconds)."""

    at_ms: int
    made: Correction


def keep_days(
    driver: sqlite3.Connection, days: Iterable[BillDay], corrections: Iterable[Correction], at_ms: int
) -> None:
    """Put days as they are now, and add corrections; a day has one."""
    driver.executemany(_PUT, [(d.provider, d.tenant, d.day, msgspec.json.encode(d).decode()) for d in days])
    driver.executemany(_CORRECT, [(at_ms, c.provider, c.tenant, c.day, c.delta_pusd, c.cause) for c in corrections])


def newest_days(driver: sqlite3.Connection) -> dict[tuple[str, str], BillDay]:
    """The newest day of every provider and tenant."""
    days = [msgspec.json.decode(value, type=BillDay) for (value,) in driver.execute(_NEWEST)]
    return {(day.provider, day.tenant): day for day in days}


def days_since(driver: sqlite3.Connection, day: str) -> tuple[list[BillDay], list[KeptCorrection]]:
    """Days and corrections of days from this one on, the newest first."""
    days = [msgspec.json.decode(value, type=BillDay) for (value,) in driver.execute(_DAYS, (day,))]
    made = driver.execute(_CORRECTIONS, (day,))
    return days, [KeptCorrection(at_ms, Correction(*columns)) for at_ms, *columns in made]


def sample_of(driver: sqlite3.Connection, provider: str, since_ms: int) -> list[tuple[str, int]]:
    """Some of the newest calls of a provider: the provider's id of each, and what it cost."""
    return driver.execute(_SAMPLE, (_LOOKED_THROUGH, provider, since_ms, MOST_SAMPLED)).fetchall()
