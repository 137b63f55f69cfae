"""How commands get their answers: from the daemon over its control socket, or from the files where none lives."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from proxy.cli.home import Home, is_anothers, not_yours

SOCKET_NAME = "control.sock"
_TIMEOUT_SECONDS = 60.0  # seconds
_SILENCE = 20.0  # seconds; the daemon says something every 5
_LONGEST_PATH = 103

Answer = dict[str, Any]


def ask(
    home: Home, order: str, params: Answer | None = None, timeout_seconds: float = _TIMEOUT_SECONDS, reason: str = ""
) -> Answer:
    """Answer an order, as JSON has it; what cannot be done ends the command with a sentence. `reason`: why it is given."""
    connection = _connected(home, timeout_seconds)
    if connection is None:
        from proxy.cli.stopped import answer  # it brings the database library along

        if is_anothers(Path(home.state_dir)):
            raise not_yours(Path(home.state_dir), home.file)
        return answer(home, order, params or {}, reason)
    with closing(connection):
        try:
            reply = _sent(connection, f"{order}?{urlencode({'reason': reason})}" if reason else order, params)
            return _read(reply)
        except TimeoutError:
            raise _silent(timeout_seconds) from None
        except (OSError, HTTPException, ValueError) as error:
            raise click.ClickException(f"the daemon gave no answer: {error}") from None


def follow(home: Home, order: str, params: Answer) -> Iterator[bytes]:
    """Lines without their ends, an empty one at first and while nothing happens.

    The daemon's end ends the command with a sentence.
    """
    connection = _connected(home, _SILENCE)
    if connection is None:
        ask(home, order, params)
        return
    with closing(connection):
        try:
            reply = _sent(connection, order, params)
            yield b""
            while line := reply.readline():
                yield line.rstrip(b"\n")
        except TimeoutError:
            raise _silent(_SILENCE) from None
        except (OSError, HTTPException) as error:
            raise click.ClickException(f"the daemon went away: {error}") from None
    raise click.ClickException("the daemon went away")


def _silent(seconds: float) -> click.ClickException:
    return click.ClickException(
        f"the daemon gave no answer for {seconds:g} seconds; `tollkeeper doctor` says how it fares"
    )


def running_since(home: Home) -> float | None:
    """When the daemon opened its control socket, in UTC epoch seconds; None where there is none."""
    try:
        return (Path(home.state_dir) / SOCKET_NAME).stat().st_mtime
    except OSError:
        return None


def _connected(home: Home, timeout_seconds: float) -> _Connection | None:
    """A connection to the daemon; None where none runs."""
    connection = _Connection(home.state_dir, timeout_seconds)
    try:
        connection.connect()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError:
        raise not_yours(Path(home.state_dir), home.file) from None
    except OSError as error:
        raise click.ClickException(f"the daemon at {home.state_dir} cannot be reached: {error.strerror}") from None
    return connection


def _sent(connection: _Connection, order: str, params: Answer | None) -> HTTPResponse:
    """The answer's head; one that is no answer ends the command."""
    connection.request("POST", f"/{order}", json.dumps(params or {}), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    if reply.status != 200:
        found = _read(reply)
        raise click.ClickException(str(found.get("error", f"the daemon answered with status {reply.status}")))
    return reply


def _read(reply: HTTPResponse) -> Answer:
    found: Answer = json.loads(reply.read())
    return found


def glance(home: Home, order: str, timeout_seconds: float) -> Answer:
    """What a running daemon answers within `timeout_seconds` seconds, else nothing."""
    with closing(_Connection(home.state_dir, timeout_seconds)) as connection:
        try:
            connection.connect()
            return _read(_sent(connection, order, None))
        except (OSError, HTTPException, ValueError, click.ClickException):
            return {}


class _Connection(HTTPConnection):
    """HTTP over the control socket of a state directory."""

    def __init__(self, state_dir: str, timeout_seconds: float) -> None:
        super().__init__("tollkeeper", timeout=timeout_seconds)
        self._state_dir = state_dir

    def connect(self) -> None:
        """A path too long for a socket's address goes by its folder's descriptor."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        path = str(Path(self._state_dir) / SOCKET_NAME)
        try:
            if len(path.encode()) <= _LONGEST_PATH:
                self.sock.connect(path)
                return
            folder = os.open(self._state_dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.sock.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
            finally:
                os.close(folder)
        except OSError:
            self.close()
            raise
