"""What stands where the connection of a job's client would: it takes the reply in, and is told when that is whole."""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.exchange.stand_ins import Nobody, Reading, Reply
from proxy.stores.jobs.job_rows import Job


class ResultConnection(Nobody):
    """`reply` is there once the call is over."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._reading = Reading()

    def answered(self) -> None:
        """The call is over."""
        super().answered()
        if not self.reply.done():
            self.reply.set_result(self._reading.reply())

    def send(self, data: bytes) -> bool:
        """Take bytes of the reply."""
        self._reading.feed(data)
        return True


class Caller(Protocol):
    """Whoever makes the calls (`calls.py`)."""

    @property
    def is_closing(self) -> bool:
        """Whether no call may begin any more."""

    def next_id(self) -> str:
        """The id of a call that is to be made."""

    def begin(self, job: Job, body: bytes, request_id: str, connection: ResultConnection) -> bool:
        """Make a call; False where its key does not exist any more."""

    def cut(self, request_id: str) -> None:
        """End a call."""

    def was_sent(self, request_id: str) -> bool:
        """Whether the call that a line became before a crash has reached a provider. Not for an event loop."""
