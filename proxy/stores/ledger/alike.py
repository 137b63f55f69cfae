"""Attempts that are alike: told apart once, for all that is summed up of them and for how they are added to the ledger.

To bind a value to a statement costs as much as all else that is done with it. What rows have in common is written into
their statement instead: where there are some that have nothing in a column, or yes or no; where there are many, numbers
and plain names as well, and that of their key where one alone has called.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from proxy.stores.journal.records import MOST_INT, Row

NAMES = ("key", "tenant", "provider", "model", "endpoint", "source")  # what sums are told apart by
MINUTE_MS = 60_000

Names = tuple[str, ...]  # in the order of NAMES
Columns = dict[str, tuple[Any, ...]]  # of rows, by their names
Groups = dict[tuple[int, "Rest"], "Rows"]  # by the minute since the epoch, and what else they have in common
Written = tuple[tuple[str, str], ...]  # columns, with what they hold

# what many rows have in common besides their key
_REST = (
    "tenant", "provider", "model", "endpoint", "source", "asked", "upstream_model", "served", "status", "outcome", "attempt",
    "error", "message", "stream", "adjusted", "counts_call", "times", "connect_ms", "tags", "use_case", "arm", "saved_pusd",
)  # fmt: skip
# what is each row's own, where it has any
_OWN = (
    "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "first_token_ms", "waited_ms", "session", "decision",
)  # fmt: skip
_LITERALS: dict[Any, str] = {None: "NULL", "": "''", 0: "0", 1: "1"}  # False and True are 0 and 1
_MANY = 64
_BLOCKS = (64, 16, 4, 1)  # rows in one statement: more gain little, and one alone costs twice as much as in a block
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]*")  # ends no literal, and begins nothing within one
_MOST_PLAIN = 1000


Picked = Callable[[Row], tuple[Any, ...]]


def _picked(names: Iterable[str]) -> Picked:
    """What makes these columns of a row a tuple: an `attrgetter` takes twice as long."""
    made: Picked = eval(f"lambda row: ({''.join(f'row.{name}, ' for name in names)})")  # noqa: S307 - names of ours
    return made


class Rows(list[Row]):
    """Rows that are alike, and where they are many, their columns: all of one are found in a step of C."""

    columns: Columns | None = None

    def by_column(self) -> Columns | None:
        """Their columns, where it is worth it; the same whoever asks."""
        if self.columns is None and len(self) >= _MANY:
            self.columns = dict(zip(Row.__struct_fields__, zip(*map(astuple, self), strict=True), strict=True))
        return self.columns


class _Written(Struct, frozen=True, eq=False):
    """Columns that are in a statement, with what they hold; those of many kinds are one."""

    columns: Written


class Rest(Struct, eq=False):
    """What rows have in common besides their key and minute, in the order of _REST; of the same there is mostly one. `names`:
    those that sums are told apart by, but the key. `few` and `many`: what of it is in the statement that adds few rows,
    or many, once that was asked for."""

    values: tuple[Any, ...]
    names: Names = ()
    few: _Written | None = None
    many: _Written | None = None

    def __post_init__(self) -> None:
        self.names = self.values[: len(NAMES) - 1]


_one_of = lru_cache(maxsize=1024)(_Written)
_rest = lru_cache(maxsize=8192)(Rest)


class Adding(NamedTuple):
    """The statements that add one row, and as many as a block has, and the values they want of each row."""

    statements: dict[int, str]
    own: list[str]
    columns_of: Picked

    def add(self, driver: sqlite3.Connection, rows: Rows) -> None:
        """Add these."""
        width, start, columns = len(self.own), 0, rows.by_column()
        values: list[Any] = [None] * (width * len(rows))
        if columns is None:
            for at, row in enumerate(rows):
                values[at * width : (at + 1) * width] = self.columns_of(row)
        else:
            for at, name in enumerate(self.own):
                values[at::width] = columns[name]
        for block in _BLOCKS:
            while start + block <= len(rows):
                driver.execute(self.statements[block], values[start * width : (start + block) * width])
                start += block


_rest_of = _picked(_REST)
names_of: Callable[[Row], Names] = attrgetter(*NAMES)


def alike(rows: Iterable[Row]) -> Groups:
    """The rows, with those together that differ in their keys, and what each has for itself, only."""
    rows = Rows(rows)
    groups: Groups = _all_alike(rows)
    newest: tuple[Any, ...] = ()
    its_minute = 0
    same: Rows = Rows()
    for row in () if groups else rows:
        minute = row.at_ms // MINUTE_MS
        rest = (  # an `attrgetter` takes twice as long
            row.tenant, row.provider, row.model, row.endpoint, row.source, row.asked, row.upstream_model, row.served, row.status,
            row.outcome, row.attempt, row.error, row.message, row.stream, row.adjusted, row.counts_call, row.times,
            row.connect_ms, row.tags, row.use_case, row.arm, row.saved_pusd,
        )  # fmt: skip
        if rest != newest or minute != its_minute:  # as few are, and found out in half the time
            newest, its_minute = rest, minute
            place = minute, _rest(rest)
            known = groups.get(place)
            if known is None:
                known = groups[place] = Rows()
            same = known
        same.append(row)
    return groups


def _all_alike(rows: Rows) -> Groups:
    """The same where all are alike, as nearly always: found out by their columns, of which more is made later. Empty where not."""
    if len(rows) < _MANY or _rest_of(rows[0]) != _rest_of(rows[-1]) or (columns := rows.by_column()) is None:
        return {}
    minute, at_ms = rows[0].at_ms // MINUTE_MS, columns["at_ms"]
    if min(at_ms) // MINUTE_MS != minute or max(at_ms) // MINUTE_MS != minute:
        return {}
    for name in _REST:
        if not is_same(columns[name]):
            return {}
    return {(minute, _rest(_rest_of(rows[0]))): rows}


def by_place(groups: Groups) -> Iterator[tuple[tuple[int, Names], list[Row]]]:
    """The rows by the minute and the names; a place may come more than once."""
    for (minute, rest), rows in groups.items():
        others = rest.names
        keys = None if rows.columns is None else rows.columns["key"]
        if len(rows) == 1 if keys is None else is_same(keys):
            yield (minute, (rows[0].key, *others)), rows
            continue
        of_key: dict[str, list[Row]] = {}
        newest: str | None = None
        same: list[Row] = []
        for row in rows:
            if row.key != newest:
                newest, same = row.key, of_key.setdefault(row.key, [])
            same.append(row)
        for key, own in of_key.items():
            yield (minute, (key, *others)), own


def adding(groups: Groups) -> Iterator[tuple[Adding, Rows]]:
    """The statements that add them to the table of attempts, each with its rows."""
    alike: dict[Rest, Rows] = {}  # whenever they were
    for (_, rest), rows in groups.items():
        known = alike.get(rest)
        alike[rest] = rows if known is None else Rows(known + rows)
    together: dict[_Written, list[Rows]] = {}
    for rest, rows in alike.items():
        together.setdefault(_columns_said(rest, are_many=len(rows) >= _MANY), []).append(rows)
    for one, parts in together.items():
        rows = parts[0] if len(parts) == 1 else Rows(chain.from_iterable(parts))
        written = one.columns
        for name, values in _held(rows):
            if len(values) == 1 and (literal := _LITERALS.get(values.pop())):
                written += ((name, literal),)
        keys = () if rows.columns is None else rows.columns["key"]
        if keys and is_same(keys) and (literal := _plain_literal(keys[0])):
            written += (("key", literal),)
        yield _adding(written), rows


def _held(rows: Rows) -> Iterator[tuple[str, set[Any]]]:
    """What some of the rows hold in the columns in which each may have something of its own; all of them where it is one thing."""
    columns = rows.by_column()
    if columns is not None:
        yield from ((name, {columns[name][0]}) for name in _OWN if is_same(columns[name]))
        return
    held = {
        (
            row.cached_input_tokens, row.cache_write_tokens, row.reasoning_tokens, row.first_token_ms,
            row.waited_ms, row.session, row.decision,
        )
        for row in rows
    }  # fmt: skip
    yield from zip(_OWN, map(set, zip(*held, strict=True)), strict=True)


def columns_of(rows: Sequence[Row]) -> Columns | None:
    """Their columns, where somebody has worked them out."""
    return rows.columns if isinstance(rows, Rows) else None


def is_same(column: Sequence[Any]) -> bool:
    """Whether it holds one thing only."""
    return column.count(column[0]) == len(column)


def _columns_said(rest: Rest, *, are_many: bool) -> _Written:
    """The columns that are in the statement."""
    known = rest.many if are_many else rest.few
    if known is not None:
        return known
    literal = _plain_literal if are_many else _LITERALS.get
    held = ((name, literal(value)) for name, value in zip(_REST, rest.values, strict=True))
    found = _one_of(tuple((name, written) for name, written in held if written is not None))
    if are_many:
        rest.many = found
    else:
        rest.few = found
    return found


def _plain_literal(value: object) -> str | None:
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= _MOST_PLAIN and _PLAIN.fullmatch(value) else None
    return _LITERALS.get(value) or (str(value) if isinstance(value, int) and 0 <= value <= MOST_INT else None)


@lru_cache(maxsize=128)
def _adding(written: Written) -> Adding:
    literals = dict(written)
    # all columns of the table, and in its order: so that SQLite need not put what it was given in another one first
    columns = ", ".join(f'"{name}"' for name in ("seq", *Row.__struct_fields__))
    values = ", ".join(("NULL", *(literals.get(name, "?") for name in Row.__struct_fields__)))
    own = [name for name in Row.__struct_fields__ if name not in literals]
    # who adds them goes back to before them all where one is refused, so that SQLite need not be able to undo each statement
    adding = f"INSERT OR FAIL INTO attempts ({columns}) VALUES "  # noqa: S608
    return Adding({block: adding + ", ".join([f"({values})"] * block) for block in _BLOCKS}, own, _picked(own))
