"""Who gives the order that is being carried out, in words: for what is written down of it."""

from __future__ import annotations

import socket
import struct
from contextvars import ContextVar

ACTOR: ContextVar[str] = ContextVar("actor", default="the daemon")
_CREDENTIALS = struct.Struct("3i")  # struct ucred of Linux: pid, uid, gid


def of_socket(peer: socket.socket | None) -> str:
    """The user at the other end of a Unix socket; without a number where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if peer is None or option is None:
        return "a command"
    _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return f"uid {uid}"
