"""Agents that run away are stopped before their next call goes out, where `sessions.loops` is configured."""

from __future__ import annotations

import time

from proxy.exchange.held import Booked
from proxy.exchange.io.off_loop import OffLoop
from proxy.exchange.job import Job
from proxy.exchange.refusals import looping
from proxy.policy.loops import Loops, Watch
from proxy.wire.turns import turns_of


class Runaway:
    """Judges each call by its own messages, and by what its session has spent of late."""

    def __init__(self, loops: Loops) -> None:
        self.watch = Watch(loops)

    async def judge(self, job: Job, off_loop: OffLoop) -> None:
        """Raise `LoopDetected` where the call is one of an agent that runs in a loop."""
        if not job.call.endpoint.counts:
            return
        turns = await off_loop(len(job.call.body), turns_of, job.call)
        session = job.record.marks.session
        found = self.watch.judge(_of(job.caller.name, session), turns, time.monotonic())
        if found is not None:
            raise looping(found, session)

    def spent(self, booked: Booked) -> None:
        """An attempt is settled."""
        row = booked[0]
        if row.session:
            self.watch.spend(_of(row.key, row.session), row.cost_pusd, time.monotonic())

    def release(self, key: str, session: str, pusd: int) -> None:
        """Let a session spend so much more, whatever it does."""
        self.watch.release(_of(key, session), pusd)


def watching(loops: Loops | None, before: Runaway | None) -> Runaway | None:
    """Who stops agents that run away, or nobody; what is known of their sessions goes on."""
    if loops is None or before is None:
        return None if loops is None else Runaway(loops)
    before.watch.loops = loops
    return before


def _of(key: str, session: str) -> str:
    return f"{key}/{session}" if session else ""
