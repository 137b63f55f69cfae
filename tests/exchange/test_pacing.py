"""Calls before a target that has no more to give, on a clock that jumps: whose turn it is, how long it takes, who is told
at once that it will take too long."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from harness.clock import run

from proxy.errors import NoHealthyUpstream
from proxy.exchange.pacing import Pacing
from proxy.exchange.record import Record
from proxy.policy.limits.pace import BATCH, DEFAULT
from proxy.policy.retries.retry import Seen

INTERACTIVE = 0
WHERE = ("", "openai", "gpt-4o-mini")
WAIT_SECONDS = 15.0
CALL_SECONDS = 1.0


def call(rank: int, key: str, until: float = math.inf) -> Any:
    """A call as its pace sees it."""
    asked = SimpleNamespace(tenant="", name=WHERE[1])
    record: Any = Record("r", 0.0, asked_of=asked, target=SimpleNamespace(model=WHERE[2]))
    return SimpleNamespace(rank=rank, caller=SimpleNamespace(name=key), until=until, record=record, leave=None)


class Provider:
    """Answers a call in `CALL_SECONDS`. With `per_second`, a bucket of 60 calls that fills so fast, told in headers; with
    `at_once`, no more than so many."""

    def __init__(self, per_second: float | None = None, at_once: int | None = None) -> None:
        self.per_second, self.at_once = per_second, at_once
        self.under_way, self.refused, self.served = 0, 0, 0
        self._left, self._seen_at = 60.0, 0.0

    async def ask(self) -> tuple[Seen, dict[str, str]]:
        now = asyncio.get_running_loop().time()
        fields: dict[str, str] = {}
        if self.per_second is not None:
            self._left = min(60.0, self._left + (now - self._seen_at) * self.per_second)
            self._seen_at = now
            if self._left < 1:
                self.refused += 1
                return Seen(status=429, retry_after=(1 - self._left) / self.per_second), fields
            self._left -= 1
            reset = (60 - self._left) / self.per_second
            fields = {"limit": "60", "remaining": str(int(self._left)), "reset": f"{reset:.3f}s"}
        if self.at_once is not None and self.under_way >= self.at_once:
            self.refused += 1
            return Seen(status=429), fields
        self.under_way += 1
        await asyncio.sleep(CALL_SECONDS)
        self.under_way -= 1
        self.served += 1
        return Seen(status=200), {f"x-ratelimit-{what}-requests": value for what, value in fields.items()}


async def make(pacing: Pacing, provider: Provider, job: Any) -> Any:
    """One attempt as the exchange makes it; what was seen of it, or the refusal."""
    loop = asyncio.get_running_loop()
    try:
        if pacing.paces:
            await pacing.enter(job, WHERE, WAIT_SECONDS)
        job.record.sent_at = loop.time()
        seen, fields = await provider.ask()
        if seen.status == 429:
            pacing.refused(job, seen)
        elif job.leave is not None or job.rank == BATCH:
            pacing.answered(job, fields)
        return seen
    except NoHealthyUpstream as error:
        return error
    finally:
        if job.leave is not None:
            job.leave()


async def interactive(pacing: Pacing, provider: Provider, number: int) -> list[float]:
    """How long each of so many calls took, one every two seconds, tried again as the exchange does."""
    loop = asyncio.get_running_loop()

    async def one() -> float:
        began = loop.time()
        for _ in range(5):
            seen = await make(pacing, provider, call(INTERACTIVE, "alice"))
            if isinstance(seen, Seen) and seen.status == 200:
                return loop.time() - began
            await asyncio.sleep(1.0)
        raise AssertionError("it was never answered")

    calls = []
    for _ in range(number):
        calls.append(asyncio.create_task(one()))
        await asyncio.sleep(2.0)
    return list(await asyncio.gather(*calls))


async def batch(pacing: Pacing, provider: Provider) -> None:
    """Lines without end, eight at a time; one that is refused rests as the runner lets it."""

    async def lines() -> None:
        while True:
            seen = await make(pacing, provider, call(BATCH, "bob"))
            if isinstance(seen, NoHealthyUpstream) or seen.status != 200:
                await asyncio.sleep(seen.retry_after or 1.0)

    await asyncio.gather(*(lines() for _ in range(8)))


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]


@pytest.mark.parametrize("limited", [{"per_second": 1.0}, {"at_once": 4}], ids=["a rate", "calls at once"])
def test_whoever_waits_hardly_notices_a_full_batch_queue(limited: dict[str, Any]) -> None:
    async def beside(is_full: bool) -> tuple[float, Provider]:
        pacing, provider = Pacing(), Provider(**limited)
        queue = asyncio.create_task(batch(pacing, provider)) if is_full else None
        await asyncio.sleep(60.0)  # it has found its pace
        took = await interactive(pacing, provider, 300)
        if queue is not None:
            queue.cancel()
        return p95(took), provider

    quiet, alone = run(beside(False))
    full, both = run(beside(True))
    assert quiet == CALL_SECONDS and alone.refused == 0
    assert full <= 1.5 * quiet
    assert both.served > 1.5 * 300  # and the batch goes on beside it


def in_order(*calls: tuple[str, int, str]) -> list[str]:
    """Who is let out after whom, of calls (name, rank, key) that come while the target is closed, one place at a time."""

    async def scene() -> list[str]:
        pacing, served = Pacing(), []
        pacing.refused(call(DEFAULT, "x"), Seen(status=429, retry_after=5.0))
        pacing.paces[WHERE].allowed = 1.0

        async def one(name: str, rank: int, key: str) -> None:
            job = call(rank, key)
            await pacing.enter(job, WHERE, WAIT_SECONDS)
            served.append(name)
            await asyncio.sleep(0.1)
            job.leave()

        waiting = []
        for each in calls:
            waiting.append(asyncio.create_task(one(*each)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*waiting)
        return served

    found: list[str] = run(scene())
    return found


def test_the_higher_priority_goes_first_and_keys_take_turns() -> None:
    assert in_order(
        ("batch", BATCH, "a"),
        ("a1", DEFAULT, "a"),
        ("a2", DEFAULT, "a"),
        ("b1", DEFAULT, "b"),
        ("now", INTERACTIVE, "c"),
    ) == ["now", "a1", "b1", "a2", "batch"]


async def _told(rank: int, until_seconds: float, retry_after: float) -> tuple[Any, float, Any]:
    """What a call is told that comes while another one asks whether it is open again; and after how long."""
    pacing, loop = Pacing(), asyncio.get_running_loop()
    pacing.refused(call(DEFAULT, "x"), Seen(status=429, retry_after=retry_after))
    asking = call(DEFAULT, "y", loop.time())
    await pacing.enter(asking, WHERE, WAIT_SECONDS)
    assert asking.leave is not None and asking.record.queued is None
    job, began = call(rank, "alice", loop.time() + until_seconds), loop.time()
    try:
        await pacing.enter(job, WHERE, WAIT_SECONDS)
    except NoHealthyUpstream as error:
        return error, loop.time() - began, job
    return None, loop.time() - began, job


@pytest.mark.parametrize(("until_seconds", "retry_after"), [(4.0, 5.0), (math.inf, 20.0)])
def test_what_would_take_too_long_is_refused_at_once(until_seconds: float, retry_after: float) -> None:
    error, waited, job = run(_told(DEFAULT, until_seconds, retry_after))
    assert (waited, error.retry_after, error.status) == (0.0, retry_after, 503)
    assert job.record.queued.headers() == [
        ("x-tollkeeper-queue-place", "1"),
        ("x-tollkeeper-queue-seconds", f"{retry_after:.3f}"),
    ]


def test_what_fits_waits_and_says_how_long() -> None:
    error, waited, job = run(_told(BATCH, 60.0, 5.0))
    assert error is None and waited == pytest.approx(5.0) and job.leave is not None
    assert job.record.queued.seconds == pytest.approx(5.0)


def test_one_at_a_time_asks_and_its_answer_ends_the_wait() -> None:
    async def scene() -> None:
        pacing, loop = Pacing(), asyncio.get_running_loop()
        pacing.refused(call(DEFAULT, "x"), Seen(status=429, retry_after=50.0))
        with pytest.raises(NoHealthyUpstream):
            await pacing.enter(call(BATCH, "b"), WHERE, WAIT_SECONDS)
        for _ in range(2):
            asking = call(DEFAULT, "a")
            await pacing.enter(asking, WHERE, WAIT_SECONDS)
            pacing.refused(asking, Seen(status=429, retry_after=50.0))
        asking = call(INTERACTIVE, "a")
        await pacing.enter(asking, WHERE, WAIT_SECONDS)
        asking.record.sent_at = loop.time()
        await asyncio.sleep(1.0)
        pacing.answered(asking, {})
        await pacing.enter(call(BATCH, "b"), WHERE, WAIT_SECONDS)
        assert loop.time() == 1001.0

    run(scene())


def test_a_client_that_leaves_leaves_the_line_and_calm_targets_are_forgotten() -> None:
    async def scene() -> None:
        pacing = Pacing()
        pacing.refused(call(DEFAULT, "x"), Seen(status=429, quota=True))
        assert not pacing.paces  # spent money is no crowd
        pacing.refused(call(DEFAULT, "x"), Seen(status=429, retry_after=5.0))
        gone = asyncio.create_task(pacing.enter(call(DEFAULT, "a"), WHERE, WAIT_SECONDS))
        await asyncio.sleep(1.0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        job = call(DEFAULT, "a")
        await pacing.enter(job, WHERE, WAIT_SECONDS)
        assert job.record.queued.place == 1
        await asyncio.sleep(120.0)
        assert pacing.paces  # a call of its is under way
        job.leave()
        assert not pacing.paces
        pacing.refused(call(DEFAULT, "x"), Seen(status=429, retry_after=5.0))
        await asyncio.sleep(66.0)
        assert not pacing.paces

    run(scene())
