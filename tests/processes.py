"""Which tests start a process or listen on a socket: all but the quick ones, which are stopped when they try."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_TESTS = str(Path(__file__).parent)
_STARTERS = ("subprocess", "socket")
_FORBIDDEN = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "os.exec", "socket.bind")
_quick = ""  # the test that runs now, if it is a quick one


def starts_processes(item: pytest.Function) -> bool:
    """Whether the test is marked so, or its module or that of a fixture imports, by whatever way, what starts one."""
    if item.get_closest_marker("process"):
        return True
    fixtures = [definition for found in item._fixtureinfo.name2fixturedefs.values() for definition in found]
    functions = [item.function, *(definition.func for definition in fixtures)]
    return any(_is_ours(function.__module__) and _starts(function.__module__) for function in functions)


@cache
def _starts(name: str) -> bool:
    """Whether a module, or one of the tests' modules it has something from, has a module that starts processes."""
    seen, left = {name}, [name]
    while left:
        for value in list(vars(sys.modules[left.pop()]).values()):
            other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(value, ModuleType) and other in _STARTERS:
                return True
            if isinstance(other, str) and other not in seen and _is_ours(other):
                seen.add(other)
                left.append(other)
    return False


def _is_ours(name: str) -> bool:
    return (getattr(sys.modules.get(name), "__file__", None) or "").startswith(_TESTS)


@contextmanager
def none_started(item: pytest.Function) -> Iterator[None]:
    """While the block lasts, a process or a listening socket is an error that says what to do."""
    global _quick
    _quick = item.nodeid
    try:
        yield
    finally:
        _quick = ""


def _watch(event: str, _: tuple[Any, ...]) -> None:
    if _quick and event in _FORBIDDEN:
        raise RuntimeError(f"{_quick} is taken for a quick test, but does {event}: mark it `process`")


sys.addaudithook(_watch)
