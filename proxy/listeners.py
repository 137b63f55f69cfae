"""Where the daemon listens: TCP, a Unix socket, or what systemd passed; and what it refuses to run on."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import http_parser, web

from proxy.policy.values import Listen
from proxy.web.connection import Server

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class StartError(Exception):
    """The daemon cannot start; the message is one line for the operator."""


async def listen(
    stack: AsyncExitStack, handler: Handler, where: Listen, inherited: Sequence[socket.socket] = ()
) -> str:
    """Serve on an address until the stack closes; return its URL without a path. Raises `StartError`."""
    runner = web.ServerRunner(Server(handler), shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        if inherited:
            for one in inherited:
                await web.SockSite(runner, one, backlog=1024).start()
            return _address_of(inherited[0])
        if where.socket is not None:
            await _unix_site(runner, where.socket)
            return f"unix:{where.socket}"
        await web.TCPSite(runner, where.host, where.port, backlog=1024, reuse_address=True).start()
    except OSError as error:
        address = where.socket or f"{where.host}:{where.port}"
        raise StartError(f"cannot listen on {address}: {error.strerror or error}") from None
    return _url(*runner.addresses[-1][:2])


def _address_of(listener: socket.socket) -> str:
    name = listener.getsockname()
    return f"unix:{name}" if isinstance(name, str) else _url(*name[:2])


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _unix_site(runner: web.ServerRunner, path: str) -> None:
    """Serve on a Unix socket only its owner and group may open; a stale one is replaced."""
    file = Path(path)
    if file.is_socket():
        file.unlink()
    await web.UnixSite(runner, path, backlog=1024).start()
    file.chmod(0o660)


def refuse_unsafe_runtime() -> None:
    """Raise `StartError` where the HTTP library would be slow or unsafe."""
    if not __debug__:
        raise StartError("do not run with -O: the HTTP library relies on its assertions")
    if http_parser.HttpRequestParser.__module__ == http_parser.__name__:
        raise StartError(
            "the HTTP library's C parser is missing; install aiohttp from a wheel, unset AIOHTTP_NO_EXTENSIONS"
        )
