"""Tables over when periods begin and end: changes of clocks, odd zones, ends of years."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.money.budgets import Budget, Per
from proxy.policy.money.periods import period_end, period_start


def budget(per: Per, zone: str = "UTC") -> Budget:
    return Budget("b", "global", per, 1, ZoneInfo(zone))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("per", "zone", "now", "start", "end"),
    [
        ("minute", "UTC", "2026-05-05T10:11:12", "2026-05-05T10:11:00", "2026-05-05T10:12:00"),
        ("minute", "Asia/Kolkata", "2026-05-05T10:11:59", "2026-05-05T10:11:00", "2026-05-05T10:12:00"),
        ("hour", "UTC", "2026-05-05T10:11:12", "2026-05-05T10:00:00", "2026-05-05T11:00:00"),
        ("hour", "Asia/Kolkata", "2026-05-05T10:11:12", "2026-05-05T09:30:00", "2026-05-05T10:30:00"),
        ("hour", "Asia/Kolkata", "2026-05-05T10:31:12", "2026-05-05T10:30:00", "2026-05-05T11:30:00"),
        # The hour that comes twice is two hours.
        ("hour", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T00:00:00", "2026-10-25T01:00:00"),
        ("hour", "Europe/Berlin", "2026-10-25T01:30:00", "2026-10-25T01:00:00", "2026-10-25T02:00:00"),
        # The hour that is left out is none.
        ("hour", "Europe/Berlin", "2026-03-29T00:59:59", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("hour", "Europe/Berlin", "2026-03-29T01:00:00", "2026-03-29T01:00:00", "2026-03-29T02:00:00"),
        # Lord Howe moves by half an hour: one hour of 90 minutes, one of 30.
        ("hour", "Australia/Lord_Howe", "2026-04-04T15:10:00", "2026-04-04T14:00:00", "2026-04-04T15:30:00"),
        ("hour", "Australia/Lord_Howe", "2026-10-03T15:40:00", "2026-10-03T15:30:00", "2026-10-03T16:00:00"),
        ("day", "UTC", "2026-02-28T23:59:59", "2026-02-28T00:00:00", "2026-03-01T00:00:00"),
        ("day", "UTC", "2028-02-28T12:00:00", "2028-02-28T00:00:00", "2028-02-29T00:00:00"),
        ("day", "UTC", "2028-02-29T12:00:00", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("day", "Asia/Tokyo", "2026-05-05T14:59:59", "2026-05-04T15:00:00", "2026-05-05T15:00:00"),
        ("day", "Asia/Tokyo", "2026-05-05T15:00:00", "2026-05-05T15:00:00", "2026-05-06T15:00:00"),
        ("day", "Asia/Kolkata", "2026-05-05T18:30:00", "2026-05-05T18:30:00", "2026-05-06T18:30:00"),
        # 23 and 25 hours.
        ("day", "Europe/Berlin", "2026-03-29T12:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("day", "Europe/Berlin", "2026-10-25T22:59:59", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        # A midnight left out, a midnight that comes twice.
        ("day", "America/Santiago", "2026-09-06T12:00:00", "2026-09-06T04:00:00", "2026-09-07T03:00:00"),
        ("day", "America/Havana", "2026-11-01T05:30:00", "2026-11-01T04:00:00", "2026-11-02T05:00:00"),
        ("week", "UTC", "2026-11-21T12:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("week", "UTC", "2026-11-16T00:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("week", "UTC", "2027-01-01T00:00:00", "2026-12-28T00:00:00", "2027-01-04T00:00:00"),
        ("week", "Europe/Berlin", "2026-03-29T12:00:00", "2026-03-22T23:00:00", "2026-03-29T22:00:00"),
        ("week", "Europe/Berlin", "2026-10-25T12:00:00", "2026-10-18T22:00:00", "2026-10-25T23:00:00"),
        ("month", "UTC", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "UTC", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("month", "Asia/Tokyo", "2026-12-31T15:00:00", "2026-12-31T15:00:00", "2027-01-31T15:00:00"),
        ("month", "Europe/Berlin", "2026-03-15T12:00:00", "2026-02-28T23:00:00", "2026-03-31T22:00:00"),
        ("month", "Europe/Berlin", "2026-10-25T12:00:00", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
    ],
)
def test_a_period_is_that_of_the_zones_clock(per: Per, zone: str, now: str, start: str, end: str) -> None:
    found = period_start(budget(per, zone), utc(now))
    assert (found, period_end(budget(per, zone), found)) == (utc(start), utc(end))


def test_a_total_has_one_period_without_an_end() -> None:
    assert period_start(budget("total"), 1e9) == 0
    assert period_end(budget("total"), 0) is None


def test_a_fraction_before_midnight_is_still_the_day_before() -> None:
    midnight = utc("2026-05-05T00:00:00")
    assert period_start(budget("day"), midnight - 4e-7) == midnight - 86_400


PERS: list[Per] = ["minute", "hour", "day", "week", "month"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/Havana",
]


@given(st.sampled_from(PERS), st.sampled_from(ZONES), st.integers(utc("2020-01-01"), utc("2036-01-01")))
def test_periods_follow_each_other_without_gap_or_overlap(per: Per, zone: str, now: int) -> None:
    ruled = budget(per, zone)
    start = period_start(ruled, now)
    end = period_end(ruled, start)
    assert end is not None
    assert start <= now < end
    assert period_start(ruled, start) == start
    assert period_start(ruled, end - 1) == start
    assert period_start(ruled, end) == end
