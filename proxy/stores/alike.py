"""Attempts that are alike: told apart once, for all that is summed up of them and for how they are added to the ledger.

A value that goes into a statement by itself costs as much as all else that is done with it. Most columns of most rows
have nothing in them, or yes or no: that is written into the statement, which rows that have it share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

from proxy.stores.records import Row

NAMES = ("key", "tenant", "provider", "model", "endpoint", "source")  # what sums are told apart by
MINUTE_MS = 60_000

Names = tuple[str, ...]  # in the order of NAMES
Rest = tuple[Any, ...]  # in the order of _REST
Groups = dict[tuple[int, Names, Rest], list[Row]]  # by the minute since the epoch
Adding = tuple[str, Callable[[Row], tuple[Any, ...]]]  # a statement, and the values it wants of a row

# what many rows have in common besides
_REST = (
    "asked", "status", "attempt", "error", "message", "stream", "adjusted", "counts_call", "times", "connect_ms", "tags",
    "tenant", "use_case", "arm", "saved_pusd",
)  # fmt: skip
_OF_EACH = ("session", "decision", "first_token_ms")  # what is each row's own, where it has any
_LITERALS = {None: "NULL", "": "''", 0: "0", 1: "1"}  # False and True are 0 and 1

names_of: Callable[[Row], Names] = attrgetter(*NAMES)
_rest_of: Callable[[Row], Rest] = attrgetter(*_REST)


def alike(rows: Iterable[Row]) -> Groups:
    """The rows, with those together that differ in what each has for itself only."""
    groups: Groups = {}
    for row in rows:
        kind = row.at_ms // MINUTE_MS, names_of(row), _rest_of(row)
        same = groups.get(kind)
        if same is None:
            groups[kind] = [row]
        else:
            same.append(row)
    return groups


def adding(groups: Groups) -> Iterator[tuple[Adding, list[Row]]]:
    """The statements that add them to the table of attempts, each with its rows."""
    together: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for (_, _, rest), rows in groups.items():
        together.setdefault(_written(rest), []).extend(rows)
    for written, rows in together.items():
        for name in _OF_EACH:
            values = set(map(attrgetter(name), rows))
            if len(values) == 1 and (literal := _LITERALS.get(values.pop())):
                written += ((name, literal),)
        yield _adding(written), rows


@lru_cache(maxsize=1024)
def _written(rest: Rest) -> tuple[tuple[str, str], ...]:
    """The columns that are in the statement."""
    return tuple((name, _LITERALS[value]) for name, value in zip(_REST, rest, strict=True) if value in _LITERALS)


@lru_cache(maxsize=128)
def _adding(written: tuple[tuple[str, str], ...]) -> Adding:
    literals = dict(written)
    columns = ", ".join(f'"{name}"' for name in Row.__struct_fields__)
    values = ", ".join(literals.get(name, "?") for name in Row.__struct_fields__)
    own = [name for name in Row.__struct_fields__ if name not in literals]
    return f"INSERT INTO attempts ({columns}) VALUES ({values})", attrgetter(*own)  # noqa: S608
