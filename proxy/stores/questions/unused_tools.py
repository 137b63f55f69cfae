"""Which tools calls defined that nobody who did ever called. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3

from proxy.policy.analysis.savings import LEAST_CALLS, Unused
from proxy.stores.database import marks
from proxy.stores.ledger.tool_rollups import DAY_MS

# keys of a tenant are one, as they most likely belong to the same program
_UNUSED = f"""WITH found AS MATERIALIZED (
                  SELECT tenant, CASE tenant WHEN '' THEN key ELSE '' END AS own, tool, provider, model, sum(calls) AS calls,
                         sum(called) AS called, sum(tokens) AS tokens, sum(cached_tokens) AS cached_tokens
                  FROM rollup_tools WHERE day >= ? AND tool <> '' {{more}} GROUP BY 1, 2, 3, 4, 5)
              SELECT model, provider, tool, sum(calls), sum(tokens), sum(cached_tokens) FROM found
              WHERE (tenant, own, tool) IN (SELECT tenant, own, tool FROM found GROUP BY tenant, own, tool
                                            HAVING sum(called) = 0 AND sum(calls) >= {LEAST_CALLS})
              GROUP BY model, provider, tool"""  # noqa: S608


def unused_tools(driver: sqlite3.Connection, since_ms: int, tenants: tuple[str, ...] | None) -> list[Unused]:
    """By name and provider, from the UTC day of this moment on; only of `tenants`, None: of all. Whether a tool is never
    called is judged over all names, but for each key or tenant by itself."""
    more = "" if tenants is None else f"AND tenant IN ({marks(tenants)})"
    return [Unused(*row) for row in driver.execute(_UNUSED.format(more=more), (since_ms // DAY_MS, *(tenants or ())))]
