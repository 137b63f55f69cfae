"""The ledger: records of the journal as rows and sums, each exactly once.

Every function works inside a transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec.structs import astuple
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, delete, func, literal_column, select, update
from sqlalchemy.dialects.sqlite import Insert, dialect, insert

from proxy.stores import known
from proxy.stores.database import raw
from proxy.stores.records import MOST_INT, Adjusted, Charge, Corrected, Record, Refused, Row, Settled, Voided
from proxy.stores.schema import (
    adjustments,
    attempts,
    budget_spent,
    journal_position,
    sums,
    sums_by_day,
    sums_by_quarter,
)
from proxy.stores.segments import Position
from proxy.stores.tally import COUNTERS, QUARTERS_PER_DAY, folded, tally

_MOST_PARAMETERS = 500
_PRUNED_AT_ONCE = 5000

WithRow = Settled | Voided | Refused
RecordT = TypeVar("RecordT")


class _Adding:
    """An insert spelled out once. Prepared anew for every row, it would take longer than SQLite takes with it."""

    def __init__(self, statement: Insert, columns: Sequence[str]) -> None:
        """`columns` are those of the rows, in their order, which is the table's."""
        compiled = statement.compile(dialect=dialect(), column_keys=list(columns))
        assert compiled.positiontup == list(columns)
        self._sql = str(compiled)

    def run(self, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
        """Add the rows, if there are any."""
        if rows:
            connection.exec_driver_sql(self._sql, rows)


def _adding_up(table: Table, *counters: str) -> _Adding:
    """Insert, or add to the row that is there. An overflow stays at the largest number."""
    statement = insert(table)
    most: ColumnElement[int] = literal_column(str(MOST_INT))
    sums_up = {name: func.min(most, table.c[name] + statement.excluded[name]) for name in counters}
    index = list(table.primary_key)
    return _Adding(statement.on_conflict_do_update(index_elements=index, set_=sums_up), _columns(table, counters))


def _columns(table: Table, counters: Iterable[str]) -> list[str]:
    return [column.name for column in table.primary_key] + list(counters)


def _once(table: Table, columns: Sequence[str]) -> _Adding:
    """Insert, unless the id is there."""
    return _Adding(insert(table).on_conflict_do_nothing(index_elements=["id"]), columns)


_ADD_ATTEMPT = _once(attempts, Row.__struct_fields__)
_ADD_ADJUSTMENT = _once(adjustments, Adjusted.__struct_fields__)
_ADD_SPENT = _adding_up(budget_spent, "spent_pusd")
_ADD_SUMS = {table: _adding_up(table, *COUNTERS) for table in (sums, sums_by_day, sums_by_quarter)}
_POSITION = insert(journal_position)
_SET_POSITION = _POSITION.on_conflict_do_update(
    index_elements=["one"], set_={"segment": _POSITION.excluded.segment, "offset": _POSITION.excluded.offset}
)


def apply(connection: Connection, batch: Sequence[tuple[Position, Record]], position: Position | None = None) -> None:
    """Add the records and the position behind them. Records it has are passed over.

    `position` is given where it lies behind the last record, or where there is none.
    """
    records = [record for _, record in batch]
    fresh = _fresh(connection, attempts, [(r.row.id, r) for r in records if isinstance(r, WithRow)])
    adjusted = _fresh(connection, adjustments, [(r.id, r) for r in records if isinstance(r, Adjusted)])
    _add_once(connection, _ADD_ATTEMPT, [astuple(record.row) for record in fresh])
    _add_once(connection, _ADD_ADJUSTMENT, [astuple(record) for record in adjusted])
    _add_sums(connection, fresh)
    _add_spent(connection, fresh, adjusted)
    _correct(connection, [record for record in records if isinstance(record, Corrected)])
    segment, offset = position or batch[-1][0]
    connection.execute(_SET_POSITION, {"one": 1, "segment": segment, "offset": offset})


def position(connection: Connection) -> Position:
    """Up to where the journal is in here."""
    return known.position(raw(connection))


def spent(connection: Connection, budgets: Iterable[str], *periods: int) -> dict[Charge, int]:
    """What the newest periods of each budget have spent."""
    return known.spent(raw(connection), budgets, *periods)


def prune(connection: Connection, before_ms: int) -> bool:
    """Remove some rows of attempts older than `before_ms`; True when there may be more. Sums stay."""
    old = select(attempts.c.seq).where(attempts.c.at_ms < before_ms).order_by(attempts.c.at_ms).limit(_PRUNED_AT_ONCE)
    removed = connection.execute(delete(attempts).where(attempts.c.seq.in_(old.scalar_subquery())))
    return removed.rowcount == _PRUNED_AT_ONCE


def rows_of(connection: Connection, request_id: str) -> list[Row]:
    """The attempts of one call. Their ids begin with the call's, so that the index on ids serves."""
    inside = attempts.c.id.between(f"{request_id}.", f"{request_id}/")  # "/" follows "."
    found = connection.execute(select(attempts).where(inside, attempts.c.request_id == request_id))
    return [_row_of(columns) for columns in found.mappings()]


def _row_of(columns: RowMapping) -> Row:
    fields = {name: columns[name] for name in Row.__struct_fields__}
    return Row(**{**fields, "stream": bool(fields["stream"]), "counts_call": bool(fields["counts_call"])})


def _fresh(connection: Connection, table: Table, records: list[tuple[str, RecordT]]) -> list[RecordT]:
    """Those whose id the table does not have; the first of each id."""
    fresh = dict(reversed(records))
    ids = list(fresh)
    for start in range(0, len(ids), _MOST_PARAMETERS):
        part = ids[start : start + _MOST_PARAMETERS]
        for there in connection.scalars(select(table.c.id).where(table.c.id.in_(part))):
            del fresh[there]
    return list(reversed(fresh.values()))


def _add_sums(connection: Connection, fresh: Sequence[WithRow | Corrected]) -> None:
    detail = tally(fresh)
    by_day = folded(detail, lambda spender: (*spender[1:], spender[0] // QUARTERS_PER_DAY))
    by_quarter = folded(detail, lambda spender: (spender[0], spender[4]))
    for table, totals in ((sums, detail), (sums_by_day, by_day), (sums_by_quarter, by_quarter)):
        _ADD_SUMS[table].run(connection, [_bounded((*key, *counts)) for key, counts in totals.items()])


def _add_spent(connection: Connection, fresh: list[WithRow], adjusted: list[Adjusted]) -> None:
    totals: dict[Charge, int] = {}
    for record in fresh:
        for charge in record.charges if isinstance(record, Settled) else ():
            totals[charge] = totals.get(charge, 0) + record.row.cost_pusd
    for change in adjusted:
        charge = (change.budget, change.period)
        totals[charge] = totals.get(charge, 0) + change.delta_pusd
    _ADD_SPENT.run(connection, [_bounded((*charge, amount)) for charge, amount in totals.items()])


def _correct(connection: Connection, records: list[Corrected]) -> None:
    """Put the row a correction names in the place of the one it had; where that is not there, it was done before."""
    table = attempts.c
    done: list[Corrected] = []
    for record in records:
        was = record.was
        same = (table.id == was.id, table.source == was.source, table.cost_pusd == min(was.cost_pusd, MOST_INT))
        values = dict(zip(Row.__struct_fields__, _bounded(astuple(record.row)), strict=True))
        if connection.execute(update(attempts).where(*same).values(values)).rowcount:
            done.append(record)
    _add_sums(connection, done)
    totals: dict[Charge, int] = {}
    for record in done:
        for charge in record.charges:
            totals[charge] = totals.get(charge, 0) + record.delta_pusd
    _ADD_SPENT.run(connection, [_bounded((*charge, amount)) for charge, amount in totals.items()])


def _add_once(connection: Connection, adding: _Adding, rows: list[tuple[Any, ...]]) -> None:
    """Rows that may be added again: one in a million holds a number that no column does."""
    try:
        adding.run(connection, rows)
    except OverflowError:
        adding.run(connection, [_bounded(row) for row in rows])


def _bounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """No integer that a column cannot hold: an upstream may have named it."""
    return tuple(max(-MOST_INT, min(value, MOST_INT)) if isinstance(value, int) else value for value in row)
