"""What the newest calls held of budgets, beside what they came to. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3

from proxy.policy.analysis.savings import Held
from proxy.stores.database import marks

_LOOKED_AT = 20_000
_NEWEST = """SELECT model, provider, tenant, endpoint, status, output_tokens, hold_pusd, cost_pusd FROM attempts
             WHERE at_ms >= ? ORDER BY at_ms DESC LIMIT ?"""
_HELD = f"""SELECT model, provider, count(*), max(output_tokens), cast(avg(hold_pusd) AS INTEGER), max(cost_pusd)
            FROM ({_NEWEST}) WHERE provider <> '' AND status < 400 AND hold_pusd > 0 AND endpoint IN ({{texts}}) {{more}}
            GROUP BY model, provider"""  # noqa: S608


def holds(
    driver: sqlite3.Connection, since_ms: int, endpoints: frozenset[str], tenants: tuple[str, ...] | None
) -> list[Held]:
    """By name and provider, of calls to these endpoints that went well; only of `tenants`, None: of all."""
    return [Held(*row) for row in of_newest(driver, _HELD, since_ms, endpoints, tenants)]


def of_newest(
    driver: sqlite3.Connection, sql: str, since_ms: int, endpoints: frozenset[str], tenants: tuple[str, ...] | None
) -> sqlite3.Cursor:
    """What a statement says of the newest calls, with places for the endpoints (`texts`) and a bound of tenants (`more`)."""
    more = "" if tenants is None else f"AND tenant IN ({marks(tenants)})"
    asked = sql.format(texts=marks(endpoints), more=more)
    return driver.execute(asked, (since_ms, _LOOKED_AT, *endpoints, *(tenants or ())))
