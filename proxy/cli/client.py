"""How commands get their answers: from the daemon over its control socket, or from the files where none lives."""

from __future__ import annotations

import json
import os
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import click

from proxy.policy.values import Settings

SOCKET_NAME = "control.sock"
_PATIENCE = 60.0  # seconds
_LONGEST_PATH = 103

Answer = dict[str, Any]


def ask(settings: Settings, order: str, params: Answer | None = None) -> Answer:
    """Answer an order, as JSON has it; what cannot be done ends the command with a sentence."""
    connection = _Connection(settings.state_dir)
    try:
        connection.connect()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        from proxy.cli.stopped import answer  # it brings the database library along

        return answer(settings, order, params or {})
    except OSError as error:
        raise click.ClickException(f"the daemon at {settings.state_dir} cannot be reached: {error.strerror}") from None
    try:
        status, found = connection.order(order, params or {})
    except (OSError, HTTPException, ValueError) as error:
        raise click.ClickException(f"the daemon gave no answer: {error}") from None
    finally:
        connection.close()
    if status != 200:
        raise click.ClickException(str(found.get("error", f"the daemon answered with status {status}")))
    return found


def glance(settings: Settings, order: str, patience: float) -> Answer:
    """What a running daemon answers within `patience` seconds, else nothing."""
    connection = _Connection(settings.state_dir, patience)
    try:
        connection.connect()
        status, found = connection.order(order, {})
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return found if status == 200 else {}


class _Connection(HTTPConnection):
    """HTTP over the control socket of a state directory."""

    def __init__(self, state_dir: str, patience: float = _PATIENCE) -> None:
        super().__init__("tollkeeper", timeout=patience)
        self._state_dir = state_dir

    def order(self, name: str, params: Answer) -> tuple[int, Answer]:
        """Give an order; the status and the answer."""
        self.request("POST", f"/{name}", json.dumps(params), {"Content-Type": "application/json"})
        reply = self.getresponse()
        return reply.status, json.loads(reply.read())

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
