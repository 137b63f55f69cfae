"""A hundred models of different price, speed and failure; the best one dies, limps, and comes back. Seeded, on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from proxy.policy.retries.breaker import FAILURES_TO_OPEN, Breakers
from proxy.policy.routing.board import Kind, board_of
from proxy.policy.routing.deciding import Chance, decide
from proxy.policy.routing.health import health_of
from proxy.policy.routing.observing import Observed
from proxy.policy.routing.values import NAMED, Ask, Candidate, Health
from proxy.policy.values import Target

BEST = Target("p0", "m")
BETWEEN_CALLS_SECONDS = 0.25
WARM, DEAD, LIMPING, WELL = 400, 400, 400, 1200  # calls


class World:
    """The models, and how often each fails; what is known of them is learnt by calling."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now = 1000.0
        self.observed, self.breakers = Observed(), Breakers(f"p{number}" for number in range(100))
        self.seconds: dict[Target, float] = {}
        self.fails: dict[Target, float] = {}
        self.candidates = tuple(map(self._model, range(100)))

    def _model(self, number: int) -> Candidate:
        target, dice = Target(f"p{number}", "m"), self.dice
        is_best = target == BEST
        usd = 0.05e-6 if is_best else dice.uniform(1, 20) * 1e-6
        self.seconds[target] = 0.2 if is_best else dice.uniform(0.5, 5)
        self.fails[target] = 0.0 if is_best else dice.uniform(0, 0.05)
        return Candidate(target, f"p{number}/m", 0, 0, 0, usd, usd, quality=0.9 if is_best else dice.uniform(0.2, 0.7))

    def call(self) -> tuple[Target | None, bool]:
        """Who answered, and whether the best one was asked."""
        dice, now = self.dice, self.now
        board = board_of(
            self.candidates, lambda at: self.observed.speed(at, now, stream=False), NAMED["balanced"], Kind()
        )
        shares = {one.target: self.observed.share(one.target, stream=False) for one in self.candidates}
        known = Health({}, {at: share for at, share in shares.items() if share < 1})
        health = health_of(board, self.breakers.failing(now), {}, known, now)
        choice = decide(board, Ask(0, 500, 100), health, None, Chance(dice.random(), dice.random(), dice.random()))
        asked = False
        self.now += BETWEEN_CALLS_SECONDS
        for row in choice.order:
            target = row.candidate.target
            if self.breakers.seconds_closed_to(target, now):
                continue
            asked = asked or target == BEST
            if self._fails(target):
                continue
            self.observed.track(target, stream=False).succeeded(self.seconds[target], 80.0, now)
            return target, asked
        return None, asked

    def _fails(self, target: Target) -> bool:
        is_failure = self.dice.random() < self.fails[target]
        self.breakers.tell(target, "failing" if is_failure else "answered", self.now)
        if is_failure:
            self.observed.track(target, stream=False).failed(self.now)
        return is_failure

    def calls(self, number: int) -> Iterator[tuple[Target | None, bool]]:
        return (self.call() for _ in range(number))


@pytest.mark.parametrize("seed", range(3))
def test_the_best_dies_limps_and_comes_back_and_no_call_is_lost(seed: int) -> None:
    world = World(seed)
    warm = list(world.calls(WARM))
    world.fails[BEST] = 1.0
    dead = list(world.calls(DEAD))
    world.fails[BEST] = 0.5
    limping = list(world.calls(LIMPING))
    world.fails[BEST] = 0.0
    well = list(world.calls(WELL))
    assert [who for who, _ in warm + dead + limping + well if who is None] == []
    at_first = sum(who == BEST for who, _ in warm[-100:])
    assert at_first > 90
    # left within as many calls as a breaker wants; afterwards a probe now and then
    assert sum(asked for _, asked in dead[: 2 * FAILURES_TO_OPEN]) <= FAILURES_TO_OPEN + 1
    assert sum(asked for _, asked in dead) <= FAILURES_TO_OPEN + 8
    assert sum(asked for _, asked in limping) < LIMPING / 10
    # back within three minutes, and as before
    came = next(i for i in range(WELL - 40) if sum(who == BEST for who, _ in well[i : i + 40]) > 30)
    assert came * BETWEEN_CALLS_SECONDS < 180
    assert sum(who == BEST for who, _ in well[-100:]) > 90
