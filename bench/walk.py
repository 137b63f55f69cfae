"""The daemon with one call counted: the files it enters, and the kinds of values made for it.

`python -m bench.walk FILE serve …` runs the command. Every SIGUSR1 writes what has been counted
since the last one to FILE as JSON, and begins anew. Only the thread that serves is looked at, and
of values only those of our own classes that come or go as arguments or results: one that was
there before the call is not made for it.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from bench.processes import ROOT

_PACKAGE = str(ROOT / "proxy") + "/"


class Walk:
    """What a call passes through."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.kinds: set[str] = set()
        # held, so that no id is given away twice
        self._seen: dict[int, Any] = {}

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """The interpreter's hook: it is told of every call and every return."""
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            return
        if event == "call":
            self.files.add(file.removeprefix(_PACKAGE))
            for name in frame.f_code.co_varnames[: frame.f_code.co_argcount]:
                self._look_at(frame.f_locals.get(name))
        elif event == "return":
            self._look_at(argument)

    def _look_at(self, value: Any) -> None:
        kind = type(value)
        if kind.__module__.startswith("proxy.") and id(value) not in self._seen:
            self._seen[id(value)] = value
            self.kinds.add(f"{kind.__module__}.{kind.__qualname__}")

    def told(self) -> str:
        """What was counted; the next count begins."""
        text = json.dumps({"files": sorted(self.files), "kinds": sorted(self.kinds)})
        self.files, self.kinds = set(), set()
        return text


def _tell(walk: Walk, file: Path) -> None:
    while True:
        signal.sigwait({signal.SIGUSR1})
        written = file.with_suffix(".new")
        written.write_text(walk.told())
        written.replace(file)


def main() -> None:
    """Install the hook, run the command."""
    file = Path(sys.argv.pop(1))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    walk = Walk()
    threading.Thread(target=_tell, args=(walk, file), daemon=True).start()
    sys.setprofile(walk.profile)
    from proxy.cli import main as command

    command()


if __name__ == "__main__":
    main()
