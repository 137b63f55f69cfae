"""Modules that run at their first use: importing one makes an empty one, and whoever wants a name of it fills it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, cast


@contextmanager
def running_late(*names: str) -> Iterator[None]:
    """Let these modules wait which are imported meanwhile. Before there are threads."""
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = cast(Any, _Waiting(spec.loader))
        return spec


class _Waiting:
    """Loads a module as `loader` does, but late. In the thread that comes first; others wait for it. No `Loader`, as
    `importlib.abc` brings along as much as waits."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        def found(wanted: str) -> Any:
            with self._lock:
                if not self._has_begun and not wanted.startswith("__"):
                    self._has_begun = True
                    try:
                        self._loader.exec_module(module)
                    except BaseException:
                        self._has_begun = False
                        raise
                    del module.__dict__["__getattr__"]
            try:
                return module.__dict__[wanted]
            except KeyError:
                raise AttributeError(f"module {module.__name__!r} has no attribute {wanted!r}") from None

        module.__dict__["__getattr__"] = found
