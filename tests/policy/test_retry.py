"""One row per situation: try again, try elsewhere, or pass on what there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.retries.retry import (
    Again,
    Attempt,
    Rounds,
    Seen,
    Stop,
    Trouble,
    judge,
    past_budget,
    retry_after_seconds,
)
from proxy.policy.values import RetryRules

RULES = RetryRules(attempts=3, first_wait=1.0, longest_wait=8.0, most_calls=6)
ONE = Rounds(1, RULES)
TWO = Rounds(2, RULES)

FIRST = Attempt()
SAME = Again(Attempt(0, 2, 2), 1.0)
NEXT = Again(Attempt(1, 1, 2))
STOP = Stop()

# status: one target left, another target left, the last try with another target left
STATUSES = [
    (200, STOP, STOP, STOP),
    (204, STOP, STOP, STOP),
    (302, STOP, STOP, STOP),
    (399, STOP, STOP, STOP),
    (400, STOP, STOP, STOP),
    (401, STOP, NEXT, NEXT),
    (402, STOP, NEXT, NEXT),
    (403, STOP, NEXT, NEXT),
    (404, STOP, NEXT, NEXT),
    (405, STOP, STOP, STOP),
    (408, SAME, SAME, NEXT),
    (409, STOP, STOP, STOP),
    (412, STOP, STOP, STOP),
    (413, STOP, STOP, STOP),
    (415, STOP, STOP, STOP),
    (422, STOP, STOP, STOP),
    (429, SAME, SAME, NEXT),
    (500, SAME, SAME, NEXT),
    (501, STOP, STOP, STOP),
    (502, SAME, SAME, NEXT),
    (503, SAME, SAME, NEXT),
    (504, SAME, SAME, NEXT),
    (505, STOP, STOP, STOP),
    (520, STOP, STOP, STOP),
    (524, SAME, SAME, NEXT),
    (529, SAME, SAME, NEXT),
]


@pytest.mark.parametrize(("status", "alone", "not_alone", "tired"), STATUSES)
def test_every_status(status: int, alone: Stop | Again, not_alone: Stop | Again, tired: Stop | Again) -> None:
    assert judge(Seen(status), FIRST, ONE, 1.0) == alone
    assert judge(Seen(status), FIRST, TWO, 1.0) == not_alone
    last_try = judge(Seen(status), Attempt(0, 3, 3), TWO, 1.0)
    assert last_try == (Again(Attempt(1, 1, 4)) if tired == NEXT else tired)
    assert judge(Seen(status), Attempt(0, 3, 3), ONE, 1.0) == STOP


TROUBLES: list[tuple[Trouble, Stop | Again, Stop | Again]] = [
    ("unhealthy", STOP, Again(Attempt(1, 1, 1))),
    ("unreachable", SAME, SAME),
    ("no_answer", STOP, STOP),
    ("no_event", SAME, SAME),
    ("none", STOP, STOP),
]


@pytest.mark.parametrize(("trouble", "alone", "not_alone"), TROUBLES)
def test_every_trouble_without_an_answer(trouble: Trouble, alone: Stop | Again, not_alone: Stop | Again) -> None:
    assert judge(Seen(trouble=trouble), FIRST, ONE, 1.0) == alone
    assert judge(Seen(trouble=trouble), FIRST, TWO, 1.0) == not_alone


@pytest.mark.parametrize("trouble", ["unreachable", "no_event"])
def test_a_target_that_stays_silent_gives_way_to_the_next(trouble: Trouble) -> None:
    assert judge(Seen(trouble=trouble), Attempt(0, 3, 3), TWO, 1.0) == Again(Attempt(1, 1, 4))


LISTED = Rounds(2, RetryRules(attempts=1), None, frozenset({"402", "422", "timeout", "budget"}))
SITUATIONS = [
    ("spent quota, alone", Seen(429, quota=True), FIRST, ONE, STOP),
    ("spent quota, another target", Seen(429, quota=True), FIRST, TWO, NEXT),
    ("the second try waits twice as long", Seen(503), Attempt(0, 2, 2), ONE, Again(Attempt(0, 3, 3), 2.0)),
    ("tries are counted per target", Seen(503), Attempt(1, 1, 4), TWO, Again(Attempt(1, 2, 5), 1.0)),
    ("the last target is the last", Seen(404), Attempt(1, 1, 2), TWO, STOP),
    ("the most calls, same target", Seen(503), Attempt(0, 1, 6), ONE, STOP),
    ("the most calls, next target", Seen(404), Attempt(0, 1, 6), TWO, STOP),
    ("the most calls, repair", Seen(402, affordable=500), Attempt(0, 1, 6), TWO, STOP),
    ("one call below the most", Seen(503), Attempt(0, 1, 5), ONE, Again(Attempt(0, 2, 6), 1.0)),
    ("an open breaker at the most calls", Seen(trouble="unhealthy"), Attempt(0, 1, 6), TWO, STOP),
    ("a hint is followed", Seen(429, retry_after=7.0), FIRST, ONE, Again(Attempt(0, 2, 2), 7.0)),
    ("a hint of zero", Seen(429, retry_after=0.0), FIRST, ONE, Again(Attempt(0, 2, 2), 0.0)),
    ("the longest hint", Seen(429, retry_after=8.0), FIRST, ONE, Again(Attempt(0, 2, 2), 8.0)),
    ("a hint too long, alone", Seen(429, retry_after=8.1), FIRST, ONE, STOP),
    ("a hint too long, another target", Seen(429, retry_after=3600.0), FIRST, TWO, NEXT),
    ("time enough", Seen(503), FIRST, Rounds(1, RULES, 1.1), Again(Attempt(0, 2, 2), 1.0)),
    ("no time to wait", Seen(503), FIRST, Rounds(1, RULES, 1.0), STOP),
    ("no time to wait, another target", Seen(503), FIRST, Rounds(2, RULES, 0.5), NEXT),
    ("a 402 names what is left", Seen(402, affordable=500), FIRST, ONE, Again(Attempt(0, 1, 2, 500))),
    ("a 402 before going elsewhere", Seen(402, affordable=500), FIRST, TWO, Again(Attempt(0, 1, 2, 500))),
    ("a 402 again after the repair", Seen(402, affordable=400), Attempt(0, 1, 2, 500), ONE, STOP),
    ("a 402 again, another target", Seen(402, affordable=400), Attempt(0, 1, 2, 500), TWO, Again(Attempt(1, 1, 3))),
    ("a try again after a repair stays repaired", Seen(429), Attempt(0, 1, 2, 500), ONE, Again(Attempt(0, 2, 3, 500), 1.0)),
    ("another target starts unrepaired", Seen(404), Attempt(0, 1, 2, 500), TWO, Again(Attempt(1, 1, 3))),
    ("not there, with a fallback: one more try", Seen(trouble="unreachable"), FIRST, TWO, SAME),
    ("still not there", Seen(trouble="unreachable"), Attempt(0, 2, 2), TWO, Again(Attempt(1, 1, 3))),
    ("still not there, alone", Seen(trouble="unreachable"), Attempt(0, 2, 2), ONE, Again(Attempt(0, 3, 3), 2.0)),
    ("not there on this machine", Seen(trouble="unreachable", is_near=True), FIRST, TWO, NEXT),
    ("not there on this machine, alone", Seen(trouble="unreachable", is_near=True), FIRST, ONE, SAME),
    ("something stored is not there", Seen(404, missing="object"), FIRST, TWO, STOP),
    ("the model is not there", Seen(404, missing="model"), FIRST, TWO, NEXT),
    ("the model is not there, as 400", Seen(400, missing="model"), FIRST, TWO, NEXT),
    ("an entry says when: not now", Seen(503), FIRST, LISTED, STOP),
    ("an entry says when: a status", Seen(402), FIRST, LISTED, NEXT),
    ("an entry says when: one that never is otherwise", Seen(422), FIRST, LISTED, NEXT),
    ("an entry says when: sent and not answered", Seen(trouble="no_answer"), FIRST, LISTED, NEXT),
    ("an entry says when: a provider's own timeout", Seen(504), FIRST, LISTED, NEXT),
    ("an entry says when: not there is not listed", Seen(trouble="unreachable"), FIRST, LISTED, STOP),
    ("one attempt only", Seen(503), FIRST, Rounds(1, RetryRules(attempts=1)), STOP),
    ("no waiting at all", Seen(503), FIRST, Rounds(1, RetryRules(first_wait=0.0)), Again(Attempt(0, 2, 2), 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "attempt", "rounds", "verdict"), [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS]
)
def test_every_situation(seen: Seen, attempt: Attempt, rounds: Rounds, verdict: Stop | Again) -> None:
    assert judge(seen, attempt, rounds, 1.0) == verdict


@pytest.mark.parametrize(
    ("tries", "jitter", "wait"),
    [(1, 0.8, 0.8), (1, 1.2, 1.2), (2, 1.2, 2.4), (3, 1.0, 4.0), (4, 1.2, 8.0), (9, 1.0, 8.0)],
)
def test_waits_double_with_jitter_up_to_the_longest(tries: int, jitter: float, wait: float) -> None:
    rounds = Rounds(1, RetryRules(attempts=99, most_calls=99))
    verdict = judge(Seen(503), Attempt(0, tries, tries), rounds, jitter)
    assert isinstance(verdict, Again)
    assert verdict.wait == pytest.approx(wait)


answers = st.builds(
    Seen, status=st.sampled_from([402, 404, 429, 503]), affordable=st.sampled_from([None, 500]), quota=st.booleans()
)
silences = st.builds(Seen, trouble=st.sampled_from(["unhealthy", "unreachable", "no_answer", "no_event"]))


@given(st.lists(answers | silences, min_size=20, max_size=20), st.integers(1, 4))
def test_no_walk_makes_more_calls_than_it_may(seen: list[Seen], targets: int) -> None:
    attempt, sent = FIRST, 0
    for outcome in seen:
        sent += outcome.trouble != "unhealthy"
        verdict = judge(outcome, attempt, Rounds(targets, RULES), 1.0)
        if isinstance(verdict, Stop):
            break
        assert verdict.attempt.target < targets
        assert verdict.attempt.tries <= RULES.attempts
        assert verdict.wait <= RULES.longest_wait
        attempt = verdict.attempt
    else:
        pytest.fail("the walk did not end")
    assert sent <= RULES.most_calls


NOW = datetime(2026, 7, 14, 12, 0, 0, tzinfo=UTC)


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


HINTS = [
    (None, None, None),
    (None, "7", 7.0),
    (None, "7.5", 7.5),
    (None, " 7 ", 7.0),
    (None, "0", 0.0),
    (None, "3600", 3600.0),
    (None, "-1", None),
    (None, "abc", None),
    (None, "", None),
    (None, "nan", None),
    (None, "inf", None),
    (None, "1e9", 1e9),
    (None, "99999999999999999999", 1e9),
    (None, "Tue, 14 Jul 9999 12:00:00 GMT", 1e9),
    (None, date(30), 30.0),
    (None, date(-30), 0.0),
    (None, format_datetime((NOW + timedelta(seconds=5)).astimezone(timezone(timedelta(hours=2)))), 5.0),
    (None, "Tue, 14 Jul 2026 12:00:30 -0000", None),
    (None, "Tuesday, 14-Jul-26 12:00:30 GMT", 30.0),
    (None, "Tue, 32 Jul 2026 12:00:30 GMT", None),
    (None, "Tue, 14 Jul 99999999999999999999 12:00:30 GMT", None),
    (None, "Tue, 14 Jul 2026 12:00:30 +99999999999999", None),
    ("250", None, 0.25),
    ("250", "7", 0.25),
    ("0", "7", 0.0),
    ("abc", "7", 7.0),
    ("-1", "7", 7.0),
    ("nan", "7", 7.0),
    ("-1", None, None),
    ("abc", "abc", None),
    ("abc", date(30), 30.0),
]


@pytest.mark.parametrize(("milliseconds", "seconds", "expected"), HINTS)
def test_every_hint_to_wait(milliseconds: str | None, seconds: str | None, expected: float | None) -> None:
    assert retry_after_seconds(milliseconds, seconds, NOW) == expected


@given(
    st.none() | st.text(),
    st.none() | st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} Jul \d{1,25} \d\d:\d\d:\d\d [+-]?\d{1,20}"),
)
def test_no_hint_of_an_upstream_raises_or_is_negative(milliseconds: str | None, seconds: str | None) -> None:
    wait = retry_after_seconds(milliseconds, seconds, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("code", "attempt", "rounds", "onward"),
    [
        ("budget_exceeded", Attempt(0, 1, 3), LISTED, Attempt(1, 1, 3)),
        ("budget_in_flight", FIRST, LISTED, Attempt(1, 1, 1)),
        ("rate_limit_exceeded", FIRST, LISTED, None),
        ("budget_exceeded", Attempt(1, 1, 1), LISTED, None),
        ("budget_exceeded", FIRST, TWO, None),
        ("budget_exceeded", FIRST, Rounds(2, RULES, None, frozenset({"402"})), None),
    ],
)
def test_a_spent_budget_leads_on_where_the_entry_says_so(
    code: str, attempt: Attempt, rounds: Rounds, onward: Attempt | None
) -> None:
    assert past_budget(code, attempt, rounds) == onward


@pytest.mark.parametrize(
    ("code", "attempt", "onward"),
    [
        ("budget_exceeded", Attempt(1, 1, 3), Attempt(2, 1, 3)),
        ("budget_in_flight", Attempt(1, 1, 1), Attempt(2, 1, 1)),
        ("model_not_priced", Attempt(1, 1, 1), Attempt(2, 1, 1)),
        ("model_not_found", Attempt(1, 1, 1), Attempt(2, 1, 1)),
        ("rate_limit_exceeded", Attempt(1, 1, 1), None),
        ("budget_exceeded", Attempt(2, 1, 1), None),  # nobody stands behind it
        ("budget_exceeded", Attempt(1, 2, 1), None),  # it was asked before, and what it said says more
        ("budget_exceeded", Attempt(0, 2, 1), None),
    ],
)
def test_who_stands_in_and_cannot_be_paid_is_passed_over(code: str, attempt: Attempt, onward: Attempt | None) -> None:
    assert past_budget(code, attempt, Rounds(3, RULES), has_failed=True) == onward
    assert past_budget(code, attempt, Rounds(3, RULES)) is None
