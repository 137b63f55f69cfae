"""Calls one after the other or under wrk: small ones, large ones, the time to the first byte."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path

from bench.payloads import PATH, request_headers, small_body
from bench.processes import BenchError

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_DONE_LUA = """
done = function(summary)
  local e = summary.errors
  io.write(string.format("RESULT %d %d\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(port: int, seconds: int, folder: Path) -> int:
    """Small calls over 16 connections for some seconds; how many were answered. Raises on any error."""
    script = folder / "small.lua"
    headers = "".join(f'wrk.headers["{name}"] = {json.dumps(value)}\n' for name, value in request_headers().items())
    script.write_text(f'wrk.method = "POST"\nwrk.body = [=[{small_body().decode()}]=]\n{headers}{_DONE_LUA}')
    command = [
        "wrk",
        "-t1",
        "-c16",
        f"-d{seconds}s",
        "--timeout",
        "5s",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}{PATH}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=False)
    found = re.search(r"^RESULT (\d+) (\d+)$", ran.stdout, re.MULTILINE)
    if found is None or found[2] != "0":
        raise BenchError(f"wrk met errors: {(ran.stdout + ran.stderr)[-400:]}")
    return int(found[1])


class Caller:
    """One connection, one call at a time, on a plain blocking socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, request: bytes, *, until: bytes = b"") -> float:
        """Send, read the whole reply; the seconds until its first byte, or until `until` has come."""
        began = time.perf_counter()
        self._socket.sendall(request)
        reply = self._socket.recv(262144)
        while until and until not in reply:
            reply += self._more()
        seconds = time.perf_counter() - began
        while not _is_whole(reply):
            reply += self._more()
        if not reply.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"A call was answered with: {reply[:300]!r}")
        return seconds

    def _more(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            raise BenchError("A connection was closed in the middle of a reply.")
        return data


def _is_whole(reply: bytes) -> bool:
    head_end = reply.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    length = _LENGTH.search(reply, 0, head_end)
    if length is not None:
        return len(reply) >= head_end + 4 + int(length[1])
    return reply.endswith(b"0\r\n\r\n")
