"""How opinions and flaws move what published tables say of a model's quality."""

from __future__ import annotations

import pytest

from proxy.policy.routing.evidence import Evidence, Shown, quality_of, task_of
from proxy.policy.routing.values import BITS, Candidate
from proxy.policy.values import Target

GOOD, OTHER = Target("p", "good"), Target("p", "other")


@pytest.mark.parametrize(
    ("known", "shown", "due"),
    [
        (0.6, Shown(), 0.6),
        (0.6, Shown(opinions=20, good=20), 0.8),
        (0.6, Shown(opinions=20, good=0), 0.3),
        (0.6, Shown(opinions=1, good=0), 0.571),
        (0.5, Shown(opinions=100_000, good=90_000), 0.9),
        (0.6, Shown(watched=1000), 0.6),
        (0.6, Shown(watched=1, flawed=1), 0.588),
        (0.6, Shown(watched=50, flawed=50), 0.3),
        (1.0, Shown(opinions=20, good=20, watched=50, flawed=25), 0.75),
        (0.0, Shown(opinions=20, good=10), 0.25),
    ],
)
def test_much_evidence_moves_what_was_known_and_little_does_not(known: float, shown: Shown, due: float) -> None:
    assert quality_of(known, shown) == pytest.approx(due, abs=0.001)


@pytest.mark.parametrize(
    ("needs", "due"),
    [
        (0, "text"),
        (BITS["tools"] | BITS["pictures"], "tools"),
        (BITS["json_schema"], "json_schema"),
        (BITS["pictures"], "pictures"),
        (BITS["reasoning"], "text"),
    ],
)
def test_a_task_is_named_by_what_it_needs(needs: int, due: str) -> None:
    assert task_of(needs) == due


def test_an_opinion_counts_once_for_each_label_whenever_it_comes() -> None:
    found = Evidence()
    found.thought("early", "", 1.0)
    found.ended("early", GOOD, "text", None)
    found.ended("late", GOOD, "text", ())
    found.thought("late", "", 1.0)
    found.thought("late", "", -1.0)
    found.thought("late", "judge", 0.0)
    assert found.shown == {(GOOD, "text"): Shown(opinions=3, good=1.5, watched=1)}


def test_what_is_wrong_with_a_reply_counts_where_somebody_looked() -> None:
    found = Evidence()
    for number, flags in enumerate([("refusal", "slow"), ("slow", "short", "cut_off"), (), None]):
        found.ended(f"r{number}", GOOD, "tools", flags)
    assert found.shown == {(GOOD, "tools"): Shown(watched=3, flawed=1)}


def test_a_candidate_is_as_good_as_it_has_shown_at_that_kind_of_task() -> None:
    found = Evidence()
    for number in range(20):
        found.ended(f"r{number}", GOOD, "tools", ())
        found.thought(f"r{number}", "", 1.0)
    plain = Candidate(GOOD, "good", quality=0.5, quality_source="a table: 50")
    assert found.seen(plain, "text") is plain
    better = found.seen(plain, "tools")
    assert better.quality == pytest.approx(0.75)
    assert better.quality_source == "a table: 50; of tools here 20 opinions, 0 of 20 replies flawed"
    guessed = found.seen(Candidate(GOOD, "good", quality=0.4), "tools")
    assert guessed.quality_source.startswith("a guess: no table has it; of tools here")


def test_only_the_latest_calls_are_remembered() -> None:
    found = Evidence()
    for number in range(10_001):
        found.ended(str(number), OTHER, "text", None)
    found.thought("0", "", 1.0)
    found.thought("10000", "", 1.0)
    assert found.shown == {(OTHER, "text"): Shown(opinions=1, good=1.0)}
