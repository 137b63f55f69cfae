"""Roll-ups of tools: each call counts once, in whichever batches it comes, and nobody's names fill the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.ledger import apply
from stores_samples import row, voided

from proxy.policy.analysis.savings import LEAST_CALLS, Unused
from proxy.stores.database import connect
from proxy.stores.journal.frames import unframed
from proxy.stores.journal.records import Corrected, Record, Settled
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.ledger import prune
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.queries import Files

DAY = 86_400_000
NOON = 1_700_049_600_000
OFFERED = '{"look":40,"run":60}'


def used(number: int, *called: str, offered: str = OFFERED, **changes: Any) -> Settled:
    values = {"input_tokens": 1000, "at_ms": NOON, **changes}
    return Settled(row(f"req_{number}", **values), (), offered, called)


def add(driver: sqlite3.Connection, records: Sequence[Record], at: int = 0) -> None:
    driver.execute("BEGIN IMMEDIATE")
    with driver:
        apply(driver, [(Position(1, at + number), record) for number, record in enumerate(records)])


def kept(driver: sqlite3.Connection) -> dict[str, tuple[int, ...]]:
    asked = driver.execute(
        "SELECT tool, sum(calls), sum(called), sum(tokens), sum(cached_tokens) FROM rollup_tools GROUP BY tool"
    )
    return {tool: tuple(counts) for tool, *counts in asked}


RECORDS: list[Record] = [
    used(1),
    used(2, "look"),
    used(3, "look", "run", cached_input_tokens=900),
    used(4, cached_input_tokens=50),
    used(5, input_tokens=10),
    used(6, input_tokens=0),
    used(7, offered='{"look":40}'),
    used(8, offered=""),
    voided("req_9"),
    used(2, "run"),
    Corrected(used(1).row, used(1, input_tokens=50, cached_input_tokens=20, cost_pusd=1).row, (), OFFERED),
    Corrected(used(2).row, used(2, cost_pusd=1).row, (), OFFERED),
    Corrected(used(8).row, used(8, cached_input_tokens=50, cost_pusd=1).row, ()),
]
SUMS = {
    # 40 and 60 of what the six calls read, and of what a cache had of it
    "look": (7, 2, 20 + 40 + 40 + 40 + 4 + 0 + 40, 8 + 40 + 20),
    "run": (6, 1, 30 + 60 + 60 + 60 + 6 + 0, 12 + 60 + 30),
}


@pytest.mark.parametrize("size", [1, 3, len(RECORDS)])
def test_each_call_counts_once_in_whichever_batches_it_comes(tmp_path: Path, size: int) -> None:
    open_ledger(tmp_path / "ledger.db")
    with closing(connect(tmp_path / "ledger.db")) as driver:
        for _ in range(2):
            for at in range(0, len(RECORDS), size):
                add(driver, RECORDS[at : at + size], at)
        assert kept(driver) == SUMS


def test_a_record_is_read_as_it_was_written_and_so_is_an_older_one() -> None:
    record = used(1, "look")
    assert unframed(framed(record)[8:]) == record
    assert unframed(framed(Settled(record.row, ()))[8:]) == Settled(record.row, (), "", ())


@pytest.mark.parametrize(
    "offered",
    ["look", "[]", '{"look":40,"ru', '{"look":0}', '{"look":-1}', '{"look":"40"}', '{"look":' + "9" * 5000 + "}"],
)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, offered: str) -> None:
    open_ledger(tmp_path / "ledger.db")
    with closing(connect(tmp_path / "ledger.db")) as driver:
        add(driver, [used(1, "look", offered=offered), used(2, "gone", offered='{"look":40}')])
        assert kept(driver) == {"look": (1, 0, 40, 0)}


def test_a_key_that_names_thousands_of_tools_has_one_name_for_most(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    many = [used(number, offered=f'{{"tool{number}":10}}') for number in range(2000)]
    others = [used(number, offered='{"mine":10}', key="bob") for number in range(2000, 2010)]
    with closing(connect(tmp_path / "ledger.db")) as driver:
        for at in range(0, 2000, 300):
            add(driver, many[at : at + 300], at)
        add(driver, [*others, used(3000, offered='{"tool7":10}')], 3000)
        found = kept(driver)
        assert set(found) == {"", "mine", *(f"tool{number}" for number in range(256))}
        assert (found[""], found["mine"], found["tool7"]) == ((1744, 0, 17440, 0), (10, 0, 100, 0), (2, 0, 20, 0))


def test_days_are_kept_for_longer_than_a_year(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    with closing(connect(tmp_path / "ledger.db")) as driver:
        add(driver, [used(number, at_ms=NOON - number * DAY) for number in (0, 400, 401, 500)])
        prune(driver, None)
        days = driver.execute("SELECT DISTINCT day FROM rollup_tools ORDER BY day").fetchall()
        assert days == [(NOON // DAY - 400,), (NOON // DAY,)]


def unused(folder: Path, since_ms: int = NOON, tenants: tuple[str, ...] | None = None) -> dict[tuple[str, str], int]:
    found: list[Unused] = Files(folder).unused_tools(since_ms, tenants)
    return {(one.model, one.tool): one.calls for one in found}


def test_a_tool_is_unused_where_none_who_has_it_called_it_under_any_name(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    records: list[Record] = []

    def often(*called: str, **changes: Any) -> None:
        first = len(records)
        records.extend(used(first + number, **changes) for number in range(LEAST_CALLS - 1))
        records.append(used(len(records), *called, **changes))

    often("look")
    often(model="other")
    often(key="bob", model="bobs")
    often("look", key="carol", tenant="acme", model="shared")
    often("run", key="dave", tenant="acme", model="shared")
    often(key="carol", tenant="globex", model="globes")
    often(key="erin", model="once", offered='{"rare":1}', at_ms=NOON - DAY)
    few = range(len(records), len(records) + LEAST_CALLS - 1)
    records.extend(used(number, key="frank", model="few", offered='{"rare":1}') for number in few)
    with closing(connect(tmp_path / "ledger.db")) as driver:
        add(driver, records)
    alices = {("openai/gpt-4o", "run"): LEAST_CALLS, ("other", "run"): LEAST_CALLS}
    bobs = {("bobs", "look"): LEAST_CALLS, ("bobs", "run"): LEAST_CALLS}
    globes = {("globes", "look"): LEAST_CALLS, ("globes", "run"): LEAST_CALLS}
    assert unused(tmp_path) == {**alices, **bobs, **globes}
    assert unused(tmp_path, NOON - DAY) == {**alices, **bobs, **globes, ("once", "rare"): LEAST_CALLS}
    assert unused(tmp_path, tenants=("globex",)) == globes
    assert (
        unused(tmp_path, tenants=("acme",))
        == unused(tmp_path, tenants=("nobody",))
        == unused(tmp_path, NOON + DAY)
        == {}
    )
