"""A configuration file under watch: taken on again when it has changed and been left alone for a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK_SECONDS = 1.0

Stamp = tuple[int, int, int]


class Watch:
    """Made before the file is first read, so that no change is missed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = self._stamp()

    async def run(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. A file somebody is still writing changes from look to look, and waits."""
        seen = self._known
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._stamp()
            if now not in (None, self._known) and now == seen:
                self._known = now
                await reload()
            seen = now

    def _stamp(self) -> Stamp | None:
        """What tells one version of the file from another; None while there is none."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
