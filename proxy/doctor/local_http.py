"""Asking our own daemon: one request, over TCP or a Unix socket. Providers are never spoken to from here."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from proxy.policy.values import Listen

SECONDS = 5.0
_LARGEST = 16 * 2**20
_LONGEST_PATH = 103  # what every system's socket addresses can hold


def ask(address: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> tuple[int, bytes]:
    """Status and body; `address` is `http://host:port` or `unix:PATH`. Raises OSError with the system's reason."""
    connection = _Connection(address)
    try:
        connection.request(method, path, headers={"Host": "localhost", **(headers or {})})
        reply = connection.getresponse()
        return reply.status, reply.read(_LARGEST)
    except HTTPException as error:
        raise OSError(0, f"no HTTP answer: {type(error).__name__}") from None
    finally:
        connection.close()


def address_of(where: Listen) -> str:
    """As `ask` takes it."""
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"unix:{where.socket}" if where.socket is not None else f"http://{host}:{where.port}"


def reachable_address(address: str) -> str:
    """Every address of this machine is also its loopback one."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


class _Connection(HTTPConnection):
    """HTTP to one of our addresses."""

    def __init__(self, address: str) -> None:
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else ""
        parts = urlsplit("http://localhost" if self._path else address)
        super().__init__(parts.hostname or "localhost", parts.port, timeout=SECONDS)

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        connect_unix(self.sock, Path(self._path))


def connect_unix(sock: socket.socket, path: Path) -> None:
    """Connect to a Unix socket; a path too long for an address goes by its folder's descriptor. Raises OSError."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        sock.connect(str(path))
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def reason(error: OSError) -> str:
    """The system's word for what happened."""
    if isinstance(error, TimeoutError):
        return f"nothing within {SECONDS:.0f} s"
    return (error.strerror or type(error).__name__).lower()
