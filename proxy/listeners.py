"""Where the daemon listens: TCP, a Unix socket, or what systemd passed; and what it refuses to run on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import http_parser
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.observe.holders import who_has
from proxy.policy.values import Listen
from proxy.web.server import Server

BACKLOG = 1024
_LAST_SECONDS = 0.1  # what a request still under way gets when the listener closes
_OF_ROOT = 1024  # the first port that is for everybody

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


class StartError(Exception):
    """The daemon cannot start; the message is one line for the operator."""


class Listener:
    """One address: the sockets it listens on, and `server` with the connections it took. `url` is without a path.

    `is_inherited`: the sockets are the service manager's, and what we do not accept waits for the next instance.
    """

    def __init__(self, handler: Handler) -> None:
        self.server = Server(handler)
        self.is_inherited = False
        self.url = ""
        self._servers: list[asyncio.AbstractServer] = []
        self._file: _SocketFile | None = None

    async def open(self, where: Listen, inherited: Sequence[socket.socket]) -> None:
        """Accept from now on. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self.is_inherited = bool(inherited)
        if inherited:
            for one in inherited:
                self._servers.append(await loop.create_server(self.server, sock=one, backlog=BACKLOG))
            self.url = _address_of(self._servers[0])
        elif where.socket is not None:
            _SocketFile.make_room(Path(where.socket))
            self._servers.append(await loop.create_unix_server(self.server, where.socket, backlog=BACKLOG))
            self._file = _SocketFile(Path(where.socket))
            self.url = f"unix:{where.socket}"
        else:
            address = (where.host, where.port)
            self._servers.append(await loop.create_server(self.server, *address, backlog=BACKLOG, reuse_address=True))
            self.url = _address_of(self._servers[-1])

    def stop_accepting(self) -> None:
        """Take no more connections; those taken have one more reply. Inherited sockets stay open where they came from."""
        self.server.end()
        loop = asyncio.get_running_loop()
        for server in self._servers:
            readers = [loop.remove_reader(one.fileno()) for one in server.sockets]  # type: ignore[attr-defined]
            if any(readers):  # asyncio's own loop: closed now, it would lose connections accepted and not yet set up
                loop.call_soon(server.close)
            else:
                server.close()
        if self._file is not None:
            self._file.remove()
        self._servers, self._file = [], None

    async def close(self) -> None:
        """Take no more connections, and close those there are."""
        self.stop_accepting()
        await asyncio.sleep(0)
        self.server.pre_shutdown()
        await self.server.shutdown(_LAST_SECONDS)


async def listen(
    stack: AsyncExitStack, handler: Handler, where: Listen, inherited: Sequence[socket.socket] = ()
) -> Listener:
    """Serve on an address until the stack closes. Raises `StartError`."""
    listener = Listener(handler)
    stack.push_async_callback(listener.close)
    try:
        await listener.open(where, inherited)
    except OSError as error:
        address = where.socket or f"{where.host}:{where.port}"
        raise StartError(f"cannot listen on {address}: {_reason(error, where)}") from None
    return listener


def _reason(error: OSError, where: Listen) -> str:
    """The system's word; of a port that is taken, by whom, and what to do about it."""
    if error.errno in (errno.EACCES, errno.EPERM) and where.socket is None and where.port < _OF_ROOT:
        return f"ports below {_OF_ROOT} are for root; take others with --port and --admin-port"
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    taken = os.strerror(error.errno)
    if where.socket is not None:
        return taken
    holder = who_has(where.port)
    return f"{taken}{f' by {holder}' if holder else ''}; stop it, or take others with --port and --admin-port"


def _address_of(server: asyncio.AbstractServer) -> str:
    name = server.sockets[-1].getsockname()  # type: ignore[attr-defined]
    return f"unix:{name}" if isinstance(name, str) else _url(*name[:2])


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _SocketFile:
    """The file of our Unix socket, for its owner and group only; removed in the end unless it is another's by then."""

    def __init__(self, path: Path) -> None:
        path.chmod(0o660)
        self._path = path
        self._identity = _identity(path)

    @staticmethod
    def make_room(path: Path) -> None:
        """Remove what a former run has left. Raises `OSError` where somebody listens."""
        if not path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            with contextlib.suppress(ConnectionRefusedError):
                probe.connect(str(path))
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # gone, or its disk is read-only by now
            if _identity(self._path) == self._identity:
                self._path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def refuse_unsafe_runtime() -> None:
    """Raise `StartError` where the HTTP library would be slow or unsafe."""
    if not __debug__:
        raise StartError("do not run with -O: the HTTP library relies on its assertions")
    if http_parser.HttpRequestParser.__module__ == http_parser.__name__:
        raise StartError(
            "the HTTP library's C parser is missing; install aiohttp from a wheel, unset AIOHTTP_NO_EXTENSIONS"
        )
