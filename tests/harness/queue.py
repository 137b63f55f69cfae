"""How many bytes lie unread in the socket at the other end of a loopback connection, as the kernel has it."""

from __future__ import annotations

import socket
import struct

_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_QUEUES_AT = 16 + 4 + 48 + 4  # netlink header, four small fields, the socket's id, its expiry
_ATTRIBUTES_AT = _QUEUES_AT + 20
_TCP_INFO = 2  # the attribute asked for, and given
_RECEIVED_AT = 128  # tcpi_bytes_received in struct tcp_info

Address = tuple[str, int]


def _received(answer: bytes, otherwise: int) -> int:
    """How many bytes have come in so far, where the kernel tells."""
    at = _ATTRIBUTES_AT
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == _TCP_INFO and length >= 4 + _RECEIVED_AT + 8:
            return int(struct.unpack_from("=Q", answer, at + 4 + _RECEIVED_AT)[0])
        at += max(4, length + 3 & ~3)
    return otherwise


class ReceiveQueues:
    """Asks over netlink (sock_diag); without it (not Linux) every queue counts as empty."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        if hasattr(socket, "AF_NETLINK"):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)

    def unread(self, here: Address, there: Address, sent: int) -> int:
        """Bytes of the `sent` ones that the socket bound to `here` and connected to `there` has not read.

        A busy kernel takes its time to carry bytes from one end of a loopback connection to the other.
        """
        if self._socket is None:
            return 0
        ports = struct.pack(">HH", here[1], there[1])
        addresses = struct.pack("4s12x4s12x", socket.inet_aton(here[0]), socket.inet_aton(there[0]))
        which = ports + addresses + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
        question = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 1 << (_TCP_INFO - 1), _NO_COOKIE) + which
        self._socket.send(struct.pack("=IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + question)
        answer = self._socket.recv(8192)
        kind = struct.unpack_from("=H", answer, 4)[0]
        if kind != _SOCK_DIAG_BY_FAMILY:
            return 0
        queued: int = struct.unpack_from("=I", answer, _QUEUES_AT)[0]
        return queued + max(0, sent - _received(answer, sent))

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._socket is not None:
            self._socket.close()
