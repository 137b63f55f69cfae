"""Leaves out what libraries load when they are imported, and the daemon has no use for: a third of its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.cli.bare_packages import import_bare


def import_lean() -> None:
    """Import aiohttp and structlog lean; before anything else imports them, and before there are threads."""
    # its client, which calls do not use, brings twice as much along as its server, and reads all certificates of the machine
    # twice; its lists, which a server has none of, would bring the library of C++ along
    import_bare("aiohttp")
    import_bare("prometheus_client")  # its own server, and metrics of its own
    with _environment(FROZENLIST_NO_EXTENSIONS="1"):
        import aiohttp.web_server  # noqa: F401
    with _missing("rich"), _missing("greenlet"):
        # for tracebacks in colours, which our log lines never have, and for threads of another kind; libraries it comes
        # without as well
        import structlog  # noqa: F401


def import_config_lean() -> None:
    """The same for pydantic."""
    with _environment(PYDANTIC_DISABLE_PLUGINS="__all__"):
        # else the description of every package there is would be searched for some
        import proxy.config.load  # noqa: F401


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _missing(name: str) -> Iterator[None]:
    """Let it look not installed, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
