"""Regular expressions that are compiled at their first use: a start would make two hundred, and use few."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# what calls use is quicker without waiting
_AT_ONCE = ("proxy.wire.", "proxy.web.lane", "proxy.web.client.", "proxy.exchange.", "proxy.policy.money.",
            "proxy.policy.routing.", "proxy.policy.limits.", "proxy.stores.alike")  # fmt: skip
_compile = re.compile


@contextmanager
def compiling_late() -> Iterator[None]:
    """Let `re.compile` wait, for whatever is imported meanwhile. Before there are threads."""

    def late(pattern: Any, flags: int = 0) -> Any:
        asks = sys._getframe(1).f_globals.get("__name__", "")
        return _compile(pattern, flags) if asks.startswith(_AT_ONCE) else _Late(pattern, flags)

    re.compile = late
    try:
        yield
    finally:
        re.compile = _compile


class _Late:
    """Stands for a pattern, and passes for one."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self.__dict__["_asked"] = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(_compile(*self.__dict__["_asked"]), name)
        return found

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return re.Pattern
