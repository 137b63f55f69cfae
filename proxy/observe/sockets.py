"""Listening sockets handed over by the service manager (socket activation, sd_listen_fds(3))."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import MutableMapping
from itertools import chain

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
NAMELESS = "unknown"  # what the manager itself calls a socket without a name
_NUMBER = re.compile(r"[0-9]{1,4}")
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class NotAListener(Exception):
    """A descriptor that was handed over cannot be served; the message is one line for the operator."""


def inherited_sockets(
    env: MutableMapping[str, str], *, pid: int | None = None, first: int = FIRST_DESCRIPTOR
) -> dict[str, list[socket.socket]]:
    """Take over the sockets meant for this process, by name; none where there are none. Raises `NotAListener`.

    The variables are removed, and the descriptors closed on exec: no child must take them for its own.
    """
    fds, owner, names = (env.pop(name, "") for name in _VARIABLES)
    if owner != str(os.getpid() if pid is None else pid):
        return {}
    labels = names.split(":")
    found: dict[str, list[socket.socket]] = {}
    try:
        for index in range(int(fds) if _NUMBER.fullmatch(fds) else 0):
            label = labels[index] if index < len(labels) and labels[index] else NAMELESS
            found.setdefault(label, []).append(_listener(first + index, label))
    except NotAListener:
        for taken in chain.from_iterable(found.values()):
            taken.close()
        raise
    return found


def _listener(descriptor: int, label: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotAListener(_sentence(descriptor, label, f"cannot be used ({reason})")) from None
    is_stream = taken.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) and taken.type == socket.SOCK_STREAM
    if is_stream and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return taken
    taken.close()
    raise NotAListener(_sentence(descriptor, label, "is no listening stream socket; use ListenStream= and Accept=no"))


def _sentence(descriptor: int, label: str, trouble: str) -> str:
    return f"the socket {label!r} (descriptor {descriptor}) that the service manager handed over {trouble}"
