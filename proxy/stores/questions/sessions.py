"""The sessions of agents that the ledger knows, the one used last first. The caller's transaction, plain SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from proxy.stores.journal.records import Record
from proxy.stores.ledger.tally import COUNTERS, QUARTER_MS, session_of, tally

_PART = 2**32  # sums are added in two parts: of whole numbers a few odd rows would make them overflow
_SHOWN = ("calls", "input_tokens", "output_tokens", "cost_pusd")
_SUMS = ", ".join(f'sum("{name}" / {_PART}), sum("{name}" % {_PART})' for name in _SHOWN)
_LATEST = (
    f"SELECT key, session, min(quarter), max(quarter), {_SUMS} FROM sums_by_session WHERE quarter >= ? "
    "AND (? IS NULL OR tenant IN (SELECT value FROM json_each(?))) "
    "GROUP BY key, session ORDER BY max(quarter) DESC LIMIT ?"
)
_KEYS = (  # of a session that was stopped at its first call here, there is a refusal only
    "SELECT key FROM sums_by_session WHERE session = ?1 "
    "UNION SELECT key FROM attempts WHERE session = ?1 AND session <> '' ORDER BY key"
)


class KnownSession(Struct):
    """What a session has done. Moments are the beginnings of quarter-hours, UTC epoch milliseconds."""

    key: str
    session: str
    first_ms: int
    last_ms: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_pusd: int


class SessionsQuestion(Struct, frozen=True):
    """Those that did anything since then, in whole quarter-hours; only under keys of `tenants`, None: of all."""

    since_ms: int
    most: int
    tenants: tuple[str, ...] | None = None


def latest_sessions(driver: sqlite3.Connection, asked: SessionsQuestion) -> list[KnownSession]:
    """The sessions asked for."""
    tenants = None if asked.tenants is None else json.dumps(asked.tenants)
    rows = driver.execute(_LATEST, (asked.since_ms // QUARTER_MS, tenants, tenants, asked.most))
    return [
        KnownSession(key, session, first * QUARTER_MS, last * QUARTER_MS, *_whole(halves))
        for key, session, first, last, *halves in rows
    ]


def keys_of_session(driver: sqlite3.Connection, session: str) -> list[str]:
    """The keys under which a session of this id has called."""
    return [key for (key,) in driver.execute(_KEYS, (session,))]


def with_tail(known: list[KnownSession], records: Iterable[Record], asked: SessionsQuestion) -> list[KnownSession]:
    """The same with what the journal has and the ledger has not."""
    by_name = {(one.key, one.session): one for one in known}
    for (quarter, key, *_, tenant, session), counts in tally(records, session_of).items():
        if not session or quarter < asked.since_ms // QUARTER_MS:
            continue
        if asked.tenants is not None and tenant not in asked.tenants:
            continue
        at_ms, added = quarter * QUARTER_MS, dict(zip(COUNTERS, counts, strict=True))
        one = by_name.setdefault((key, session), KnownSession(key, session, at_ms, at_ms, 0, 0, 0, 0))
        one.first_ms, one.last_ms = min(one.first_ms, at_ms), max(one.last_ms, at_ms)
        for name in _SHOWN:
            setattr(one, name, getattr(one, name) + added[name])
    return sorted(by_name.values(), key=lambda one: (-one.last_ms, -one.cost_pusd, one.session, one.key))


def _whole(halves: list[int]) -> list[int]:
    return [high * _PART + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
