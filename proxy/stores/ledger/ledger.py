"""The ledger: records of the journal as rows and sums, each exactly once.

Every function works inside a transaction of its caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import astuple

from proxy.policy.money.amounts import usd_text
from proxy.stores import audit
from proxy.stores.audit import Deed
from proxy.stores.database import marks, raw
from proxy.stores.journal.records import MOST_INT, Adjusted, Charge, Corrected, Record, Refused, Row, Settled, Voided
from proxy.stores.journal.segments import Position
from proxy.stores.ledger import asked_quarters, label_rollups, rollups, spending, sums, tool_rollups
from proxy.stores.ledger.alike import Groups, adding, alike, is_same
from proxy.stores.ledger.asked_quarters import Asked
from proxy.stores.ledger.spending import Totals
from proxy.stores.ledger.statements import bounded, insert, quoted
from proxy.stores.ledger.sums import Fresh

if TYPE_CHECKING:
    from sqlalchemy import Connection

    Given = Connection | sqlite3.Connection

_MOST_PARAMETERS = 500
_PRUNED_AT_ONCE = 5000

WithRow = Settled | Voided | Refused
_WITH_ROW = frozenset({Settled, Voided, Refused})  # asked of every record: `isinstance` takes its time
RecordT = TypeVar("RecordT")


_ADJUSTMENT = [name for name in Adjusted.__struct_fields__ if name != "tenant"]  # which the audit keeps
_ADD_ADJUSTMENT = insert("adjustments", _ADJUSTMENT)
_SET_ROW = ", ".join(f'"{name}" = ?' for name in Row.__struct_fields__)
_CORRECT = f"UPDATE attempts SET {_SET_ROW} WHERE id = ? AND source = ? AND cost_pusd = ?"
_SET_POSITION = (
    'INSERT INTO journal_position (one, segment, "offset") VALUES (1, ?, ?) '
    'ON CONFLICT (one) DO UPDATE SET segment = excluded.segment, "offset" = excluded."offset"'
)
_PRUNE = (
    "DELETE FROM attempts WHERE seq IN "
    f"(SELECT seq FROM attempts WHERE at_ms < ? ORDER BY at_ms LIMIT {_PRUNED_AT_ONCE})"
)
_SPENT = "SELECT spent_pusd FROM budget_spent WHERE budget = ? AND period = ?"
_ROWS = (
    f"SELECT {', '.join(map(quoted, Row.__struct_fields__))} FROM attempts WHERE id BETWEEN ? AND ? AND request_id = ?"
)


def take(
    driver: sqlite3.Connection,
    records: Sequence[Record],
    position: Position,
    at_once: Container[str] | None = None,
    asked: set[Asked] | None = None,
) -> tuple[set[Charge], Fresh]:
    """Add the records and the position behind them, but for what their rows add to sums; return which periods of budgets have
    spent another sum than before, and what is to be summed up. What budgets have spent is summed up with it where some are
    named for which that must be done `at_once`. `asked`: what need not be added to what was asked for, and is noted there.

    Records it has are passed over.
    """
    kinds = {type(record) for record in records}
    fresh, groups = _add_attempts(driver, _ends(records, kinds))
    changes = [record for record in records if isinstance(record, Adjusted)] if Adjusted in kinds else []
    adjusted = _add_adjustments(driver, changes)
    asked_quarters.add(driver, [same[0] for same in groups.values()], set() if asked is None else asked)
    settled = _settled(fresh)
    if any([record.offered for record in settled]):
        tool_rollups.add(driver, [record for record in settled if record.offered])
    if any(change.actor for change in adjusted):
        spending.bring_in(driver)
        audit.append(driver, _deeds(driver, adjusted))
    totals = _totals(settled, adjusted)
    if at_once is None:
        spending.keep(driver, totals)
    else:
        spending.leave(driver, totals, at_once)
    changed = set(totals)
    unsummed = Fresh(groups, _in_sessions(fresh, groups), len(fresh), sums.newest(driver))
    if Corrected in kinds:
        unsummed = Fresh({}, (), 0, sums.bring_up_all(driver).until)
        changed |= _correct(driver, [record for record in records if isinstance(record, Corrected)])
    driver.execute(_SET_POSITION, position)
    return changed, unsummed


def prune(connection: Given, before_ms: int | None) -> bool:
    """Remove some rows of attempts older than `before_ms`, and minutes and days of tools that are; True when there may be more.
    Sums stay."""
    driver = raw(connection)
    is_more = rollups.prune_minutes(driver, _PRUNED_AT_ONCE)
    is_more = tool_rollups.prune(driver, _PRUNED_AT_ONCE) or is_more
    if before_ms is None:
        return is_more
    asked_quarters.prune(driver, before_ms)
    is_more = driver.execute(_PRUNE, (before_ms,)).rowcount == _PRUNED_AT_ONCE or is_more
    sums.forget_removed(driver)
    return is_more


def rows_of(connection: Given, request_id: str) -> list[Row]:
    """The attempts of one call. Their ids begin with the call's, so that the index on ids serves."""
    between = f"{request_id}.", f"{request_id}/"  # "/" follows "."
    return [_row_of(columns) for columns in raw(connection).execute(_ROWS, (*between, request_id))]


def _row_of(columns: tuple[Any, ...]) -> Row:
    fields = dict(zip(Row.__struct_fields__, columns, strict=True))
    return Row(**{**fields, "stream": bool(fields["stream"]), "counts_call": bool(fields["counts_call"])})


def _ends(records: Sequence[Record], kinds: set[type]) -> list[WithRow]:
    """Those with a row, of records of these types."""
    if kinds <= _WITH_ROW:
        return cast(list[WithRow], list(records))
    return cast(list[WithRow], [record for record in records if type(record) in _WITH_ROW])


def _add_attempts(driver: sqlite3.Connection, ends: list[WithRow]) -> tuple[list[WithRow], Groups]:
    """Add the rows of those whose id the table does not have; return these, and their rows by their kinds.

    Almost always that is all of them, and SQLite says so for nothing. One in a million holds a number that no column does.
    """
    groups = alike([record.row for record in ends])
    driver.execute("SAVEPOINT fresh")
    try:
        for statement, rows in adding(groups):
            statement.add(driver, rows)
    except (sqlite3.IntegrityError, OverflowError):
        driver.execute("ROLLBACK TO fresh")
        ends = _unknown(driver, "attempts", {record.row.id: record for record in reversed(ends)})
        groups = alike([record.row for record in ends])
        for statement, rows in adding(groups):
            driver.executemany(statement.statements[1], [bounded(statement.columns_of(row)) for row in rows])
    driver.execute("RELEASE fresh")
    return ends, groups


def _add_adjustments(driver: sqlite3.Connection, adjusted: list[Adjusted]) -> list[Adjusted]:
    """Add those whose id the table does not have, and return them."""
    fresh = _unknown(driver, "adjustments", {change.id: change for change in reversed(adjusted)})
    rows = [bounded(tuple([getattr(change, name) for name in _ADJUSTMENT])) for change in fresh]
    driver.executemany(_ADD_ADJUSTMENT, rows)
    return fresh


def _unknown(driver: sqlite3.Connection, table: str, last_first: dict[str, RecordT]) -> list[RecordT]:
    """Those whose id the table does not have, in turn; of the same id the first."""
    ids = list(last_first)
    for start in range(0, len(ids), _MOST_PARAMETERS):
        part = ids[start : start + _MOST_PARAMETERS]
        for (there,) in driver.execute(f"SELECT id FROM {table} WHERE id IN ({marks(part)})", part).fetchall():
            del last_first[there]
    return list(reversed(last_first.values()))


def _settled(fresh: list[WithRow]) -> list[Settled]:
    if set(map(type, fresh)) == {Settled}:
        return cast(list[Settled], fresh)
    return [record for record in fresh if type(record) is Settled]


def _in_sessions(fresh: list[WithRow], groups: Groups) -> list[WithRow]:
    """Those of them that are of a session."""
    if all(rows.columns is not None and not any(rows.columns["session"]) for rows in groups.values()):
        return []
    return [record for record in fresh if record.row.session]


def _totals(settled: list[Settled], adjusted: list[Adjusted]) -> Totals:
    """What these add to periods of budgets."""
    totals: Totals = {}
    charges = [record.charges for record in settled]
    if settled and is_same(charges):
        spending.charge(totals, charges[0], sum([record.row.cost_pusd for record in settled]))
        settled = []
    newest: tuple[Charge, ...] = ()  # many calls are charged to what the one before is charged to
    cost_pusd = 0
    for record in settled:
        if record.charges != newest:
            spending.charge(totals, newest, cost_pusd)
            newest, cost_pusd = record.charges, 0
        cost_pusd += record.row.cost_pusd
    spending.charge(totals, newest, cost_pusd)
    for change in adjusted:
        spending.charge(totals, ((change.budget, change.period),), change.delta_pusd)
    return totals


def _deeds(driver: sqlite3.Connection, adjusted: list[Adjusted]) -> list[Deed]:
    """Corrections that somebody ordered, as the audit has them."""
    spent: dict[Charge, int] = {}
    deeds = []
    for change in adjusted:
        charge = (change.budget, change.period)
        if charge not in spent:
            found = driver.execute(_SPENT, charge).fetchone()
            spent[charge] = 0 if found is None else found[0]
        before, spent[charge] = spent[charge], spent[charge] + change.delta_pusd
        if change.actor:
            who, what = (change.at_ms, change.actor, change.source), f"budgets.{change.budget}"
            was, became = ({"spent_usd": usd_text(amount)} for amount in (before, spent[charge]))
            deeds.append(Deed(*who, "budget.adjust", what, was, became, change.reason, change.tenant))
    return deeds


def _correct(driver: sqlite3.Connection, records: list[Corrected]) -> set[Charge]:
    """Put the row a correction names in the place of the one it had; where that is not there, it was done before."""
    done: list[Corrected] = []
    for record in records:
        was = record.was
        same = was.id, was.source, min(was.cost_pusd, MOST_INT)
        if driver.execute(_CORRECT, (*bounded(astuple(record.row)), *same)).rowcount:
            done.append(record)
    if done:
        sums.add(driver, rollups.by_minute(done), [record for record in done if record.row.session])
        late = rollups.not_filled(driver, done)
        rollups.add(driver, rollups.by_minute(record for record in done if record.row.id not in late))
        label_rollups.correct(driver, done)
        tool_rollups.correct(driver, done)
        asked_quarters.add(driver, [record.row for record in done], set())
    totals: Totals = {}
    for record in done:
        spending.charge(totals, record.charges, record.delta_pusd)
    spending.keep(driver, totals)
    return set(totals)
