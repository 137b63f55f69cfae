"""The statements by which rows and sums are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from proxy.stores.database import marks
from proxy.stores.journal.records import MOST_INT

_PAUSE_BEHIND = 1000  # some 5 ms of the thread that fills the ledger, which may have a quarter of a core
ItemT = TypeVar("ItemT")


def insert(table: str, columns: Sequence[str]) -> str:
    """What adds a row to a table."""
    return f"INSERT INTO {table} ({', '.join(map(quoted, columns))}) VALUES ({marks(columns)})"


def quoted(column: str) -> str:
    """The column as a statement has it."""
    return f'"{column}"'


def adding_up(table: str, key: Sequence[str], counters: Sequence[str]) -> str:
    """Insert, or add to the row that is there. An overflow stays at the largest number."""
    sums_up = ", ".join(f'"{name}" = min({MOST_INT}, {table}."{name}" + excluded."{name}")' for name in counters)
    return f"{insert(table, [*key, *counters])} ON CONFLICT ({', '.join(map(quoted, key))}) DO UPDATE SET {sums_up}"


def bounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """No integer that a column cannot hold: an upstream may have named it."""
    return tuple(max(-MOST_INT, min(value, MOST_INT)) if isinstance(value, int) else value for value in row)


def paused(items: Iterable[ItemT], pause: Callable[[], object]) -> Iterator[ItemT]:
    """The same, with a pause behind every so many: what takes long lets other work in between."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % _PAUSE_BEHIND:
            pause()


def no_pause() -> None:
    """Nothing else is to be done meanwhile."""
