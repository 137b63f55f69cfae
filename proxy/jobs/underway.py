"""A job under way: as the runner has it, and as one that a provider's own batch answers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from proxy.jobs.provider import Busy
from proxy.jobs.shapes import is_batch
from proxy.policy.limits.pace import BATCH
from proxy.policy.values import Provider
from proxy.stores.jobs.job_rows import Handed, Job, KeptFile, Task
from proxy.stores.journal.records import Hold

LONGEST_WAIT_SECONDS = 60.0
DAY_SECONDS = 86400
_WAITS_SECONDS = (1.0, 2.0, 4.0)  # where a provider takes no more now, and does not say for how long

MadeT = TypeVar("MadeT")


class Open(Struct):
    """`left`: lines without a result; `tasks` are the next of them; `has_more`: the database has others. Times are the
    loop's."""

    job: Job
    file: KeptFile
    left: int
    tasks: deque[Task] = field(default_factory=deque)
    running: set[str] = field(default_factory=set)
    has_more: bool = True
    rests_until: float = 0.0
    rest_seconds: float = 1.0

    @property
    def rank(self) -> int:
        """Of its priority: nobody waits for a batch."""
        return BATCH if is_batch(self.job) else self.job.rank

    @property
    def is_done(self) -> bool:
        """Whether no line is left to send or to wait for."""
        return not (self.tasks or self.running or self.has_more)


class Handing(Struct, eq=False):
    """One that is on its way: its lines without an answer, and what is held, by the ids of the calls they stand for."""

    job: Job
    file: KeptFile
    provider: Provider
    lines: dict[str, Task]
    holds: dict[str, Hold]
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def handed(self) -> Handed:
        """How it stands there."""
        assert self.job.handed is not None
        return self.job.handed

    @property
    def is_past(self) -> bool:
        """Whether its provider has had a day more than its time."""
        return time.time() > self.job.until_ms / 1000 + DAY_SECONDS

    def now(self, **changes: Any) -> None:
        """It stands otherwise."""
        self.job = replace(self.job, handed=replace(self.handed, **changes))


async def asked(entry: Handing, ask: Callable[[], Awaitable[MadeT]]) -> MadeT:
    """What a provider makes; where it takes no more now, after as long as it says. Raises what `ask` raises."""
    for wait in _WAITS_SECONDS:
        try:
            return await ask()
        except Busy as busy:
            seconds = wait if busy.seconds is None else busy.seconds
            if seconds > LONGEST_WAIT_SECONDS:
                raise
            await rest(entry, 1.25 * seconds)  # never less than it says
            if entry.job.status == "cancelling":
                raise
    return await ask()


async def rest(entry: Handing, seconds: float) -> float:
    """Wait, unless it is cancelled meanwhile; and how long to wait the next time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(entry.news.wait(), seconds * random.uniform(0.8, 1.2))
    entry.news.clear()
    return min(1.5 * seconds, LONGEST_WAIT_SECONDS)
