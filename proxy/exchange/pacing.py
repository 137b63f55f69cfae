"""Where calls wait for a target that cannot take more now: by priority, keys in turn, no longer than their clients will.

Nothing is kept of targets that refuse nobody, and nothing asked of their calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from math import ceil

from proxy.errors import NoHealthyUpstream
from proxy.exchange.job import Job
from proxy.exchange.times import Queued
from proxy.exchange.waiting import Place, Queue
from proxy.policy.limits.pace import BATCH, KEPT_FREE, Pace, left_of
from proxy.policy.retries.retry import Seen

Where = tuple[str, str, str]  # tenant, provider, model as it is sent

# The part of a client's own patience that may be spent in line, so that it still hears the answer.
PATIENCE = 0.9


class Pacing:
    """On the event loop, whose clock it goes by."""

    def __init__(self) -> None:
        self.paces: dict[Where, Pace] = {}
        self._queues: dict[Where, Queue] = {}
        self._timers: dict[Where, asyncio.TimerHandle] = {}

    async def enter(self, job: Job, where: Where, wait_seconds: float) -> None:
        """Take a place at a target, in line where there is none. Where that takes too long, one call at a time goes all the
        same, and asks whether it does; for the others, raises `NoHealthyUpstream` at once."""
        if job.leave is not None:  # that of an attempt before
            job.leave()
        pace = self.paces.get(where)
        if pace is None:
            return
        queue, now = self._queues[where], asyncio.get_running_loop().time()
        if pace.may_go(job.rank, now) and not queue.is_before(job.caller.name, job.rank):
            self._take(job, where, pace)
        else:
            await self._stand_in_line(job, where, wait_seconds)

    async def _stand_in_line(self, job: Job, where: Where, wait_seconds: float) -> None:
        pace, queue, loop = self.paces[where], self._queues[where], asyncio.get_running_loop()
        began, ahead = loop.time(), queue.line.ahead(job.rank)
        most_seconds = min(wait_seconds, PATIENCE * (job.until - began))
        record = job.record
        record.phase = "waiting"
        record.queued = Queued(ahead + 1, pace.expected_seconds(job.rank, ahead, began))
        if record.queued.seconds > most_seconds:
            if job.rank == BATCH or pace.is_asked:
                raise _busy(where, record.queued.seconds)
            record.queued, pace.is_asked = None, True
            self._take(job, where, pace, asks=True)
            return
        with Place(queue, job.caller.name, lambda: pace.may_go(job.rank, loop.time()), job.rank) as place:
            self._look(where)
            if not await place.turn(most_seconds):
                record.queued = Queued(ahead + 1, pace.expected_seconds(job.rank, ahead, loop.time()))
                raise _busy(where, record.queued.seconds)
            self._take(job, where, pace)
        record.queued = Queued(ahead + 1, loop.time() - began)
        record.waited_seconds += record.queued.seconds

    def _take(self, job: Job, where: Where, pace: Pace, *, asks: bool = False) -> None:
        pace.under_way += 1
        job.leave = partial(self._leave, job, where, pace, asks=asks)

    def _leave(self, job: Job, where: Where, pace: Pace, *, asks: bool) -> None:
        job.leave = None
        pace.is_asked = pace.is_asked and not asks
        pace.under_way -= 1
        self._look(where)

    def refused(self, job: Job, seen: Seen) -> None:
        """Its target has refused a call for the moment, and may say for how long."""
        where = _where(job)
        if where is not None and not seen.quota:
            self._pace(where).refuse(asyncio.get_running_loop().time(), seen.retry_after)
            self._look(where)
        if job.leave is not None:
            job.leave()

    def answered(self, job: Job, fields: Mapping[str, str]) -> None:
        """It has answered a call that was paced, or that nobody waits for; `fields` are the reply's headers."""
        where = _where(job)
        now, found = asyncio.get_running_loop().time(), left_of(fields, datetime.now(UTC))
        if (
            where is None
            or where not in self.paces
            and not any(left.remaining <= KEPT_FREE * left.limit for left in found)
        ):
            return
        pace = self._pace(where)
        for left in found:
            pace.tell(left, now)
        if job.leave is not None:
            pace.answer(job.record.sent_at, now)
        self._look(where)

    def _pace(self, where: Where) -> Pace:
        self._queues.setdefault(where, Queue())
        return self.paces.setdefault(where, Pace())

    def _look(self, where: Where) -> None:
        """Whoever may go is called; who may not yet is looked at again when that changes by itself. Of a target that has
        refused nothing for a while, nothing is kept."""
        pace, loop = self.paces.get(where), asyncio.get_running_loop()
        if pace is None:
            return
        queue, now = self._queues[where], loop.time()
        queue.look_again()
        if (timer := self._timers.pop(where, None)) is not None:
            timer.cancel()
        look_at = pace.next_opening(now) if queue.line.waiting else pace.calm_at
        if look_at is not None and look_at > now:
            self._timers[where] = loop.call_at(look_at, self._look, where)
        elif not queue.line.waiting and not pace.under_way:
            del self.paces[where], self._queues[where]


def _where(job: Job) -> Where | None:
    """The target of its latest attempt."""
    provider, target = job.record.asked_of, job.record.target
    return None if provider is None or target is None else (provider.tenant, provider.name, target.model)


def _busy(where: Where, seconds: float) -> NoHealthyUpstream:
    _, provider, model = where
    return NoHealthyUpstream(
        f"{provider} takes no more calls of {model} for the moment; this one's turn is expected in {seconds:.1f} s, "
        "which is longer than it may wait.",
        retry_after=max(1, ceil(seconds)),
    )
