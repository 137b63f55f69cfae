"""Roll-ups of the tools that calls defined, by UTC day: how many calls did, in how many a tool was called, and about how much
its definitions came to. Kept in the transaction that brings the rows.

Tools stand before everything else of a prompt, so that what a provider's cache has of it is theirs first.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from proxy.stores.journal.records import MOST_INT, Corrected, Row, Settled
from proxy.wire.toolset import MOST_NAMED, OTHER, definitions

PLACE = ("key", "tool", "tenant", "provider", "model")  # behind the day
COUNTS = ("calls", "called", "tokens", "cached_tokens")
DAY_MS = 86_400_000

_DAYS_KEPT = 400
_MOST_OF_KEY = 256  # names on one day
# All tools of so many calls that are alike, in one statement: it takes a third of what a row at a time does.
_ADD = f"""INSERT INTO rollup_tools (day, key, tenant, provider, model, tool, calls, called, tokens, cached_tokens)
           SELECT ?1, ?2, ?3, ?4, ?5, key, ?6, 0, ?6 * (value * ?7 / ?9), ?6 * (value * ?8 / ?9) FROM json_each(?10) WHERE true
           ON CONFLICT DO UPDATE SET calls = min({MOST_INT}, calls + excluded.calls), tokens = min({MOST_INT}, tokens + excluded.tokens),
           cached_tokens = min({MOST_INT}, cached_tokens + excluded.cached_tokens)"""  # noqa: S608
_CALLED = """UPDATE rollup_tools SET called = called + ?
             WHERE day = ? AND key = ? AND tenant = ? AND provider = ? AND model = ? AND tool = ?"""
_MANY = f"SELECT 1 FROM rollup_tools WHERE day = ? AND key = ? LIMIT 1 OFFSET {_MOST_OF_KEY - MOST_NAMED}"  # noqa: S608
_NAMED = "SELECT DISTINCT tool FROM rollup_tools WHERE day = ? AND key = ?"
_PRUNE = """DELETE FROM rollup_tools WHERE day IN
            (SELECT day FROM rollup_tools WHERE day < (SELECT max(day) FROM rollup_tools) - ? ORDER BY day LIMIT ?)"""

Place = tuple[int, str, str, str, str]  # day since the epoch, key, tenant, provider, model
Offer = tuple[Place, str, int, int]  # what was offered, and how many tokens of that were read, and had by a cache
Named = dict[tuple[int, str], set[str]]  # the tools of a day and key, where these are many


def add(driver: sqlite3.Connection, fresh: Sequence[Settled]) -> None:
    """Count what these say of tools."""
    offers = Counter([_offer_of(record.row, record.offered) for record in fresh])
    called: Counter[tuple[Place, str]] = Counter()
    for record in fresh:
        if record.called and definitions(record.offered)[1]:
            place = _place_of(record.row)
            called.update([(place, tool) for tool in record.called])
    _add(driver, offers, called)


def correct(driver: sqlite3.Connection, corrected: Iterable[Corrected]) -> None:
    """Put what a correction says of tokens in the place of what was said before."""
    offers = Counter[Offer]()
    for record in corrected:
        if record.offered:
            offers[_offer_of(record.was, record.offered)] -= 1
            offers[_offer_of(record.row, record.offered)] += 1
    _add(driver, offers, {})


def _offer_of(row: Row, offered: str) -> Offer:
    """No definitions come to more than a call read."""
    read = min(definitions(offered)[1], row.input_tokens)
    return _place_of(row), offered, read, min(read, row.cached_input_tokens)


def _place_of(row: Row) -> Place:
    return row.at_ms // DAY_MS, row.key, row.tenant, row.provider, row.model


def _add(driver: sqlite3.Connection, offers: Mapping[Offer, int], called: Mapping[tuple[Place, str], int]) -> None:
    named: Named = {}
    for (place, offered, read, cached), times in offers.items():
        if times and (total := definitions(offered)[1]):
            driver.execute(_ADD, (*place, times, read, cached, total, _bounded(driver, named, place, offered)))
    for (place, tool), times in called.items():
        names = named.get(place[:2])
        driver.execute(_CALLED, (times, *place, tool if names is None or tool in names else OTHER))


def prune(driver: sqlite3.Connection, at_once: int) -> bool:
    """Remove some days that are too old; True when there may be more."""
    return driver.execute(_PRUNE, (_DAYS_KEPT, at_once)).rowcount >= at_once


def _bounded(driver: sqlite3.Connection, named: Named, place: Place, offered: str) -> str:
    """What is offered; of a key that names too many tools on a day those that come later have the name of all others."""
    names = named.get(place[:2])
    if names is None:
        if driver.execute(_MANY, place[:2]).fetchone() is None:
            return offered
        names = named[place[:2]] = {OTHER, *(name for (name,) in driver.execute(_NAMED, place[:2]).fetchall())}
    sizes: dict[str, int] = {}
    for name, tokens in definitions(offered)[0].items():
        if len(names) <= _MOST_OF_KEY:
            names.add(name)
        kept = name if name in names else OTHER
        sizes[kept] = sizes.get(kept, 0) + tokens
    return msgspec.json.encode(sizes).decode()
