"""Which of the newest calls were as long as one before. The caller's transaction, plain SQL.

A hold is counted from a request's bytes and its maximum: with the provider's own count of tokens it tells requests apart
nearly as well as their words, of which nothing is kept.
"""

from __future__ import annotations

import sqlite3

from proxy.policy.analysis.savings import Repeated
from proxy.stores.questions.holds import of_newest

_LEAST_TOKENS = 32  # below it calls are as long as others by chance
_WITHIN_MS = 3_600_000
_NEWEST = "SELECT * FROM attempts WHERE at_ms >= ? ORDER BY at_ms DESC LIMIT ?"
_AS_LONG = "key, model, provider, endpoint, stream, input_tokens, hold_pusd"
_SINCE = f"at_ms - lag(at_ms) OVER (PARTITION BY {_AS_LONG} ORDER BY at_ms)"
_REPEATED = f"""SELECT model, provider, count(*), sum(coalesce(since_ms <= {_WITHIN_MS}, 0)),
                       cast(total(CASE WHEN since_ms <= {_WITHIN_MS} THEN cost_pusd ELSE 0 END) AS INTEGER)
                FROM (SELECT model, provider, cost_pusd, {_SINCE} AS since_ms FROM ({_NEWEST})
                      WHERE provider <> '' AND status < 400 AND hold_pusd > 0 AND input_tokens >= {_LEAST_TOKENS}
                      AND endpoint IN ({{texts}}) {{more}})
                GROUP BY model, provider"""  # noqa: S608


def repeats(
    driver: sqlite3.Connection, since_ms: int, endpoints: frozenset[str], tenants: tuple[str, ...] | None
) -> list[Repeated]:
    """By name and provider, of calls to these endpoints that went well; only of `tenants`, None: of all."""
    return [Repeated(*row) for row in of_newest(driver, _REPEATED, since_ms, endpoints, tenants)]
