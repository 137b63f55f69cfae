"""Rows, sums and spending: each record once, whatever is applied how often."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from harness.ledger import apply, position, spent
from sqlalchemy import Connection, delete, func, select
from stores_samples import DAY, MONTH, begun, hold, row, settled, voided

from proxy.stores.database import engine_for
from proxy.stores.journal.records import MOST_INT, Adjusted, Record, Refused, Row
from proxy.stores.journal.segments import START, Position
from proxy.stores.ledger.ledger import prune, rows_of
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.schema import (
    adjustments,
    attempts,
    journal_position,
    sums,
    sums_by_day,
    sums_by_quarter,
)

REFUSED = Refused(row("r", 0, provider="", source="none", cost_pusd=0))
REFUND = Adjusted("adj-1", 5, DAY[0], DAY[1], -7, "a refund")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    open_ledger(tmp_path / "ledger.db")
    with engine_for(tmp_path / "ledger.db").begin() as connection:
        yield connection


def batch(*records: Record) -> list[tuple[Position, Record]]:
    return [(Position(1, 100 * number), record) for number, record in enumerate(records, 1)]


def contents(connection: Connection) -> list[list[Any]]:
    tables = (attempts, sums, sums_by_day, sums_by_quarter, adjustments)
    everything = [list(connection.execute(select(table))) for table in tables]
    return [*everything, sorted(spent(connection, [DAY[0], MONTH[0]], 10).items())]


def counted(connection: Connection, name: str) -> int:
    totals = [connection.scalar(select(func.sum(table.c[name]))) for table in (sums, sums_by_day, sums_by_quarter)]
    assert len(set(totals)) == 1
    return int(totals[0] or 0)


def test_a_new_ledger_is_at_the_start_and_has_spent_nothing(connection: Connection) -> None:
    assert position(connection) == START
    assert spent(connection, [DAY[0]]) == {}
    assert rows_of(connection, "a") == []


def test_a_call_becomes_a_row_sums_and_spending(connection: Connection) -> None:
    apply(connection, batch(hold("a"), begun("a"), settled("a", charges=(DAY, MONTH))))
    assert rows_of(connection, "a") == [settled("a").row]
    assert spent(connection, [DAY[0], MONTH[0]]) == {DAY: 30_000_000_000, MONTH: 30_000_000_000}
    assert counted(connection, "calls") == 1
    assert counted(connection, "input_tokens") == 10
    assert counted(connection, "cost_pusd") == 30_000_000_000
    assert position(connection) == Position(1, 300)


def test_only_the_last_attempt_counts_as_the_call(connection: Connection) -> None:
    apply(connection, batch(voided("a", 1, counts_call=False, input_tokens=99), settled("a", 2)))
    assert (counted(connection, "calls"), counted(connection, "attempts")) == (1, 2)
    assert counted(connection, "input_tokens") == 10
    assert [found.attempt for found in rows_of(connection, "a")] == [1, 2]


def test_a_refused_call_is_kept_and_counts_nowhere(connection: Connection) -> None:
    apply(connection, batch(REFUSED))
    assert rows_of(connection, "r") == [REFUSED.row]
    assert counted(connection, "attempts") == 0


def test_adjustments_change_what_is_spent(connection: Connection) -> None:
    apply(connection, batch(settled("a"), REFUND))
    assert spent(connection, [DAY[0]]) == {DAY: 30_000_000_000 - 7}


@pytest.mark.parametrize("lost", [False, True], ids=["position kept", "position lost"])
def test_applying_twice_changes_nothing(connection: Connection, *, lost: bool) -> None:
    records = batch(settled("a", charges=(DAY, MONTH)), voided("b"), REFUSED, REFUND)
    apply(connection, records)
    before = contents(connection)
    if lost:
        connection.execute(delete(journal_position))
    apply(connection, records)
    apply(connection, [*records[1:], (Position(1, 900), settled("c", charges=()))])
    apply(connection, records[:2])
    connection.execute(delete(attempts).where(attempts.c.request_id == "c"))
    after = contents(connection)
    assert (after[0], after[4], after[5]) == (before[0], before[4], before[5])
    assert counted(connection, "attempts") == 3


def test_an_id_twice_in_one_batch_counts_once_and_the_first_wins(connection: Connection) -> None:
    apply(connection, batch(settled("a"), settled("a", cost_pusd=1), REFUND, REFUND))
    assert rows_of(connection, "a") == [settled("a").row]
    assert spent(connection, [DAY[0]]) == {DAY: 30_000_000_000 - 7}
    assert counted(connection, "calls") == 1


@pytest.mark.parametrize("many", [1, 64])
def test_every_column_has_what_its_row_had_whatever_others_of_the_batch_have(connection: Connection, many: int) -> None:
    usual = {name: getattr(row("x"), name) for name in Row.__struct_fields__ if name not in ("id", "request_id")}
    held = {name: (True, False) if isinstance(value, bool) else _held(name, value) for name, value in usual.items()}
    ends = [
        [settled(f"{name}-{number}-{time}", **{"attempt": 1, name: value}) for time in range(many)]
        for name, values in held.items()
        for number, value in enumerate(values)
    ]
    apply(connection, batch(*chain.from_iterable(ends)))
    assert [rows_of(connection, same[-1].row.request_id) for same in ends] == [[same[-1].row] for same in ends]
    assert connection.scalar(select(func.count()).select_from(attempts)) == many * len(ends)


def _held(name: str, value: object) -> tuple[object, ...]:
    """What a column like that may hold, the odd and the ordinary."""
    if isinstance(value, int) or name.endswith("_ms"):
        return (value, 0, 1, 2, 10**12)
    return (value, "", "0", "a'b\"; --", "é")


def test_a_batch_larger_than_one_statement_takes_is_applied_whole(connection: Connection) -> None:
    many = batch(*[settled(f"r{number}", cost_pusd=1) for number in range(1200)])
    apply(connection, many)
    apply(connection, many)
    assert spent(connection, [DAY[0]]) == {DAY: 1200}


def test_numbers_beyond_every_column_stop_at_the_largest(connection: Connection) -> None:
    apply(connection, batch(settled("a", cost_pusd=2**64 - 1), settled("b", cost_pusd=2**63 - 1)))
    apply(connection, batch(settled("c", cost_pusd=2**63 - 1)))
    assert spent(connection, [DAY[0]]) == {DAY: MOST_INT}
    assert rows_of(connection, "a")[0].cost_pusd == MOST_INT


def test_only_the_newest_periods_are_asked_for(connection: Connection) -> None:
    records = [settled(f"r{n}", charges=(("b", n), ("c", n)), cost_pusd=n) for n in range(1, 9)]
    apply(connection, batch(*records))
    assert spent(connection, ["b"], 2) == {("b", 8): 8, ("b", 7): 7}


def test_a_position_without_records_is_kept_too(connection: Connection) -> None:
    apply(connection, [], Position(7, 8))
    assert position(connection) == Position(7, 8)


def test_pruning_removes_old_rows_and_keeps_sums(connection: Connection) -> None:
    apply(connection, batch(settled("old", at_ms=1_000), settled("new", at_ms=9_000_000)))
    assert not prune(connection, 9_000_000)
    assert rows_of(connection, "old") == []
    assert rows_of(connection, "new") != []
    assert counted(connection, "calls") == 2


def test_rows_of_another_call_with_a_similar_id_are_not_found(connection: Connection) -> None:
    apply(connection, batch(settled("a"), settled("a.1"), settled("ab")))
    assert [found.id for found in rows_of(connection, "a")] == ["a.1"]
    assert [found.id for found in rows_of(connection, "a.1")] == ["a.1.1"]
