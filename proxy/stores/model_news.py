"""What was new in the providers' lists of models, kept: inside a transaction of the caller, over the driver alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

_ADD = 'INSERT INTO catalogue_changes (at_ms, kind, provider, model, "before", "after", aliases) VALUES (?, ?, ?, ?, ?, ?, ?)'
_NEWEST = (
    'SELECT at_ms, kind, provider, model, "before", "after", aliases FROM catalogue_changes '
    "WHERE at_ms >= ? ORDER BY seq DESC LIMIT ?"
)
_DROP = "DELETE FROM catalogue_changes WHERE seq <= (SELECT max(seq) FROM catalogue_changes) - ?"
MOST_KEPT = 100_000


class News(Struct, frozen=True):
    """One change, as `proxy.policy.names.news.Change` has it, seen at UTC epoch milliseconds; `aliases` are the names under
    `models:` that go to the model."""

    at_ms: int
    kind: str
    provider: str
    model: str
    before: str = ""
    after: str = ""
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> News:
        """A row of the table."""
        at_ms, kind, provider, model, before, after, aliases = row
        return cls(at_ms, kind, provider, model, before, after, msgspec.json.decode(aliases, type=tuple[str, ...]))


def keep_news(driver: sqlite3.Connection, news: Iterable[News]) -> None:
    """Add them; the oldest of very many go."""
    rows = [
        (one.at_ms, one.kind, one.provider, one.model, one.before, one.after, msgspec.json.encode(one.aliases).decode())
        for one in news
    ]
    driver.executemany(_ADD, rows)
    driver.execute(_DROP, (MOST_KEPT,))


def newest_news(driver: sqlite3.Connection, since_ms: int, most: int) -> list[News]:
    """The newest first."""
    return [News.of(row) for row in driver.execute(_NEWEST, (since_ms, most))]
