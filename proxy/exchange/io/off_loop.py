"""Large texts are read beside the event loop, one after the other, so that no call waits for another's body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

# What is smaller is read in a few milliseconds, whatever it holds.
LARGE = 128 * 1024

P = ParamSpec("P")
T = TypeVar("T")


class OffLoop:
    """One thread: with several, the loop would have to wait for its turn among them."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "large texts")

    async def __call__(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do some pure work on `size` bytes: here, or in the thread where there are many. What it raises passes.

        Whoever is in a hurry does itself what is not `LARGE`.
        """
        if size <= LARGE:
            return work(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
