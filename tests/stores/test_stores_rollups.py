"""Roll-ups: whatever was written in whichever order, they are the sums of the rows, and agree with `usage`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from harness.ledger import apply
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from stores_samples import row, settled, voided

from proxy.stores.database import connect
from proxy.stores.flags import Flagged, keep_flags
from proxy.stores.journal.records import Adjusted, Corrected, Record, Refused, Row, Settled
from proxy.stores.journal.segments import Position
from proxy.stores.ledger import label_rollups, rollups
from proxy.stores.ledger.alike import alike
from proxy.stores.ledger.histogram import histogram_of, merged, quantiles, read, text_of
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.tally import COUNTERS
from proxy.stores.questions.analytics import AnalyticsQuestion, By, Found, Interval, report
from proxy.stores.questions.analytics_ledger import MOST_ATTEMPTS, TooMuch, _count_attempts
from proxy.stores.questions.queries import Files
from proxy.stores.questions.usage import UsageQuestion

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
BERLIN = ZoneInfo("Europe/Berlin")
FIELDS = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd", "sources")


def opened(folder: Path) -> sqlite3.Connection:
    open_ledger(folder / "ledger.db")
    return connect(folder / "ledger.db")


def add(driver: sqlite3.Connection, *records: Record) -> None:
    driver.execute("BEGIN IMMEDIATE")
    with driver:
        apply(driver, [(Position(1, number), record) for number, record in enumerate(records)])


def asked(folder: Path, *by: By, interval: Interval | None = None, **more: Any) -> list[dict[str, Any]]:
    zone = more.pop("zone", UTC)
    return Files(folder).analytics(AnalyticsQuestion(by, zone, interval, **more)).rows


MOMENTS = st.builds(
    lambda days, hours, minutes: NOON + days * DAY + hours * HOUR + minutes * MINUTE,
    st.integers(-40, 0), st.integers(-3, 14), st.integers(0, 59),
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {
        "at_ms": MOMENTS,
        "key": st.sampled_from(["alice", "bob"]),
        "tenant": st.sampled_from(["", "acme"]),
        "model": st.sampled_from(["openai/gpt-4o", "local/llama"]),
        "provider": st.sampled_from(["openrouter", "local"]),
        "endpoint": st.sampled_from(["chat/completions", "embeddings"]),
        "source": st.sampled_from(["reported", "computed", "none"]),
        "status": st.sampled_from([200, 200, 500, 499]),
        "cost_pusd": st.integers(0, 10**12),
        "output_tokens": st.integers(0, 10**6),
        "total_ms": st.integers(0, 10**7),
        "first_token_ms": st.none() | st.integers(0, 10**6),
        "session": st.sampled_from(["", "s1", "s2"]),
    }
)


COMPARED: tuple[tuple[Any, Any, Any], ...] = (
    (UTC, "day", "key"),
    (BERLIN, "day", "model"),
    (BERLIN, "month", "session"),
    (UTC, None, "provider"),
    (BERLIN, None, "tenant"),
)


@st.composite
def written(draw: st.DrawFn) -> list[Record]:
    """Calls, with retries, refusals, corrections and adjustments among them; some records twice."""
    records: list[Record] = []
    for number, values in enumerate(draw(st.lists(ROWS, min_size=1, max_size=25))):
        kind = draw(st.sampled_from(["settled", "voided", "refused", "corrected", "adjusted"]))
        name = f"r{number}"
        if kind == "voided":
            records.append(voided(name, **{**values, "cost_pusd": 0, "source": "none"}))
        elif kind == "refused":
            records.append(Refused(row(name, 0, **{**values, "provider": "", "source": "none", "times": 3})))
        elif kind == "adjusted":
            records.append(Adjusted(name, values["at_ms"], "global:day", 0, -5, "why"))
        else:
            records.append(settled(name, counts_call=draw(st.booleans()), **values))
        if kind == "corrected":
            was = records[-1].row  # type: ignore[union-attr]
            records.append(Corrected(was, replace(was, cost_pusd=7, source="looked_up", output_tokens=1), ()))
    return records + draw(st.lists(st.sampled_from(records), max_size=3))


@settings(max_examples=8, deadline=None)
@given(records=written(), batch=st.integers(1, 9), filled=st.booleans())
def test_every_answer_agrees_with_usage(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], batch: int, *, filled: bool
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    with closing(opened(folder)) as driver:
        for start in range(0, len(records), batch):
            add(driver, *records[start : start + batch])
        if filled:
            filled_anew(driver)
    files = Files(folder)
    for zone, interval, by in COMPARED:
        found = files.analytics(AnalyticsQuestion((by,), zone, interval))
        told = files.usage(UsageQuestion((interval, by) if interval else by, zone))
        assert by_names(found.rows, interval, by) == by_names(told.rows, interval, by)
        theirs = files.analytics(AnalyticsQuestion((by,), zone, interval, tenants=("acme",)))
        mine = files.usage(UsageQuestion((interval, by) if interval else by, zone, tenants=("acme",)))
        assert by_names(theirs.rows, interval, by) == by_names(mine.rows, interval, by)
    everything = files.analytics(AnalyticsQuestion((), UTC)).total
    refused = {one.row.id: one.row.times for one in records if isinstance(one, Refused)}
    assert everything["refused"] == sum(refused.values())
    for by in ("tenant", "model", "endpoint"):
        assert files.analytics(AnalyticsQuestion((by,), BERLIN, "hour")).total == everything  # type: ignore[arg-type]


OF_LABELS: tuple[dict[str, Any], ...] = (
    {"by": ("session",)},
    {"by": ("session", "model"), "interval": "day", "zone": BERLIN},
    {"by": ("key", "session"), "interval": "hour", "tenants": ("acme",)},
    {"by": ("model",), "only": {"session": "s*"}},
    {"by": (), "only": {"session": "*"}, "interval": "month"},
    {"by": ("provider",), "only": {"session": "", "key": "a*"}},
    {"by": ("flag",), "interval": "hour"},
    {"by": ("flag", "key"), "only": {"flag": "r*"}},
    {"by": ("model",), "only": {"flag": "refusal"}, "interval": "day"},
)


@settings(max_examples=10, deadline=None)
@given(records=written(), batch=st.integers(1, 9), filled=st.booleans(), flagged=st.integers(0, 2**20))
def test_sums_by_session_and_flag_are_those_of_the_attempts(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], batch: int, flagged: int, *, filled: bool
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    with closing(opened(folder)) as driver:
        for start in range(0, len(records), batch):
            part = records[start : start + batch]
            add(driver, *part)
            keep_flags(driver, [flags for one in part if (flags := flags_of(one, flagged)) is not None])
        if filled:
            filled_anew(driver)
        for members in OF_LABELS:
            question = AnalyticsQuestion(**{"zone": UTC, **members})
            assert question.label is not None
            found: Found = {}
            _count_attempts(driver, found, question)
            told = Files(folder).analytics(question)
            assert told == report(found, question, complete=True), members


def flags_of(record: Record, flagged: int) -> Flagged | None:
    """Those that the call happens to get; again and again the same ones."""
    if not isinstance(record, Settled):
        return None
    dice = Random(f"{record.row.request_id} {flagged}")
    flags = tuple(flag for flag in ("refusal", "short") if dice.random() < 0.4)
    return Flagged(record.row.request_id, flags, record.row.at_ms)


def by_names(rows: list[dict[str, Any]], interval: str | None, by: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The fields both have, by the time as `usage` writes it and the name."""
    length = {"day": 10, "month": 7, None: 0}[interval]
    return {
        (row.get(interval or "", (row.get("at") or "")[:length]), row[by]): {field: row[field] for field in FIELDS}
        for row in rows
        if row.get("attempts", 1)
    }


def filled_anew(driver: sqlite3.Connection) -> None:
    """As after a migration: the tables are empty, and what is there already is brought in."""
    for table in ("minutes", "hours", "days", "labels"):
        driver.execute(f"DELETE FROM rollup_{table}")
    driver.execute(
        "UPDATE rollup_state SET folded = ?, fill_until_seq = newest, labels_until_seq = newest "
        "FROM (SELECT coalesce(max(seq), 0) AS newest FROM attempts)",
        (NOON // MINUTE,),
    )
    while rollups.fill(driver) or label_rollups.fill(driver):
        pass


def test_what_is_corrected_while_older_rows_are_brought_in_counts_once(tmp_path: Path) -> None:
    first, second = settled("a", at_ms=NOON, session="s1"), settled("b", at_ms=NOON + DAY, session="s1")
    with closing(opened(tmp_path)) as driver:
        add(driver, first)
        for table in ("minutes", "hours", "days", "labels"):
            driver.execute(f"DELETE FROM rollup_{table}")
        driver.execute("UPDATE rollup_state SET fill_until_seq = 1, labels_until_seq = 1")
        for by in ((), ("session",), ("flag",)):
            assert Files(tmp_path).analytics(AnalyticsQuestion(by, UTC)).complete is False  # type: ignore[arg-type]
        add(driver, second, *(Corrected(one.row, replace(one.row, cost_pusd=5), ()) for one in (first, second)))
        keep_flags(driver, [Flagged(one.row.request_id, ("refusal",), NOON) for one in (first, second)])
        assert rollups.fill(driver) is False
        assert label_rollups.fill(driver) is False
    for by in ((), ("session",), ("flag",)):
        total = Files(tmp_path).analytics(AnalyticsQuestion(by, UTC)).total  # type: ignore[arg-type]
        assert (total["calls"], total["cost_usd"]) == (2, "0.000000000010")


def test_minutes_are_told_for_a_week_and_then_by_the_hour(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as driver:
        add(driver, *(settled(f"r{n}", at_ms=NOON - n * DAY, total_ms=100 * n) for n in range(12)))
        add(driver, settled("late", at_ms=NOON + HOUR), settled("later", at_ms=NOON + 2 * HOUR))
        rollups.prune_minutes(driver, 100)
    rows = asked(tmp_path, interval="minute", since_ms=NOON - 2 * DAY)
    assert [row["at"] for row in rows] == [
        f"2023-11-{day}T12:00:00+00:00" for day in (13, 14, 15)
    ] + ["2023-11-15T13:00:00+00:00", "2023-11-15T14:00:00+00:00"]  # fmt: skip
    assert sum(row["calls"] for row in asked(tmp_path, interval="hour")) == 14
    with pytest.raises(TooMuch, match="8 days"):
        asked(tmp_path, interval="minute", since_ms=NOON - 9 * DAY)


def test_names_are_asked_for_whole_or_by_pattern_and_times_are_whole_intervals(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as driver:
        add(
            driver, settled("a", key="ci-1", at_ms=NOON), settled("b", key="ci-2", at_ms=NOON), settled("c", at_ms=NOON)
        )
    assert [row["key"] for row in asked(tmp_path, "key", only={"key": "ci-*"})] == ["ci-1", "ci-2"]
    assert [row["key"] for row in asked(tmp_path, "key", only={"key": "ci-[!1]"})] == ["ci-2"]
    assert asked(tmp_path, "model", only={"key": "alice", "endpoint": "chat*"})[0]["calls"] == 1
    until = NOON + 1
    report = Files(tmp_path).analytics(AnalyticsQuestion((), BERLIN, "day", NOON - DAY, until))
    assert (report.since, report.until) == ("2023-11-14T00:00:00+01:00", "2023-11-16T00:00:00+01:00")
    assert [row["at"] for row in report.rows] == ["2023-11-15T00:00:00+01:00"]


def test_a_clock_far_ahead_hides_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as driver:
        add(driver, settled("future", at_ms=253_370_764_799_000))
        add(driver, settled("now", at_ms=NOON), settled("odd", at_ms=0, cost_pusd=2**63 - 1))
        add(driver, settled("odder", at_ms=0, cost_pusd=2**63 - 1))
    assert sum(row["calls"] for row in asked(tmp_path, "model", interval="day")) == 4


def test_percentiles_are_right_to_five_percent_and_add_up() -> None:
    for ms in (1, 2, 7, 99, 1234, 3_600_000):
        (found,) = quantiles(3 * histogram_of(ms), (0.95,))
        assert found is not None and abs(found - ms) <= max(0.5, 0.05 * ms)
    assert quantiles(histogram_of(0), (0.5,)) == [0]
    assert quantiles(0, (0.5, 0.95)) == [None, None]
    mixed = 95 * histogram_of(10) + 5 * histogram_of(1000)
    assert quantiles(mixed, (0.95, 0.96))[0] in range(9, 12)
    assert quantiles(mixed, (0.96,))[0] in range(950, 1051)
    for one in (0, histogram_of(0), -histogram_of(7), mixed, 2**30 * histogram_of(10**12)):
        assert read(text_of(one)) == one
        assert read(merged(text_of(one), text_of(mixed))) == one + mixed


def test_of_sessions_only_those_of_the_tenants_asked_for_count_against_what_is_added_up(tmp_path: Path) -> None:
    columns = ", ".join(f'"{name}"' for name in Row.__struct_fields__ if name != "id")
    with closing(opened(tmp_path)) as driver:
        add(driver, settled("a", at_ms=NOON, tenant="acme"), settled("b", at_ms=NOON, tenant="globex"))
        driver.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            f"INSERT INTO attempts (id, {columns}) SELECT 'x' || i, {columns} FROM attempts, n WHERE tenant = 'globex'",  # noqa: S608
            (MOST_ATTEMPTS,),
        )
    for tenants in (None, ("globex",)):
        with pytest.raises(TooMuch, match="150,000 attempts"):
            Files(tmp_path).analytics(AnalyticsQuestion(("session",), UTC, "minute", tenants=tenants))
    for by in ("session", "flag"):
        question = AnalyticsQuestion((by,), UTC, "minute", tenants=("acme",))  # type: ignore[arg-type]
        assert Files(tmp_path).analytics(question).total["calls"] == (1 if by == "session" else 0)


@pytest.mark.parametrize("many", [1, 2, 3, 4, 50])
@pytest.mark.parametrize(
    "shared",
    [{}, {"counts_call": False}, {"source": "none"}, {"source": "cached", "saved_pusd": 7}, {"saved_pusd": 3}],
)
def test_rows_that_are_alike_add_up_to_what_each_adds(many: int, shared: dict[str, Any]) -> None:
    numbers = COUNTERS[2:-1]
    rows = [row(f"a{n}", **{name: n * place for place, name in enumerate(numbers, 1)}, **shared) for n in range(many)]
    together, each = rollups.Sums(), rollups.Sums()
    together.add_rows(rows)
    for one in rows:
        each.add_row(one)
    assert together.columns() == each.columns()


@pytest.mark.parametrize("shared", [{}, {"source": "none"}, {"source": "cached", "saved_pusd": 7}, {"status": 500}])
@pytest.mark.parametrize(
    "odd",
    [{}, {"at_ms": NOON + 60_000}, {"key": "bob"}, {"model": "another"}, {"first_token_ms": None}, {"stream": True}],
)
def test_many_rows_that_come_together_add_up_to_what_each_adds(shared: dict[str, Any], odd: dict[str, Any]) -> None:
    times = [
        {"at_ms": NOON, "total_ms": n * n, "first_token_ms": n % 7, "input_tokens": n, "cost_pusd": n}
        for n in range(150)
    ]
    rows = [row(f"a{n}", **{**own, **shared}) for n, own in enumerate(times)]
    for at in (0, 77, 149):
        some = [*rows[:at], replace(rows[at], **odd), *rows[at + 1 :]]
        each: dict[rollups.Place, rollups.Sums] = {}
        for one in some:
            rollups.add_up(each, alike([one]))
        together = rollups.summed(alike(some))
        assert {place: sums.columns() for place, sums in together.items()} == {
            place: sums.columns() for place, sums in each.items()
        }
