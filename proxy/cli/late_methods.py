"""Methods of data classes that are compiled at their first call: of the six that each class gets, most are never called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MAKER = "_create_fn"  # until Python 3.12; where there is none, nothing waits
_WAIT = frozenset(
    {"__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__", "__delattr__"}
)


@contextmanager
def making_late() -> Iterator[None]:
    """Let methods of data classes wait that are imported meanwhile. Before there are threads."""
    make = getattr(dataclasses, _MAKER, None)
    if make is None:
        yield
        return

    def late(name: str, *how: Any, **more: Any) -> Any:
        return _late(make, name, how, more) if name in _WAIT else make(name, *how, **more)

    setattr(dataclasses, _MAKER, late)
    try:
        yield
    finally:
        setattr(dataclasses, _MAKER, make)


def _late(make: Any, name: str, how: tuple[Any, ...], more: dict[str, Any]) -> Any:
    made: Any = None

    def method(*given: Any) -> Any:
        nonlocal made
        if made is None:
            made = make(name, *how, **more)
        return made(*given)

    method.__name__ = name
    return method
