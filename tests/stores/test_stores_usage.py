"""What `usage`, `show` and `budgets` are answered from: ledger, journal tail, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from harness.ledger import apply
from stores_samples import DAY, MONTH, hold, opened, row, settled, voided

from proxy.stores.database import engine_for, reading
from proxy.stores.failures import LedgerDamaged, LedgerTooNew, LedgerUnavailable
from proxy.stores.journal.records import Adjusted, Record, Refused, Source
from proxy.stores.journal.segments import START, Position, Reader, segment_path
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.queries import Files
from proxy.stores.questions.usage import By, UsageQuestion

BERLIN = ZoneInfo("Europe/Berlin")
Keep = Callable[[Path, Iterable[Record]], None]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def keep_in_ledger(state: Path, records: Iterable[Record]) -> None:
    keep_in_journal(state, records)
    move_to_ledger(state)


def keep_in_journal(state: Path, records: Iterable[Record]) -> None:
    journal = opened(state / "journal")
    for record in records:
        journal.append(record)
    journal.close()


def move_to_ledger(state: Path) -> None:
    open_ledger(state / "ledger.db")
    with engine_for(state / "ledger.db").begin() as connection:
        apply(connection, list(Reader(state / "journal")))


def keep_in_both(state: Path, records: Iterable[Record]) -> None:
    every = list(records)
    keep_in_ledger(state, every[: len(every) // 2])
    keep_in_journal(state, every[len(every) // 2 :])


PLACES = pytest.mark.parametrize("keep", [keep_in_ledger, keep_in_journal, keep_in_both])


def at(text: str, request_id: str, cost: int = 1, key: str = "alice", source: Source = "reported") -> Record:
    return settled(request_id, at_ms=ms(text), cost_pusd=cost, key=key, source=source)


CALLS: list[Record] = [
    settled("a", at_ms=ms("2023-11-14T22:13:20"), cached_input_tokens=4, reasoning_tokens=2),
    voided("b", 1, at_ms=ms("2023-11-14T22:14:00"), counts_call=False, key="bob"),
    settled("b", 2, at_ms=ms("2023-11-14T23:14:00"), key="bob", model="local/llama", source="computed", cost_pusd=7),
    voided("c", at_ms=ms("2023-11-15T10:00:00")),
    Refused(row("d", 0, provider="", source="none", cost_pusd=0)),
]

A = {
    "calls": 1,
    "input_tokens": 10,
    "output_tokens": 5,
    "cached_input_tokens": 4,
    "reasoning_tokens": 2,
    "cost_usd": "0.030000000000",
    "sources": {"reported": 1},
    "cached_calls": 0,
    "saved_usd": "0.000000000000",
}
B = {**A, "cached_input_tokens": 0, "reasoning_tokens": 0, "cost_usd": "0.000000000007", "sources": {"computed": 1}}
C = {**B, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0.000000000000", "sources": {}}
TOTAL = {
    "calls": 3,
    "input_tokens": 20,
    "output_tokens": 10,
    "cached_input_tokens": 4,
    "reasoning_tokens": 2,
    "cost_usd": "0.030000000007",
    "sources": {"computed": 1, "reported": 1},
    "cached_calls": 0,
    "saved_usd": "0.000000000000",
}


@PLACES
@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("key", [{"key": "alice", **A, "calls": 2}, {"key": "bob", **B}]),
        ("model", [{"model": "openai/gpt-4o", **A, "calls": 2}, {"model": "local/llama", **B}]),
        ("provider", [{"provider": "openrouter", **TOTAL}]),
        ("day", [{"day": "2023-11-14", **A}, {"day": "2023-11-15", **B, "calls": 2}]),
    ],
)
def test_usage_is_the_json_the_docs_promise(tmp_path: Path, keep: Keep, by: By, rows: list[object]) -> None:
    keep(tmp_path, CALLS)
    found = Files(tmp_path).usage(UsageQuestion(by, BERLIN))
    expected = {"since": None, "until": None, "by": by, "rows": rows, "total": TOTAL}
    assert msgspec.json.decode(msgspec.json.encode(found)) == expected


@PLACES
@pytest.mark.parametrize(
    ("question", "rows"),
    [
        (
            UsageQuestion(("key", "day"), BERLIN),
            [("alice", "2023-11-14", 1), ("alice", "2023-11-15", 1), ("bob", "2023-11-15", 1)],
        ),
        (
            UsageQuestion(("day", "key"), BERLIN),
            [("2023-11-14", "alice", 1), ("2023-11-15", "bob", 1), ("2023-11-15", "alice", 1)],
        ),
        (
            UsageQuestion(("day", "key"), UTC),
            [("2023-11-14", "alice", 1), ("2023-11-14", "bob", 1), ("2023-11-15", "alice", 1)],
        ),
        (UsageQuestion(("month", "model"), BERLIN), [("2023-11", "openai/gpt-4o", 2), ("2023-11", "local/llama", 1)]),
        (UsageQuestion("month", BERLIN), [("2023-11", 3)]),
        (UsageQuestion(("key", "key", "provider"), UTC), [("alice", "openrouter", 2), ("bob", "openrouter", 1)]),
        (UsageQuestion("day", BERLIN, only={"key": "bob"}), [("2023-11-15", 1)]),
        (UsageQuestion("key", UTC, only={"model": "openai/*"}), [("alice", 2)]),
        (UsageQuestion("key", UTC, only={"model": "*", "provider": "openrouter", "key": "a?ice"}), [("alice", 2)]),
        (UsageQuestion("key", UTC, only={"key": "ali"}), []),
        (UsageQuestion(("day", "key"), UTC, ms("2023-11-15T00:00:00"), None), [("2023-11-15", "alice", 1)]),
    ],
)
def test_usage_by_several_things_and_of_some_only(
    tmp_path: Path, keep: Keep, question: UsageQuestion, rows: list[tuple[object, ...]]
) -> None:
    keep(tmp_path, CALLS)
    found = Files(tmp_path).usage(question)
    by = found.by if isinstance(found.by, list) else [found.by]
    assert [(*(row[name] for name in by), row["calls"]) for row in found.rows if row["calls"]] == rows
    assert found.total["calls"] == sum(int(str(row[-1])) for row in rows)


@PLACES
def test_calls_served_with_the_reply_to_another_are_no_calls_and_say_what_they_saved(
    tmp_path: Path, keep: Keep
) -> None:
    served = row("e", 0, provider="", source="cached", cost_pusd=0, saved_pusd=7, session="s")
    keep(tmp_path, [*CALLS, Refused(served), Refused(msgspec.structs.replace(served, id="f.0", request_id="f"))])
    found = Files(tmp_path).usage(UsageQuestion("key", UTC))
    alice = {**A, "calls": 2, "sources": {"cached": 2, "reported": 1}, "cached_calls": 2, "saved_usd": "0.000000000014"}
    assert found.rows == [{"key": "alice", **alice}, {"key": "bob", **B}]
    of_session = Files(tmp_path).usage(UsageQuestion("session", UTC, only={"session": "s"})).total
    assert (of_session["calls"], of_session["cached_calls"], of_session["cost_usd"]) == (0, 2, "0.000000000000")


def test_usage_of_nothing_is_empty(tmp_path: Path) -> None:
    found = Files(tmp_path).usage(UsageQuestion("model", UTC))
    assert found.rows == []
    assert (found.total["calls"], found.total["cost_usd"], found.total["sources"]) == (0, "0.000000000000", {})


def test_rows_are_in_order_of_cost_then_name(tmp_path: Path) -> None:
    costs = [("b", 1), ("a", 1), ("c", 2 * 10**12), ("d", 10**13), ("e", 0)]
    keep_in_ledger(tmp_path, [at("2026-01-01T00:00:00", key, cost, key) for key, cost in costs])
    rows = Files(tmp_path).usage(UsageQuestion("key", UTC)).rows
    assert [line["key"] for line in rows] == ["d", "c", "a", "b", "e"]


DST = [  # the local days of 2026-03-29 (23 hours) and 2026-10-25 (25 hours) in Berlin
    ("2026-03-28T22:59:59.999", "2026-03-28"),
    ("2026-03-28T23:00:00", "2026-03-29"),
    ("2026-03-29T21:59:59.999", "2026-03-29"),
    ("2026-03-29T22:00:00", "2026-03-30"),
    ("2026-10-24T21:59:59.999", "2026-10-24"),
    ("2026-10-24T22:00:00", "2026-10-25"),
    ("2026-10-25T22:59:59.999", "2026-10-25"),
    ("2026-10-25T23:00:00", "2026-10-26"),
]


@PLACES
def test_days_begin_when_they_begin_in_the_zone(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path, [at(when, f"r{number}") for number, (when, _) in enumerate(DST)])
    rows = Files(tmp_path).usage(UsageQuestion("day", BERLIN)).rows
    expected = {day: sum(other == day for _, other in DST) for _, day in DST}
    assert [(line["day"], line["calls"]) for line in rows] == list(expected.items())


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Asia/Kathmandu", "2026-01-02"), ("Asia/Kolkata", "2026-01-01"), ("Pacific/Chatham", "2026-01-02")],
)
def test_zones_that_are_off_by_a_quarter_hour_are_exact(tmp_path: Path, zone: str, day: str) -> None:
    keep_in_ledger(tmp_path, [at("2026-01-01T18:15:00", "a")])
    assert Files(tmp_path).usage(UsageQuestion("day", ZoneInfo(zone))).rows[0]["day"] == day


INSTANTS = [
    f"2026-05-0{day}T{hour:02}:{minute:02}:00" for day in (1, 2, 3, 4) for hour in (0, 11, 23) for minute in (0, 45)
]
BOUNDS = [None, *INSTANTS[::5], "2026-05-02T12:34:56"]


@PLACES
@pytest.mark.parametrize("by", ["day", "key"])
def test_since_and_until_count_whole_quarter_hours(tmp_path: Path, keep: Keep, by: By) -> None:
    keep(tmp_path, [at(when, when) for when in INSTANTS])
    files = Files(tmp_path)
    for since in BOUNDS:
        for until in BOUNDS:
            first = ms(since) // 900_000 if since else 0
            end = -(-ms(until) // 900_000) if until else 10**9
            expected = sum(first <= ms(when) // 900_000 < end for when in INSTANTS)
            question = UsageQuestion(by, UTC, ms(since) if since else None, ms(until) if until else None)
            assert files.usage(question).total["calls"] == expected, (since, until)


def test_the_report_says_what_it_really_counted(tmp_path: Path) -> None:
    question = UsageQuestion("key", BERLIN, ms("2026-05-01T12:34:56"), ms("2026-05-02T12:34:56"))
    found = Files(tmp_path).usage(question)
    assert (found.since, found.until) == ("2026-05-01T14:30:00+02:00", "2026-05-02T14:45:00+02:00")


@PLACES
def test_a_call_is_found_with_all_its_attempts(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path, CALLS)
    files = Files(tmp_path)
    assert [(found.attempt, found.outcome, found.stream, found.counts_call) for found in files.find("b")] == [
        (1, "ok", False, False),
        (2, "ok", False, True),
    ]
    assert [found.provider for found in files.find("d")] == [""]
    assert files.find("nobody") == []


@PLACES
def test_what_budgets_have_spent_includes_the_tail(tmp_path: Path, keep: Keep) -> None:
    records: list[Record] = [
        settled("a", charges=(DAY, MONTH), cost_pusd=5),
        hold("open"),
        settled("b", charges=(DAY, ("other", 1)), cost_pusd=2),
        settled("b", charges=(DAY,), cost_pusd=2),
        Adjusted("adj", 1, *DAY, -1, "a refund"),
    ]
    keep(tmp_path, records)
    assert Files(tmp_path).spent([DAY[0], MONTH[0]]) == {DAY: 6, MONTH: 5}


def test_an_empty_ledger_file_is_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    assert Files(tmp_path).booked([DAY[0]]) == ({}, START)


def test_a_tail_that_begins_later_than_the_ledger_ends_is_still_counted(tmp_path: Path) -> None:
    keep_in_ledger(tmp_path, CALLS)
    segment_path(tmp_path / "journal", 1).unlink()
    journal = opened(tmp_path / "journal", Position(1, 10**6))
    journal.append(settled("later"))
    journal.close()
    assert Files(tmp_path).usage(UsageQuestion("key", UTC)).total["calls"] == 4


def test_damaged_and_newer_ledgers_are_named(tmp_path: Path) -> None:
    keep_in_ledger(tmp_path, CALLS)
    path = tmp_path / "ledger.db"
    with engine_for(path).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerTooNew):
        Files(tmp_path).find("a")
    path.write_bytes(b"\xa5" * 8192)
    with pytest.raises(LedgerDamaged):
        Files(tmp_path).find("a")


def test_questions_never_change_the_ledger(tmp_path: Path) -> None:
    keep_in_ledger(tmp_path, CALLS)
    with pytest.raises(LedgerUnavailable, match="readonly"), reading(tmp_path / "ledger.db") as driver:
        driver.execute("DELETE FROM sums")
