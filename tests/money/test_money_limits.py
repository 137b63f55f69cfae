"""Limits on requests, tokens and calls at once, under a thousand callers; and headers that tell the truth."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from harness.crowd import Answer, crowd
from harness.daemon import Daemon
from harness.mock import Mock
from money_books import StartToll, ask, priced

CALLERS = 1000
QUICK = "openrouter/mock/echo?tokens=1&cost=0.001"
# long enough for a thousand calls to arrive on a slow machine before the first of them ends
SLOW = "openrouter/mock/slow?ttft=8&interval=0&tokens=1&cost=0.001"


def start(start_toll: StartToll, of_alice: list[dict[str, Any]], **members: Any) -> Daemon:
    models = {"quick": priced(QUICK), "other": priced(QUICK), "slow": priced(SLOW)}
    return start_toll(alice={"limits": of_alice}, models=models, **members)


def refused(answers: list[Answer], code: str) -> list[Answer]:
    """Those that were, each with a hint when to come back."""
    turned_away = [answer for answer in answers if answer.status != 200]
    assert {(answer.status, answer.code) for answer in turned_away} <= {(429, code)}
    for answer in turned_away:
        milliseconds = float(answer.header("retry-after-ms"))
        assert 0 < milliseconds <= float(answer.header("retry-after")) * 1000 < milliseconds + 1000
    return turned_away


def test_requests_of_a_thousand_callers(start_toll: StartToll, mock: Mock) -> None:
    daemon = start(start_toll, [{"requests": 50, "per": "day"}])
    answers = crowd(daemon, [ask("quick")] * CALLERS)
    assert len(refused(answers, "rate_limit_exceeded")) == CALLERS - 50
    assert len(mock.bill()) == 50
    remaining = sorted(
        int(answer.header("x-ratelimit-remaining-requests")) for answer in answers if answer.status == 200
    )
    assert remaining == list(range(50))
    assert {answer.header("x-ratelimit-limit-requests") for answer in answers} == {"50"}
    last = daemon.chat("quick")
    assert (last.status, last.header("x-ratelimit-remaining-requests")) == (429, "0")
    assert "50 requests per day" in last.error["message"]


@pytest.mark.parametrize(("per", "words"), [("month", "30 days"), ("day", "24 hours"), ("hour", "60 minutes")])
def test_a_long_wait_is_told_in_words(start_toll: StartToll, per: str, words: str) -> None:
    daemon = start(start_toll, [{"requests": 1, "per": per}])
    assert daemon.chat("quick").status == 200
    assert daemon.chat("quick").error["message"].endswith(f"is reached; try again in {words}.")


def test_calls_at_once_of_a_thousand_callers(start_toll: StartToll, mock: Mock) -> None:
    daemon = start(start_toll, [{"concurrent": 20}])
    answers = crowd(daemon, [ask("slow", stream=bool(n % 2)) for n in range(CALLERS)])
    assert len(refused(answers, "too_many_concurrent")) == CALLERS - 20
    assert len(mock.bill()) == 20
    # every slot came back, whichever way its call ended
    assert Counter(answer.status for answer in crowd(daemon, [ask("quick")] * 20)) == {200: 20}


def test_tokens_of_a_thousand_callers(start_toll: StartToll, mock: Mock) -> None:
    daemon = start(start_toll, [{"tokens": 10_000, "per": "day"}])
    answers = crowd(daemon, [ask("slow", max_tokens=900)] * CALLERS)
    served = CALLERS - len(refused(answers, "rate_limit_exceeded"))
    assert served == len(mock.bill()) == 10  # each 900, and some for the prompt
    # once settled, only what was used counts
    used = sum(row["input_tokens"] + row["output_tokens_emitted"] for row in mock.bill())
    reply = daemon.chat("quick", max_tokens=900)
    assert reply.status == 200
    left = int(reply.header("x-ratelimit-remaining-tokens") or 0)
    assert 0 <= 10_000 - used - 900 - left < 60


@pytest.mark.parametrize("names", [["quick"] * 4, ["quick", "other"] * 4], ids=["one name", "two in turn"])
def test_calls_alike_take_as_many_tokens_as_the_first_of_them(
    start_toll: StartToll, mock: Mock, names: list[str]
) -> None:
    daemon = start(start_toll, [{"tokens": 10_000, "per": "month"}])
    replies = [daemon.chat(name, max_tokens=900) for name in names]
    left = [int(reply.header("x-ratelimit-remaining-tokens") or 0) for reply in replies]
    used = [row["input_tokens"] + row["output_tokens_emitted"] for row in mock.bill()]
    assert 9_000 < left[0] < 9_100
    assert [one - after for one, after in zip(left, left[1:], strict=False)] == used[:-1]


def test_the_limits_of_everything_together_and_of_a_key_are_taken_in_one_step(
    start_toll: StartToll, mock: Mock
) -> None:
    daemon = start(
        start_toll, [{"requests": 100, "per": "day"}, {"tokens": 50_000, "per": "day"}], limits=[{"concurrent": 10}]
    )
    answers = crowd(daemon, [ask("slow")] * CALLERS)
    assert sum(answer.status == 200 for answer in answers) == len(mock.bill()) == 10
    # who was turned away by one limit has taken nothing from the others
    reply = daemon.chat("quick")
    assert reply.header("x-ratelimit-remaining-requests") == "89"


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_takes_from_the_limits_once_however_many_attempts_it_takes(
    start_toll: StartToll, mock: Mock, stream: bool
) -> None:
    # so little is free that each attempt is judged before it takes: its own place is not in its way
    daemon = start_toll(
        alice={"limits": [{"requests": 10, "per": "day"}, {"concurrent": 1}], "budgets": [{"usd": 1, "per": "total"}]},
        models={"m": priced("first/error?status=503&times=2&tokens=1&cost=0.01")},
        providers={"first": mock.provider("mock")},
        retries={"attempts": 3, "first_wait": 0.01},
    )
    reply = daemon.post("/v1/chat/completions", ask("m", stream=stream, max_tokens=None))
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (200, "3")
    assert reply.header("x-ratelimit-remaining-requests") == "9"


def test_a_call_that_its_budget_turns_away_takes_nothing_from_the_limits(start_toll: StartToll, mock: Mock) -> None:
    daemon = start(
        start_toll,
        [{"requests": 10, "per": "day"}, {"tokens": 10_000, "per": "day"}, {"concurrent": 1}],
        budgets=[{"usd": 0.04, "per": "total"}],
        budget_policy={"wait": 5},
    )
    first = daemon.open_chat("slow", max_tokens=100)
    while not mock.bill():
        continue
    # $0.01 is left beside the hold: what needs more than the budget has is turned away at once
    assert {daemon.chat("quick", max_tokens=1000).error["code"] for _ in range(3)} == {"too_many_concurrent"}
    with first:
        assert first.read_reply("POST").status == 200
    assert {daemon.chat("quick", max_tokens=1000).error["code"] for _ in range(3)} == {"budget_exceeded"}
    reply = daemon.chat("quick", max_tokens=100)
    assert (reply.status, reply.header("x-ratelimit-remaining-requests")) == (200, "8")


# little room, which is looked at first, and plenty, of which is taken at once
@pytest.mark.parametrize("usd", [1, 1000])
def test_a_call_that_a_limit_turns_away_holds_nothing(start_toll: StartToll, usd: int) -> None:
    alice = {"limits": [{"requests": 1, "per": "day"}], "budgets": [{"usd": usd, "per": "total"}]}
    daemon = start_toll(alice=alice, models={"m": priced(QUICK)})
    assert [daemon.chat("m").status for _ in range(3)] == [200, 429, 429]
    assert daemon.metric("tollkeeper_budget_held_usd", budget="key:alice:total") == 0
