"""Bills against the ledger, day by day: what is matched, what is explained and how, and what nobody is told of."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.policy.analysis.bills import BillDay, Reading, begin, correction, follow, key_reading, sampled, with_credit

CENT = 10**10
MINUTE = 60_000
MIDNIGHT = 1_795_737_600_000  # 2026-11-27 00:00 UTC
ACCOUNT = "openrouter", ""


def read(
    minute: int, billed: int, booked: int, calls: int, pending: int = 0, label: str = "sk-or-v1-au7...890"
) -> Reading:
    """Amounts in cents."""
    return Reading(MIDNIGHT + minute * MINUTE, label, billed * CENT, booked * CENT, calls, pending)


def day_of(*readings: Reading) -> BillDay:
    """The day after these."""
    day = begin(ACCOUNT, readings[0])
    for reading in readings[1:]:
        (day, *_) = follow(day, reading)
    return day


NEXT_DAY = 1440 + 5


@pytest.mark.parametrize(
    ("readings", "state", "causes", "delta_cents", "foreign_cents"),
    [
        pytest.param(
            [read(0, 100, 40, 7), read(10, 300, 240, 27), read(NEXT_DAY, 300, 240, 27)], "matched", [], None, 0, id="the same"
        ),
        pytest.param(
            [read(0, 0, 0, 0), read(10, 100, 0, 0), read(NEXT_DAY, 100, 0, 0)], "explained", ["foreign use"], None, 100,
            id="others use the key while nothing of ours is under way",
        ),
        pytest.param(
            [read(0, 0, 0, 0), read(10, 90, 100, 9), read(20, 100, 100, 9), read(NEXT_DAY, 100, 100, 9)], "matched", [], None, 0,
            id="billed late for what was booked before is nobody else's",
        ),
        pytest.param(
            [read(0, 0, 0, 0, 1), read(10, 100, 60, 9), read(NEXT_DAY, 100, 60, 9)], "explained", ["late settlement"], 40, 0,
            id="something was under way",
        ),
        pytest.param(
            [read(0, 0, 0, 0), read(10, 100, 120, 9), read(NEXT_DAY, 100, 120, 9)], "explained", ["unknown"], -20, 0, id="too much"
        ),
        pytest.param(
            [read(0, 900, 0, 0), read(10, 10, 50, 4, label="another"), read(NEXT_DAY, 110, 90, 8, label="another")], "explained",
            ["another key"], 60, 0, id="the key was changed: the stretch in which it was does not count",
        ),
        pytest.param(
            [read(0, 0, 0, 0), read(10, 1000, 996, 50), read(NEXT_DAY, 1000, 996, 50)], "matched", ["unknown"], 4, 0,
            id="within 1 %",
        ),
    ],
)  # fmt: skip
def test_a_day_that_is_over_is_matched_or_explained(
    readings: list[Reading], state: str, causes: list[str], delta_cents: int | None, foreign_cents: int
) -> None:
    day = day_of(*readings)
    made = correction(day)
    assert (day.state, list(day.causes), day.foreign_pusd) == (state, causes, foreign_cents * CENT)
    assert (None if made is None else made.delta_pusd) == (None if delta_cents is None else delta_cents * CENT)
    if made is not None:  # with it the ledger's sum is the bill's
        assert day.booked_pusd + made.delta_pusd + day.foreign_pusd == day.billed_pusd


def test_a_day_ends_when_nothing_is_under_way_and_an_hour_after_midnight_at_the_latest() -> None:
    day = begin(ACCOUNT, read(0, 0, 0, 0))
    assert [one.state for one in follow(day, read(1430, 10, 10, 1))] == ["open"]
    (waits,) = follow(day, read(NEXT_DAY, 10, 9, 1, pending=3))
    assert (waits.state, waits.day) == ("provisional", "2026-11-27")
    late, fresh = follow(waits, read(1440 + 61, 20, 20, 2, pending=3))
    assert (late.state, late.billed_pusd) == ("matched", 20 * CENT)
    assert (fresh.day, fresh.state, fresh.billed_pusd, fresh.seen) == ("2026-11-28", "open", 0, late.seen)


@pytest.mark.parametrize(
    ("billed", "booked", "pending", "is_over"),
    [
        pytest.param(104, 100, 0, False, id="above 1 % and below $0.05"),
        pytest.param(106, 100, 0, True, id="above both"),
        pytest.param(100, 106, 0, True, id="the ledger has more"),
        pytest.param(10_090, 10_000, 0, False, id="above $0.05 and below 1 %"),
        pytest.param(120, 100, 2, False, id="what is under way may be the rest"),
    ],
)
def test_what_is_too_far_apart_is_above_one_percent_and_five_cents(
    billed: int, booked: int, pending: int, is_over: bool
) -> None:
    day = day_of(read(0, 0, 0, 0), read(10, billed, booked, 10, pending))
    assert day.is_over is is_over
    assert day.over == int(is_over)


@pytest.mark.parametrize(
    ("limit", "credit", "left"),
    [
        (None, {"total_credits": 100, "total_usage": Decimal("98.5")}, 150),
        (20, {"total_credits": 100, "total_usage": 20}, 20),
        (2000, {"total_credits": 10, "total_usage": 20}, 0),
        (20, {}, 20),
        (None, {"total_credits": True, "total_usage": 1}, None),
    ],
)
def test_the_least_of_limit_and_credit_is_left(limit: int | None, credit: dict[str, Any], left: int | None) -> None:
    cents = None if limit is None else limit * CENT
    assert with_credit(("sk", 7, cents), credit) == ("sk", 7, None if left is None else left * CENT)


def test_a_sample_of_calls_tells_of_a_discount() -> None:
    day = sampled(day_of(read(0, 0, 0, 0), read(10, 90, 100, 10)), 10 * CENT, 9 * CENT)
    (over, _) = follow(day, read(NEXT_DAY, 90, 100, 10))
    assert (over.causes, over.sampled, over.sampled_off_pusd) == (("lower price",), 1, -CENT)


def test_a_day_of_late_settlements_and_leavers_stays_within_half_a_percent() -> None:
    """Each call is billed as it ends; five of a hundred are booked up to twenty minutes later, three by what was counted."""
    chance, day = Random(5), begin(ACCOUNT, read(0, 0, 0, 0))
    billed: list[int] = []
    booked: list[tuple[int, int]] = []  # when, how much
    for minute in range(1435):
        for _ in range(5):
            cost = chance.randrange(CENT // 20, CENT)
            kind = chance.random()
            counted = cost * chance.randrange(97, 101) // 100 if kind < 0.03 else cost
            billed.append(cost)
            booked.append((minute + (chance.randrange(1, 20) if kind > 0.95 else 0), counted))
        if minute % 10 == 9:
            known = [amount for at, amount in booked if at <= minute]
            reading = Reading(
                MIDNIGHT + minute * MINUTE, "k", sum(billed), sum(known), len(billed), pending=len(booked) - len(known)
            )
            before = replace(day.seen, label="k")
            (day,) = follow(replace(day, seen=before), reading)
            assert not day.is_over and not day.foreign_pusd
    assert abs(day.drift_ratio) <= 0.005
    last = Reading(MIDNIGHT + NEXT_DAY * MINUTE, "k", sum(billed), sum(amount for _, amount in booked), len(billed))
    over, _ = follow(day, last)
    assert over.state == "matched" and 0 <= over.drift_ratio <= 0.005


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"label": "k", "usage": Decimal("1.5"), "byok_usage": Decimal("0.25"), "limit_remaining": 8}, ("k", 175 * CENT, 800 * CENT)),
        ({"label": "k", "usage": 0, "limit_remaining": None}, ("k", 0, None)),
        ({"label": "k"}, None),
        ({"usage": "12"}, None),
        ({"usage": True}, None),
        ({"usage": Decimal("NaN")}, None),
        ({"usage": 10**12}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_key_says_what_it_was_billed_or_nothing(data: dict[str, Any], found: Any) -> None:
    assert key_reading(data) == found
