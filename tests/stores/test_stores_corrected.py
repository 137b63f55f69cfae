"""A correction: the row, the sums and what budgets have spent change once, in the ledger and before it gets there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import msgspec
import pytest
from harness.ledger import apply, spent
from sqlalchemy import Connection, func, select
from stores_samples import DAY, MONTH, hold, opened, row, settled

from proxy.stores.database import engine_for
from proxy.stores.journal.frames import unframed
from proxy.stores.journal.records import Corrected, Record, Row
from proxy.stores.journal.replay import added_spending, replay
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.ledger import rows_of
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.schema import sums, sums_by_day, sums_by_quarter
from proxy.stores.ledger.tally import COUNTERS
from proxy.stores.questions.queries import Files
from proxy.stores.questions.usage import UsageQuestion

WAS = row("a", source="counted", cost_pusd=300, output_tokens=5)
IS = row("a", source="computed", cost_pusd=3000, output_tokens=50)
SETTLED = settled("a", charges=(DAY, MONTH), source="counted", cost_pusd=300, output_tokens=5)
CORRECTED = Corrected(WAS, IS, (DAY, MONTH))
DUE = {DAY: 3000, MONTH: 3000}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    open_ledger(tmp_path / "ledger.db")
    with engine_for(tmp_path / "ledger.db").begin() as connection:
        yield connection


def totals(connection: Connection) -> dict[str, int]:
    found = []
    for table in (sums, sums_by_day, sums_by_quarter):
        columns = connection.execute(select(*(func.sum(table.c[name]).label(name) for name in COUNTERS))).one()
        found.append(dict(columns._mapping))
    assert found[0] == found[1] == found[2]
    return found[0]


def fed(connection: Connection, *batches: list[Record]) -> None:
    number = 0
    for records in batches:
        numbered = []
        for record in records:
            number += 100
            numbered.append((Position(1, number), record))
        apply(connection, numbered)


@pytest.mark.parametrize(
    "batches",
    [[[SETTLED, CORRECTED]], [[SETTLED], [CORRECTED]], [[SETTLED], [CORRECTED], [CORRECTED, SETTLED]]],
    ids=["together", "apart", "again"],
)
def test_the_ledger_takes_a_correction_once(connection: Connection, batches: list[list[Record]]) -> None:
    fed(connection, *batches)
    assert rows_of(connection, "a") == [IS]
    assert spent(connection, [DAY[0], MONTH[0]]) == DUE
    assert totals(connection) | {"calls": 1, "attempts": 1, "output_tokens": 50, "cost_pusd": 3000} == totals(
        connection
    )


def test_a_correction_of_a_row_that_is_not_there_changes_nothing(connection: Connection) -> None:
    fed(connection, [CORRECTED])
    assert (rows_of(connection, "a"), spent(connection, [DAY[0]])) == ([], {})


@pytest.mark.parametrize("records", [[SETTLED, CORRECTED], [SETTLED, CORRECTED, CORRECTED]], ids=["once", "twice"])
def test_a_start_counts_it_once(tmp_path: Path, records: list[Record]) -> None:
    journal = opened(tmp_path / "journal")
    for record in [hold("a"), *records]:
        end = journal.append(record)
    found = replay(tmp_path / "journal")
    assert (found.spent, found.holds, found.problems) == (DUE, (), ())
    assert added_spending(records) == DUE
    assert replay(tmp_path / "journal", end).spent == {}


def test_behind_the_ledger_the_difference_counts(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    position = journal.append(SETTLED)
    journal.append(CORRECTED)
    assert replay(tmp_path / "journal", position).spent == {DAY: 2700, MONTH: 2700}


@pytest.mark.parametrize("in_ledger", [0, 1, 2])
def test_questions_are_answered_with_the_corrected_row(tmp_path: Path, in_ledger: int) -> None:
    journal, records = opened(tmp_path / "journal"), [SETTLED, CORRECTED]
    open_ledger(tmp_path / "ledger.db")
    done = [(journal.append(record), record) for record in records][:in_ledger]
    if done:
        with engine_for(tmp_path / "ledger.db").begin() as connection:
            apply(connection, done)
    files = Files(tmp_path)
    assert files.find("a") == [IS]
    assert files.spent([DAY[0]]) == {DAY: 3000}
    usage = files.usage(UsageQuestion("key", UTC))
    assert usage.total["sources"] == {"computed": 1}
    assert (usage.total["calls"], usage.total["output_tokens"], usage.total["cost_usd"]) == (1, 50, "0.000000003000")


def test_it_is_written_and_read_back() -> None:
    assert unframed(framed(CORRECTED)[8:]) == CORRECTED
    assert CORRECTED.delta_pusd == 2700
    assert isinstance(CORRECTED.was, Row) and msgspec.structs.replace(WAS) == WAS
