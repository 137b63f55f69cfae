"""Looking up what cut calls cost: as many as a crash leaves, a bounded number at once, and never for ever."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import cast

import pytest
from harness.clock import run

from proxy.errors import UpstreamBadResponse
from proxy.exchange.background.lookup import DEADLINE_SECONDS, MOST_AT_ONCE, MOST_WAITING, Lookups
from proxy.exchange.upstream import Upstream
from proxy.policy.values import Provider, Timeouts
from proxy.wire.usage import Usage

PROVIDER = Provider("openrouter", "openrouter", "https://example.test/api/v1", timeouts=Timeouts())
FOUND = b'{"data": {"total_cost": 0.25, "tokens_prompt": 7, "tokens_completion": 3}}'


class _Provider:
    """Answers `/generation` at the given second of each call; None: never. `most` is how many were asked at once."""

    def __init__(self, tries: int = 1, takes: float | None = 0.1) -> None:
        self.asked = 0
        self.most = 0
        self._tries = tries
        self._takes = takes
        self._now = 0

    async def get_json(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> bytes:
        self.asked += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(10**6 if self._takes is None else self._takes)
        finally:
            self._now -= 1
        if self.asked < self._tries:
            raise UpstreamBadResponse("not yet")
        return FOUND


async def looked_up(upstream: _Provider, number: int) -> tuple[list[Usage | None], float]:
    """What so many look-ups told, and how many seconds it took them all."""
    told: list[Usage | None] = []
    began = asyncio.get_running_loop().time()
    lookups = Lookups(cast("Upstream", upstream))
    for n in range(number):
        lookups.start(PROVIDER, f"gen-{n}", told.append)
    while len(told) < number:
        await asyncio.sleep(0.01)
    return told, asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(("tries", "seconds"), [(1, 0.5), (2, 1.5), (3, 3.5), (4, 7.5), (5, 15.5)])
def test_it_is_asked_until_it_knows(tries: int, seconds: float) -> None:
    async def work() -> None:
        upstream = _Provider(tries, takes=0)
        (usage,), took = await looked_up(upstream, 1)
        assert usage == Usage(input_tokens=7, output_tokens=3, cost_usd=Decimal("0.25"))
        assert upstream.asked == tries
        assert seconds <= took < seconds + 0.2

    run(work())


def test_after_five_times_nobody_knows() -> None:
    async def work() -> None:
        upstream = _Provider(tries=6)
        told, _ = await looked_up(upstream, 1)
        assert (told, upstream.asked) == ([None], 5)

    run(work())


def test_all_that_a_crash_left_is_asked_for_a_bounded_number_at_once() -> None:
    async def work() -> None:
        upstream = _Provider()
        told, took = await looked_up(upstream, 5000)
        assert None not in told
        assert upstream.most == MOST_AT_ONCE
        assert took < 10

    run(work())


def test_a_provider_that_never_answers_is_not_waited_for_longer_than_45_seconds() -> None:
    async def work() -> None:
        told, took = await looked_up(_Provider(takes=None), 200)
        assert told == [None] * 200
        assert DEADLINE_SECONDS <= took < DEADLINE_SECONDS + 1

    run(work())


def test_beyond_all_measure_nobody_is_asked() -> None:
    async def work() -> None:
        told: list[Usage | None] = []
        lookups = Lookups(cast("Upstream", _Provider()))
        for n in range(MOST_WAITING + 3):
            lookups.start(PROVIDER, f"gen-{n}", told.append)
        assert told == [None] * 3
        await lookups.finish(0)
        assert len(told) == MOST_WAITING + 3

    run(work())
