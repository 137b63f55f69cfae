"""Past calls under another policy: what they would have cost, who stays, who could not have been served."""

from __future__ import annotations

from random import Random

import pytest

from proxy.policy.routing.board import Board, Kind, board_of
from proxy.policy.routing.replaying import Past, Replay, replay
from proxy.policy.routing.values import NAMED, Ask, Candidate, Speed
from proxy.policy.values import Target

DEAR, CHEAP = Target("p", "dear"), Target("p", "cheap")


def candidate(target: Target, usd: float | None, window: int = 8000) -> Candidate:
    """`usd` a million tokens; cached ones cost a tenth."""
    price = None if usd is None else usd / 1e6
    cached = None if price is None else price / 10
    return Candidate(target, target.model, 0, window, 0, price, price, cached)


def past(number: int, target: Target = DEAR, session: str = "", tokens: int = 1000, cached: int = 0) -> Past:
    cost, ask = (tokens + 100) * 10**7, Ask(0, tokens, 100)
    return Past(f"req_{number}", float(number), "alice", session, target, target.model, ask, cached, cost, 4.0)


def replayed(calls: list[Past], *candidates: Candidate, strategy: str = "cost") -> Replay:
    board: Board = board_of(candidates, lambda _: Speed(1.0, 100.0), NAMED[strategy], Kind())
    return replay(calls, lambda _: board, Random(0).random)


TEN, ONE = candidate(DEAR, 10), candidate(CHEAP, 0.1)


@pytest.mark.parametrize(
    ("calls", "candidates", "expected"),
    [
        # who goes where it was costs and takes what it did
        ([past(1)], [TEN], Replay(1, 1, 0, 0, 0, 11 * 10**9, 11 * 10**9, 4.0, 4.0)),
        ([past(1)], [TEN, ONE], Replay(1, 1, 0, 0, 1, 11 * 10**9, 11 * 10**7, 4.0, 2.0)),
        ([past(1, tokens=9000)], [ONE], Replay(1, 0, 1)),  # its window is too small
        ([past(1)], [candidate(CHEAP, None)], Replay(1, 0, 0, 1, 1)),
        # the first call of a session reads all; the second has what was cached, as long as it stays
        (
            [past(1, session="s"), past(2, session="s", cached=1000)],
            [ONE],
            Replay(2, 2, 0, 0, 2, 22 * 10**9, 11 * 10**7 + 2 * 10**7, 8.0, 4.0),
        ),
        ([], [ONE], Replay()),
    ],
)
def test_calls_are_decided_anew(calls: list[Past], candidates: list[Candidate], expected: Replay) -> None:
    found = replayed(calls, *candidates)
    assert (found.calls, found.compared, found.unserved, found.unpriced, found.changed) == (
        expected.calls, expected.compared, expected.unserved, expected.unpriced, expected.changed,
    )  # fmt: skip
    assert (found.was_pusd, found.would_pusd) == (expected.was_pusd, expected.would_pusd)
    assert (found.was_seconds, found.would_seconds) == pytest.approx((expected.was_seconds, expected.would_seconds))


def test_the_same_question_has_the_same_answer() -> None:
    calls = [past(number) for number in range(200)]
    two = [replayed(calls, TEN, candidate(CHEAP, 9.5), strategy="balanced") for _ in range(2)]
    assert two[0].would == two[1].would
    assert set(two[0].would) == {"dear", "cheap"}  # near-best: drawn, as calls are
