"""Calls one after the other, or under wrk."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.payloads import NUMBER
from bench.processes import BenchError

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_LUA = """
local requests = {%s}
local turn, number = 0, 0
local function numbered(text)
  number = number + 1
  return (text:gsub("NUMBER", string.format("%%08d", number)))
end
request = function()
  turn = turn %% #requests + 1
  return %s
end
done = function(summary)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(port: int, requests: Sequence[bytes], seconds: int, folder: Path) -> int:
    """Calls over 16 connections for some seconds, each request in turn, with the number of the call where it asks for that; how
    many were answered. Raises on any error."""
    script = folder / "small.lua"
    texts = ",\n".join(json.dumps(request.decode("ascii")) for request in requests)
    latest = "numbered(requests[turn])" if NUMBER in texts else "requests[turn]"
    script.write_text((_LUA % (texts, latest)).replace('"NUMBER"', f'"{NUMBER}"'))
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--timeout", "5s", "-s", str(script), f"http://127.0.0.1:{port}"]
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

    def call(self, request: bytes) -> bytes:
        """Send, read the whole reply. Raises where it is no 200."""
        self._socket.sendall(request)
        reply = self._socket.recv(262144)
        while not is_whole(reply):
            reply += self._more()
        if not reply.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"A call was answered with: {reply[:300]!r}")
        return reply

    def _more(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            raise BenchError("A connection was closed in the middle of a reply.")
        return data


def call_alone(port: int, request: bytes) -> None:
    """One call over a connection of its own. Raises where it is answered with anything but a 200."""
    caller = Caller(port)
    caller.call(request)
    caller.close()


def is_whole(reply: bytes) -> bool:
    """Whether a reply has come to its end; its body has a length, or is chunked."""
    head_end = reply.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    length = _LENGTH.search(reply, 0, head_end)
    if length is not None:
        return len(reply) >= head_end + 4 + int(length[1])
    return reply.endswith(b"0\r\n\r\n")
