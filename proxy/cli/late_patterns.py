"""Regular expressions of libraries, compiled at their first use: a start would make two hundred, and use few."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OURS = "proxy."  # what is used by every call is no slower for it


@contextmanager
def compiling_late() -> Iterator[None]:
    """Let `re.compile` wait, for whatever is imported meanwhile. Before there are threads."""
    at_once = re.compile

    def late(pattern: Any, flags: int = 0) -> Any:
        asks = sys._getframe(1).f_globals.get("__name__", _OURS)
        return at_once(pattern, flags) if asks.startswith(_OURS) else _Late(pattern, flags)

    re.compile = late
    try:
        yield
    finally:
        re.compile = at_once


class _Late:
    """Stands for a pattern, and passes for one."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self.__dict__["_asked"] = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(re.compile(*self.__dict__["_asked"]), name)
        return found

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return re.Pattern
