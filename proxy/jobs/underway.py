"""A job under way, as the runner has it."""

from __future__ import annotations

from collections import deque

from msgspec import Struct, field

from proxy.jobs.shapes import is_batch
from proxy.policy.limits.pace import BATCH
from proxy.stores.job_rows import Job, KeptFile, Task


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
