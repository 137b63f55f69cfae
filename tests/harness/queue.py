"""How many bytes lie unread in the socket at the other end of a loopback connection, as the kernel has it."""

from __future__ import annotations

import socket
import struct

_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_QUEUES_AT = 16 + 4 + 48 + 4  # netlink header, four small fields, the socket's id, its expiry

Address = tuple[str, int]


class ReceiveQueues:
    """Asks over netlink (sock_diag); without it (not Linux) every queue counts as empty."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        if hasattr(socket, "AF_NETLINK"):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)

    def unread(self, here: Address, there: Address) -> int:
        """Bytes received by the socket bound to `here` and connected to `there`, and not yet read."""
        if self._socket is None:
            return 0
        ports = struct.pack(">HH", here[1], there[1])
        addresses = struct.pack("4s12x4s12x", socket.inet_aton(here[0]), socket.inet_aton(there[0]))
        which = ports + addresses + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
        question = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _NO_COOKIE) + which
        self._socket.send(struct.pack("=IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + question)
        answer = self._socket.recv(8192)
        kind = struct.unpack_from("=H", answer, 4)[0]
        if kind != _SOCK_DIAG_BY_FAMILY:
            return 0
        size: int = struct.unpack_from("=I", answer, _QUEUES_AT)[0]
        return size

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._socket is not None:
            self._socket.close()
