"""How fast a target is asked, by what it says: 429s, and headers as OpenAI and Anthropic have them. And whose turn it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.policy.limits.line import Line
from proxy.policy.limits.pace import BATCH, CALM_SECONDS, DEFAULT, Left, Pace, left_of

NOW = datetime(2026, 11, 27, 8, 0, 0, tzinfo=UTC)
INTERACTIVE = 0


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3s", 3723.0),
        ("1.5s", 1.5),
        ("12", 12.0),
        ("2026-11-27T08:00:05Z", 5.0),
        ("2026-11-27T07:00:00Z", 0.0),
        ("soon", None),
        ("1x", None),
        ("", None),
        ("2026-11-27T08", None),
        ("s1", None),
    ],
)
def test_what_is_left_is_read_as_they_spell_it(reset: str, seconds: float | None) -> None:
    names = {"limit": "100", "remaining": "7", "reset": reset}
    openai = {f"x-ratelimit-{what}-requests": value for what, value in names.items()}
    anthropic = {f"anthropic-ratelimit-tokens-{what}": value for what, value in names.items()}
    expected = [] if seconds is None else [seconds]
    assert [left.reset_seconds for left in left_of(openai, NOW)] == expected
    assert [(left.of, left.remaining) for left in left_of(anthropic, NOW)] == [("tokens", 7)] * len(expected)


def test_what_makes_no_sense_is_no_limit() -> None:
    assert left_of({}, NOW) == []
    assert left_of({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-limit-requests": "a"}, NOW) == []


def test_a_refusal_closes_for_as_long_as_it_says_and_a_minute_at_most() -> None:
    pace = Pace()
    assert pace.may_go(BATCH, 0.0)
    pace.refuse(10.0, 5.0)
    pace.refuse(10.5, 9.0)  # it was under way when the first one was refused
    assert [pace.may_go(INTERACTIVE, at) for at in (10.0, 14.9, 15.0)] == [False, False, True]
    pace.refuse(20.0, None)
    assert pace.may_go(INTERACTIVE, 20.0)
    pace.refuse(30.0, 86_400.0)
    assert pace.opens_at == 90.0
    pace.answer(29.0, 40.0)  # it was sent before that
    assert not pace.may_go(INTERACTIVE, 40.0)
    pace.answer(31.0, 40.0)
    assert pace.may_go(INTERACTIVE, 40.0)


def test_who_is_refused_out_of_turn_lets_half_as_many_out_and_then_one_more_a_round() -> None:
    pace = Pace()
    pace.under_way = 20
    pace.refuse(0.0, 1.0)
    assert pace.allowed == 10.0
    pace.under_way = 8
    assert not pace.may_go(BATCH, 2.0) and pace.may_go(DEFAULT, 2.0)  # a fifth is kept free of what nobody waits for
    pace.under_way = 10
    assert not pace.may_go(INTERACTIVE, 2.0)
    for _ in range(11):
        pace.answer(1.0, 2.0)
    assert pace.may_go(INTERACTIVE, 2.0) and 11.0 < (pace.allowed or 0) < 11.1
    for _ in range(1000):
        pace.answer(58.0, 59.0)
    assert 19.0 < (pace.allowed or 0) <= 19.1  # twenty were too many
    pace.answer(59.0, 60.0)
    pace.answer(59.0, 60.0)
    assert 20.0 < (pace.allowed or 0) <= 20.1  # one more is tried, once a minute
    alone = Pace()
    alone.under_way = 1
    alone.refuse(0.0, 1.0)
    assert alone.allowed is None


def test_work_nobody_waits_for_leaves_a_fifth_of_what_is_left() -> None:
    pace = Pace()
    pace.tell(Left("requests", 100, 30, 60.0), 0.0)
    assert pace.may_go(BATCH, 0.0)
    pace.tell(Left("requests", 100, 20, 80.0), 0.0)  # one a second comes back
    assert [pace.may_go(BATCH, at) for at in (0.0, 0.9, 1.1)] == [False, False, True]
    assert pace.may_go(INTERACTIVE, 0.0)
    pace.tell(Left("requests", 100, 0, 100.0), 10.0)
    assert [pace.may_go(INTERACTIVE, at) for at in (10.0, 11.1)] == [False, True]
    assert [pace.may_go(BATCH, at) for at in (30.0, 31.1)] == [False, True]
    pace.tell(Left("tokens", 0, 0, 5.0), 40.0)  # nothing at all comes back
    assert pace.may_go(BATCH, 40.0)


def test_the_expected_wait_is_the_rest_and_the_rounds_before() -> None:
    pace = Pace()
    assert pace.expected_seconds(INTERACTIVE, 100, 0.0) == 0.0
    pace.under_way, pace.seconds = 4, 3.0
    pace.refuse(0.0, 10.0)
    pace.under_way = 0
    assert pace.expected_seconds(INTERACTIVE, 0, 4.0) == 6.0
    assert pace.expected_seconds(INTERACTIVE, 5, 4.0) == 6.0 + 2 * 3.0
    pace.tell(Left("requests", 10, 0, 100.0), 0.0)
    assert pace.expected_seconds(BATCH, 0, 0.0) == 30.0
    assert (pace.next_opening(0.0), pace.next_opening(10.0), pace.next_opening(30.0)) == (10.0, 30.0, None)
    assert pace.calm_at == 30.0 + CALM_SECONDS


def test_the_higher_priority_goes_first_and_keys_in_turn_within_one() -> None:
    line: Line[str] = Line()
    for rank, key, one in [(2, "a", "a2"), (1, "a", "a1"), (1, "a", "a1b"), (1, "b", "b1"), (0, "c", "c0")]:
        line.join(key, one, rank)
    assert (line.waiting, line.ahead(0), line.ahead(1)) == (5, 1, 4)
    assert line.is_before("x", 1) and not line.is_before("x", 0) and line.is_before("c", 0)
    order = []
    while (one := line.call(lambda _: True)) is not None:
        order.append(one)
        line.leave(one[0], one, int(one[1]))
    assert order == ["c0", "a1", "b1", "a1b", "a2"]
    assert not line.waiting and not line.is_before("a", 2)
