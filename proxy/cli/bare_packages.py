"""Packages whose own names come at their first use: importing part of one would else import all of it."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_VERSION = re.compile(r"""^__version__ = ["'](.+?)["']""", re.MULTILINE)


def import_bare(name: str) -> None:
    """Make a package so that parts of it can be imported by themselves. Whoever wants one of its own names gets it, and all of
    the package with it; nothing is done where it is imported already."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None and spec.submodule_search_locations and isinstance(spec.loader, InspectLoader):
        _Bare(name, spec, spec.loader)


class _Bare:
    def __init__(self, name: str, spec: ModuleSpec, loader: InspectLoader) -> None:
        self._name, self._loader = name, loader
        self._package: ModuleType = module_from_spec(spec)
        self._lock = threading.RLock()
        self._is_filling = False
        self._package.__dict__["__getattr__"] = self._found
        sys.modules[name] = self._package

    def _found(self, wanted: str) -> Any:
        if wanted == "__version__":  # parts ask for that
            version = _VERSION.search(self._loader.get_source(self._name) or "")
            return version[1] if version else ""
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        if find_spec(f"{self._name}.{wanted}") is not None:
            return importlib.import_module(f"{self._name}.{wanted}")
        with self._lock:  # another thread may have filled it meanwhile
            if "__getattr__" in self._package.__dict__ and not self._is_filling:
                self._is_filling = True
                self._loader.exec_module(self._package)
                del self._package.__dict__["__getattr__"]
        try:
            return self._package.__dict__[wanted]
        except KeyError:
            raise AttributeError(f"module {self._name!r} has no attribute {wanted!r}") from None
