"""Leaves out what libraries load when they are imported, and the daemon has no use for: a third of its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from proxy.cli.bare_packages import import_bare
from proxy.cli.late_methods import making_late
from proxy.cli.late_modules import running_late
from proxy.cli.late_patterns import compiling_late

# other protocols than the provider's, pictures, proxies on the way, and what operators ask for
_FOR_FEW = (
    "csv",
    "statistics",
    "urllib.request",
    "proxy.translate.bridge",
    "proxy.translate.images.faults",
    "proxy.translate.images.image_request",
    "proxy.translate.images.replies",
    "proxy.translate.images.writing",
    "proxy.web.operator.admin",
    "proxy.web.operator.explain",
    "proxy.web.operator.model_versions",
    "proxy.web.operator.pictures",
    "proxy.web.operator.tenants",
)


def import_lean() -> None:
    """Import aiohttp and structlog lean; before anything else imports them, and before there are threads."""
    # its client, which calls do not use, brings twice as much along as its server, and reads all certificates of the machine
    # twice; its lists, which a server has none of, would bring the library of C++ along
    import_bare("aiohttp")
    import_bare("prometheus_client")  # its own server, and metrics of its own
    with (
        compiling_late(),
        running_late("attr.filters", "attr.validators"),
        _environment(FROZENLIST_NO_EXTENSIONS="1"),
        _missing("bz2"),
        _missing("lzma"),
        _standing_in("urllib.request", getproxies=_proxies, proxy_bypass=_goes_past),  # another client
    ):
        import aiohttp.web_server  # noqa: F401
    with compiling_late(), making_late(), _missing("rich"), _missing("greenlet"):
        # for tracebacks in colours, which our log lines never have, and for threads of another kind; libraries it comes
        # without as well
        import structlog  # noqa: F401


def import_daemon_lean() -> None:
    """The same for what else the daemon consists of, without what is for calls that few make."""
    with compiling_late(), running_late(*_FOR_FEW):
        import proxy.app  # noqa: F401


def import_config_lean() -> None:
    """The same for pydantic."""
    import typing_extensions

    with (
        making_late(),
        _standing_in("importlib.metadata", entry_points=_none),
        _changed(typing_extensions, TypedDict=_OneForAll),
    ):
        # else the description of every package there is would be searched for plugins, and a hundred kinds of dictionaries
        # be made, which are for type checkers
        import pydantic.plugin._loader  # noqa: F401
    with compiling_late(), making_late():
        import proxy.config.load  # noqa: F401


def _proxies() -> dict[str, str]:
    from urllib import request

    return request.getproxies()


def _goes_past(host: str) -> Any:
    from urllib import request

    return request.proxy_bypass(host)


def _none(**_: Any) -> tuple[()]:
    return ()


class _Same(type):
    """Whatever is derived from a class of this kind is that class."""

    def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **_: Any) -> Any:
        return bases[0] if isinstance(bases[0], cls) else super().__new__(cls, name, bases, members)

    def __init__(cls, *_: Any, **__: Any) -> None:
        pass


class _OneForAll(dict[str, Any], metaclass=_Same):
    pass


@contextmanager
def _changed(owner: object, **values: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextmanager
def _standing_in(name: str, **members: Any) -> Iterator[None]:
    """Let these be all there is in a module, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__dict__.update(members)
    try:
        yield
    finally:
        del sys.modules[name]


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
