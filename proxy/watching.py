"""A configuration file that people write while we read: it is waited for, and may be watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK_SECONDS = 1.0
QUIET_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
_STEP_SECONDS = 0.05

Stamp = tuple[int, int, int]


async def left_alone(file: Path | None) -> None:
    """Return once the file is there, has something in it and was not changed for a while, or after a few seconds.

    Editors empty a file before they write it, or put another in its place.
    """
    if file is None:
        return
    loop = asyncio.get_running_loop()
    until, seen = loop.time() + LONGEST_WAIT_SECONDS, stamp_of(file)
    since = loop.time() - _age_seconds(seen)
    while loop.time() < until and (seen is None or not seen[1] or loop.time() - since < QUIET_SECONDS):
        await asyncio.sleep(_STEP_SECONDS)
        if (now := stamp_of(file)) != seen:
            seen, since = now, loop.time()


def stamp_of(file: Path) -> Stamp | None:
    """What tells one version of the file from another: change (ns), size, inode; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _age_seconds(stamp: Stamp | None) -> float:
    """How long ago the file was changed; nothing where clocks disagree."""
    return 0.0 if stamp is None else max(0.0, time.time() - stamp[0] / 1e9)


class Watch:
    """Made before the file is first read, so that no change is missed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = stamp_of(file)

    async def run(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled, with a reload for every version; a file that is still being written is the reload's affair."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = stamp_of(self._file)
            if now not in (None, self._known):
                self._known = now
                await reload()
