"""A user of this machine over a Unix socket: known to the kernel, and so to the daemon, without any secret."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from harness.commands import typed
from harness.daemon import Daemon


class Local(HTTPConnection):
    """HTTP over a Unix socket, as often as one likes."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def chat(self, headers: Sequence[tuple[str, str]] = ()) -> tuple[int, Any]:
        body = json.dumps({"model": "mock/echo", "messages": [{"role": "user", "content": "hi"}]})
        self.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", **dict(headers)})
        reply = self.getresponse()
        return reply.status, json.loads(reply.read())


def test_a_user_needs_no_secret_over_a_unix_socket(tmp_path: Path) -> None:
    """The same head again and again: what is known of it is not whose it is."""
    path, own = tmp_path / "api.sock", os.getuid()
    keys = {
        "me": {"uid": own, "budgets": [{"usd": 5, "per": "day"}]},
        "other": {"uid": own + 1},
        "alice": {"key": "sk-a"},
    }
    config = {
        "providers": {"mock": {}},
        "listen": {"socket": str(path)},
        "keys": keys,
        "catalogue": {"refresh": "never"},
    }
    with Daemon(config, tmp_path) as daemon:
        client = Local(path)
        anything, alice = [("Authorization", "Bearer anything")], [("Authorization", "Bearer sk-a")]
        for headers in ([], anything, alice, anything, alice, anything, alice, []):
            assert client.chat(headers)[0] == 200
        client.close()
        by = [line["key"] for line in daemon.wait_for_lines(lambda line: line.get("event") == "call", 8)]
        assert by == ["me", "me", "alice", "me", "alice", "me", "alice", "me"]
        assert daemon.stop() == 0


def test_a_uid_where_nobody_comes_over_a_socket_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("providers: {mock: }\nkeys: {bob: {uid: 1000}}\n")
    done = typed(tmp_path, "check", str(tmp_path / "c.yaml"))
    assert "keys.bob.uid counts on a Unix socket only, and listen.socket is not set" in done.stdout + done.stderr
