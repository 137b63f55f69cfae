"""What is on its way to the disk as the daemon ends has the time a busy machine takes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from harness.clock import JumpingLoop

from proxy.jobs.runner import Runner

SLOW_DISK_SECONDS = 8.0


def test_a_slow_disk_loses_no_reply_at_the_end() -> None:
    ended: list[str] = []

    async def write() -> None:
        await asyncio.sleep(SLOW_DISK_SECONDS)
        ended.append("written")

    async def live() -> None:
        nothing = cast(Any, SimpleNamespace())
        runner = Runner(nothing, nothing, nothing, nothing, int)
        runner.do(write())
        await runner.close()

    with asyncio.Runner(loop_factory=JumpingLoop) as loop:
        loop.run(live())
    assert ended == ["written"]
