"""Work beside the event loop: large texts are read one after the other, so that no call waits for another's body; what waits for
others on the network has a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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


def in_a_thread(name: str, work: Callable[[], T], fails: type[Exception]) -> Future[T]:
    """What some work comes to, in a thread of its own that holds up neither the daemon's others nor its end. It may raise `fails`, as
    which anything else is told as well."""
    told: Future[T] = Future()
    told.set_running_or_notify_cancel()  # who waits for it may leave, which ends nothing

    def run() -> None:
        failed: Exception = fails("it could not be made")
        try:
            told.set_result(work())
        except fails as error:
            failed = error
        finally:
            if not told.done():
                told.set_exception(failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return told
