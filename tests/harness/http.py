"""A raw HTTP/1.1 client: sends exactly the given bytes, and tells how a reply really ended."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from harness.surroundings import PATIENCE_SECONDS

Headers = Sequence[tuple[str, str]]


class Ended(Exception):
    """The daemon closed the connection where more was due."""


@dataclass
class Reply:
    """What came back. `complete`: its framing was honoured to the end. `raw` is everything as it came."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False
    raw: bytes = b""
    interim: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """One header; fails where it was sent twice."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} was sent {len(found)} times: {found}"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def request_id(self) -> str:
        """Tollkeeper's own id of the call."""
        found = self.header("x-tollkeeper-request-id")
        assert found is not None
        return found


class Connection:
    """One TCP connection to the daemon; `seen` is told of every reply read to its end, `source` is our address."""

    def __init__(self, port: int, seen: Callable[[Reply], None] = lambda _: None, *, source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS, (source, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._seen = seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def leave(self) -> None:
        """Close in an orderly way."""
        self._socket.close()

    def reset(self) -> None:
        """Close with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def set_timeout(self, seconds: float) -> None:
        """Wait at most so long for bytes."""
        self._socket.settimeout(seconds)

    def read_to_end(self) -> bytes:
        """Everything until the daemon closes (in whatever way)."""
        data, self._buffer = self._buffer, b""
        try:
            while piece := self._socket.recv(65536):
                data += piece
        except ConnectionError:
            pass
        return data

    def read_head(self) -> Reply:
        """The next head; interim ones are noted and passed over."""
        interim: list[int] = []
        while True:
            raw = self._until(b"\r\n\r\n")
            line, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
            _, status, *reason = line.split(" ", 2)
            if 100 <= int(status) < 200:
                interim.append(int(status))
                continue
            headers = [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)]
            return Reply(int(status), "".join(reason), headers, raw=raw, interim=interim)

    def read_until(self, marker: bytes) -> bytes:
        """Body bytes up to and with `marker`, chunk framing included."""
        return self._until(marker)

    def read_reply(self, method: str = "POST") -> Reply:
        """A whole reply; one that breaks off comes back with `complete` False."""
        reply = self.read_head()
        self.read_body(reply, method)
        return reply

    def read_body(self, reply: Reply, method: str = "POST") -> None:
        """The rest of a reply whose head has been read."""
        try:
            if method == "HEAD" or reply.status in (204, 304):
                reply.complete = True
            elif (reply.header("transfer-encoding") or "") == "chunked":
                self._read_chunked(reply)
            elif (length := reply.header("content-length")) is not None:
                reply.body = self._exactly(int(length))
                reply.complete = True
            else:
                reply.body = self.read_to_end()
                reply.complete = True
        except (Ended, ConnectionError):
            reply.body += self._buffer
            self._buffer = b""
        reply.raw += reply.body
        self._seen(reply)

    def _read_chunked(self, reply: Reply) -> None:
        while True:
            size = int(self._until(b"\r\n")[:-2], 16)
            if size:
                reply.body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
            if not size:
                reply.complete = True
                return

    def _until(self, marker: bytes) -> bytes:
        while marker not in self._buffer:
            self._fill()
        found, _, self._buffer = self._buffer.partition(marker)
        return found + marker

    def _exactly(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing > len(self._buffer):
            pieces.append(self._buffer)
            missing -= len(self._buffer)
            self._buffer = b""
            try:
                self._fill()
            except (Ended, ConnectionError):
                self._buffer = b"".join(pieces)
                raise
        pieces.append(self._buffer[:missing])
        self._buffer = self._buffer[missing:]
        return b"".join(pieces)

    def _fill(self) -> None:
        piece = self._socket.recv(262144)
        if not piece:
            raise Ended
        self._buffer += piece


def request_bytes(method: str, target: str, headers: Headers, body: bytes | None, host: str) -> bytes:
    """A request as bytes: Host first, the given headers, and the length where there is a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
