"""How commands get their answers: from the daemon over its control socket, or from the files where none lives."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from proxy.cli.home import Home, is_anothers, not_yours
from proxy.stores.lock import SOCKET_NAME

if TYPE_CHECKING:
    from proxy.policy.values import Listen

_TIMEOUT_SECONDS = 60.0  # seconds
_SILENCE = 20.0  # seconds; the daemon says something every 5
_LOOK_SECONDS = 5.0  # without a word: then it is seen whether the daemon answers anything at all
_LOOKED_SECONDS = 3.0  # which takes it a moment, whatever else it does
_LONGEST_PATH = 103

Answer = dict[str, Any]


def ask(
    home: Home, order: str, params: Answer | None = None, timeout_seconds: float = _TIMEOUT_SECONDS, reason: str = ""
) -> Answer:
    """Answer an order, as JSON has it; what cannot be done ends the command with a sentence. `reason`: why it is given."""
    connection = _connected(home, timeout_seconds)
    if connection is None:
        from proxy.cli.stopped.orders import answer  # it brings the database library along

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
            raise _hung(home.state_dir) from None
        except (OSError, HTTPException) as error:
            raise click.ClickException(f"the daemon went away: {error}") from None
    raise click.ClickException("the daemon went away")


def _silent(seconds: float) -> click.ClickException:
    return click.ClickException(
        f"the daemon gave no answer for {seconds:g} seconds; `tollkeeper doctor` says how it fares"
    )


def _hung(state_dir: str) -> click.ClickException:
    """It is there and says nothing: why, as far as the system tells, and what helps."""
    from proxy.observe.holders import is_stopped
    from proxy.stores.lock import holder_of

    try:
        pid = holder_of(Path(state_dir)) or 0
    except OSError:
        pid = 0
    who = f"the daemon (process {pid})" if pid else "the daemon"
    if is_stopped(pid):
        return click.ClickException(
            f"{who} is stopped, as by SIGSTOP or Ctrl-Z, and answers nothing; type: kill -CONT {pid}"
        )
    return click.ClickException(
        f"{who} hangs: it is there and answers nothing. Its log says what it did last. Started anew it has all it had: "
        f"systemctl restart tollkeeper, or {f'kill -9 {pid}' if pid else 'kill it'} and start it as it was"
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
    except BlockingIOError:  # so many wait for an answer already
        raise _hung(home.state_dir) from None
    except OSError as error:
        raise click.ClickException(f"the daemon at {home.state_dir} cannot be reached: {error.strerror}") from None
    return connection


def _sent(connection: _Connection, order: str, params: Answer | None) -> HTTPResponse:
    """The answer's head; one that is no answer ends the command."""
    connection.request("POST", f"/{order}", json.dumps(params or {}), {"Content-Type": "application/json"})
    if not connection.hears() and not _answers(connection.state_dir):
        raise _hung(connection.state_dir)
    reply = connection.getresponse()
    if reply.status != 200:
        found = _read(reply)
        raise click.ClickException(str(found.get("error", f"the daemon answered with status {reply.status}")))
    return reply


def _answers(state_dir: str) -> bool:
    """Whether the daemon answers at all: an order may take its time."""
    with closing(_Connection(state_dir, _LOOKED_SECONDS)) as connection:
        try:
            connection.connect()
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except (OSError, HTTPException):
            return False


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


def overheard(admin: Listen, order: str) -> Answer:
    """What the admin port answers to whoever asks, else nothing: with `admins`, and off loopback, it wants a token."""
    from proxy.doctor.local_http import address_of, reachable_address
    from proxy.doctor.local_http import ask as asked

    try:
        status, body = asked(reachable_address(address_of(admin)), f"/{order}")
        found: Answer = json.loads(body) if status == 200 else {}
        return found
    except (OSError, ValueError):
        return {}


class _Connection(HTTPConnection):
    """HTTP over the control socket of a state directory."""

    def __init__(self, state_dir: str, timeout_seconds: float) -> None:
        super().__init__("tollkeeper", timeout=timeout_seconds)
        self.state_dir = state_dir

    def hears(self) -> bool:
        """Whether an answer comes so soon that nobody need wonder; who waits no longer than that anyway need not either."""
        return float(self.timeout or 0) <= _LOOK_SECONDS or bool(select.select([self.sock], [], [], _LOOK_SECONDS)[0])

    def connect(self) -> None:
        """A path too long for a socket's address goes by its folder's descriptor."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        path = str(Path(self.state_dir) / SOCKET_NAME)
        try:
            if len(path.encode()) <= _LONGEST_PATH:
                self.sock.connect(path)
                return
            folder = os.open(self.state_dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.sock.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
            finally:
                os.close(folder)
        except OSError:
            self.close()
            raise
