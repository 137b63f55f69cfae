"""Work done in a copy of this process, which takes along what it imported and left behind."""

from __future__ import annotations

import io
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from proxy.secret import Secret

ResultT = TypeVar("ResultT")


class Apart(Generic[ResultT]):
    """Work that has begun in a copy of this process. Where there can be none, or it dies, the work is done here."""

    def __init__(self, work: Callable[[], ResultT]) -> None:
        """Begin it. Before there are threads: of those a copy has none, and what they held it could never have."""
        self._work = work
        self._child, self._pipe = (None, -1) if threading.active_count() > 1 else _begun(work)

    def result(self) -> ResultT:
        """Wait for what it returns."""
        if self._child is None:
            return self._work()
        with os.fdopen(self._pipe, "rb") as pipe:
            told = pipe.read()
        os.waitpid(self._child, 0)
        if not told:  # it was killed, or raised what this process will raise as well
            return self._work()
        found: ResultT = pickle.loads(told)  # noqa: S301 - of our own child, over a pipe nobody else has
        return found


def _begun(work: Callable[[], Any]) -> tuple[int | None, int]:
    """The child, and the pipe it tells the result by; no child where the system has no room for one."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return None, -1
    if child:
        os.close(writing)
        return child, reading
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(_told(work()))
    finally:
        os._exit(0)  # nothing of the parent's is to be flushed or closed twice


def _told(result: object) -> bytes:
    told = io.BytesIO()
    _Carrier(told, pickle.HIGHEST_PROTOCOL).dump(result)
    return told.getvalue()


class _Carrier(pickle.Pickler):
    """Carries secrets as well, which a pickle else refuses: this one is never kept."""

    def reducer_override(self, carried: Any) -> Any:
        return (Secret, (carried.reveal(),)) if type(carried) is Secret else NotImplemented
