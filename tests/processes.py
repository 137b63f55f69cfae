"""Which tests start a process or listen on a socket: all but the quick ones, which are stopped when they try."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_TESTS = str(Path(__file__).parent)
_STARTERS = ("subprocess", "socket")
_LISTENER = "proxy.mock.server"
_FORBIDDEN = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "os.exec", "socket.bind")
_known: dict[str, bool] = {}  # by the file of a module
_quick = ""  # the test that runs now, if it is a quick one


def starts_processes(item: pytest.Function) -> bool:
    """Whether the test is marked so, or its module or that of a fixture imports, by whatever way, what starts one."""
    if item.get_closest_marker("process"):
        return True
    fixtures = [definition for found in item._fixtureinfo.name2fixturedefs.values() for definition in found]
    functions = [item.function, *(definition.func for definition in fixtures)]
    homes = [unwrap(function).__globals__ for function in functions]  # many modules are called conftest
    return any(str(home.get("__file__")).startswith(_TESTS) and _starts(home) for home in homes)


def _starts(home: dict[str, Any]) -> bool:
    """Whether a module, or one of the tests' modules it has something from, has a module that starts processes."""
    if (known := _known.get(home["__file__"])) is None:
        known = _known[home["__file__"]] = _has_starter(home)
    return known


def _has_starter(home: dict[str, Any]) -> bool:
    seen, left = {home["__name__"]}, [home]
    while left:
        for value in list(left.pop().values()):
            other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if (isinstance(value, ModuleType) and other in _STARTERS) or other == _LISTENER:
                return True
            if isinstance(other, str) and other not in seen and _is_ours(other):
                seen.add(other)
                left.append(vars(sys.modules[other]))
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
