"""Roll-ups of the tools that calls defined, by UTC day: how many calls did, in how many a tool was called, and about how much
its definitions came to. Kept in the transaction that brings the rows.

Tools stand before everything else of a prompt, so that what a provider's cache has of it is theirs first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from proxy.stores.database import marks
from proxy.stores.records import MOST_INT, Settled
from proxy.wire.toolset import OTHER, definitions

PLACE = ("key", "tool", "tenant", "provider", "model")  # behind the day
COUNTS = ("calls", "called", "tokens", "cached_tokens")

DAY_MS = 86_400_000
_DAYS_KEPT = 400
_MOST_NAMED = 256  # of a key on one day
_ADD = (
    f"INSERT INTO rollup_tools (day, {', '.join(PLACE)}, {', '.join(COUNTS)}) VALUES ({marks(('', *PLACE, *COUNTS))}) "
    f"ON CONFLICT (day, {', '.join(PLACE)}) DO UPDATE SET "
    + ", ".join(f"{name} = min({MOST_INT}, rollup_tools.{name} + excluded.{name})" for name in COUNTS)
)
_NAMED = "SELECT DISTINCT tool FROM rollup_tools WHERE day = ? AND key = ?"
_PRUNE = """DELETE FROM rollup_tools WHERE day IN
            (SELECT day FROM rollup_tools WHERE day < (SELECT max(day) FROM rollup_tools) - ? ORDER BY day LIMIT ?)"""
Place = tuple[int, str, str, str, str, str]  # the day since the epoch, then PLACE
Alike = tuple[int, str, str, str, str]  # the same without the tool
# with what was offered and called, and how many tokens of it were read, and cached
Told = tuple[Alike, str, tuple[str, ...], int, int]


def add(driver: sqlite3.Connection, fresh: Sequence[Settled]) -> None:
    """Count what these say of tools."""
    found: dict[Place, list[int]] = {}
    for ((day, key, tenant, provider, model), offered, called, read, cached), times in _alike(fresh).items():
        sizes, total = definitions(offered)
        for tool, tokens in sizes:
            sums = found.setdefault((day, key, tool, tenant, provider, model), [0, 0, 0, 0])
            more = 1, tool in called, tokens * read // max(1, total), tokens * cached // max(1, total)
            sums[:] = [old + times * new for old, new in zip(sums, more, strict=True)]
    driver.executemany(_ADD, _bounded(driver, found))


def prune(driver: sqlite3.Connection, at_once: int) -> bool:
    """Remove some days that are too old; True when there may be more."""
    return driver.execute(_PRUNE, (_DAYS_KEPT, at_once)).rowcount >= at_once


def _alike(fresh: Sequence[Settled]) -> dict[Told, int]:
    """How many of them say the same; no definitions come to more than a call read."""
    found: dict[Told, int] = {}
    for record in fresh:
        row = record.row
        read = min(definitions(record.offered)[1], row.input_tokens)
        place = row.at_ms // DAY_MS, row.key, row.tenant, row.provider, row.model
        told = place, record.offered, record.called, read, min(read, row.cached_input_tokens)
        found[told] = found.get(told, 0) + 1
    return found


def _bounded(driver: sqlite3.Connection, found: dict[Place, list[int]]) -> Iterator[tuple[int | str, ...]]:
    """As rows; of a key that names too many tools on a day those that came later have the name of all others."""
    named: dict[tuple[int, str], set[str]] = {}
    for (day, key, tool, *others), sums in found.items():
        names = named.get((day, key))
        if names is None:
            names = named[day, key] = {OTHER, *(name for (name,) in driver.execute(_NAMED, (day, key)).fetchall())}
        if len(names) <= _MOST_NAMED:
            names.add(tool)
        yield (day, key, tool if tool in names else OTHER, *others, *sums)
