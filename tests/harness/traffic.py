"""Steady traffic: so many calls a second, every other one on a connection of its own, the rest from a pool."""

from __future__ import annotations

import asyncio
import math
import select
import time
from collections import Counter
from collections.abc import Sequence

from harness.crowd import Answer, read_answer
from harness.surroundings import PATIENCE_SECONDS

MOST_AT_ONCE = 400
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Traffic:
    """Sends `requests` in turn to a port. `outcomes` counts what became of them, `seconds` how long each whole one took.

    A pooled connection is looked at before it is used, as HTTP libraries do: one that has ended is opened again. What is
    sent and not answered is a failure, whatever the connection.
    """

    def __init__(self, port: int, requests: Sequence[bytes], rate: float) -> None:
        self.outcomes = Counter[str]()
        self.seconds: list[float] = []
        self.reused = 0
        self._sent = 0
        self._port = port
        self._requests = requests
        self._rate = rate
        self._pool: list[Link] = []

    async def has_caught_up(self) -> None:
        """Wait until as many calls have ended as were sent before: nothing is left of what piled up."""
        sent = self._sent
        while self.outcomes.total() < sent:
            await asyncio.sleep(0.01)

    async def has_reused(self, times: int) -> None:
        """Wait until so many more calls have gone over pooled connections."""
        enough = self.reused + times
        while self.reused < enough:
            await asyncio.sleep(0.01)

    async def run(self, ended: asyncio.Event) -> None:
        """Call at the given rate until `ended`, then wait for the calls under way.

        They pile up while a daemon is replaced; where the machine is too busy for so many, the rate gives way.
        """
        calls = set[asyncio.Task[None]]()
        while not ended.is_set():
            calls.add(task := asyncio.ensure_future(self._call(self._sent)))
            task.add_done_callback(calls.discard)
            self._sent += 1
            await asyncio.sleep(1 / self._rate)
            while len(calls) >= MOST_AT_ONCE:
                await asyncio.sleep(0.01)
        if calls:
            await asyncio.wait(calls)
        while self._pool:
            self._pool.pop()[1].close()

    def percentile(self, share: float) -> float:
        """Seconds that so large a share of the calls did not take longer than."""
        return sorted(self.seconds)[math.ceil(share * len(self.seconds)) - 1]

    async def _call(self, number: int) -> None:
        began = time.monotonic()
        try:
            self.outcomes[await asyncio.wait_for(self._one(number), PATIENCE_SECONDS)] += 1
        except ConnectionRefusedError:
            self.outcomes["refused"] += 1
        except TimeoutError:
            self.outcomes["too late"] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            self.outcomes[f"broken: {type(error).__name__}"] += 1
        else:
            self.seconds.append(time.monotonic() - began)

    async def _one(self, number: int) -> str:
        pooled = number % 2 == 0
        reader, writer = (self._idle_link() if pooled else None) or await self._open()
        answer = Answer()
        try:
            writer.write(self._requests[number // 2 % len(self._requests)])
            await read_answer(reader, answer)
        except BaseException:
            writer.close()
            raise
        if pooled and answer.header("connection") != "close":
            self._pool.append((reader, writer))
        else:
            writer.close()
        return "whole" if answer.status == 200 and answer.whole else f"status {answer.status}"

    async def _open(self) -> Link:
        return await asyncio.open_connection("127.0.0.1", self._port)

    def _idle_link(self) -> Link | None:
        """The connection used last that is still open."""
        while self._pool:
            reader, writer = self._pool.pop()
            if not reader.at_eof() and not writer.is_closing() and not _readable(writer):
                self.reused += 1
                return reader, writer
            writer.close()
        return None


def _readable(writer: asyncio.StreamWriter) -> bool:
    """Whether the kernel has something for an idle connection, which can only be its end."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
