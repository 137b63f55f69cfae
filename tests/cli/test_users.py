"""A user of this machine over a Unix socket: known to the kernel, and so to the daemon, without any secret."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import nullcontext
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from harness.commands import typed
from harness.daemon import Daemon
from money_commands import Desk


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


def test_a_key_of_the_store_is_a_user_too_and_one_of_a_tenant(tmp_path: Path) -> None:
    path, own = tmp_path / "api.sock", str(os.getuid())
    desk = Desk(tmp_path, listen={"socket": str(path)}, tenants={"acme": {"budgets": [{"usd": 5, "per": "total"}]}})
    with desk.daemon() as daemon:
        client = Local(path)

        def caller() -> tuple[str, str | None]:
            (status, reply), seen = client.chat(), len(lines)
            assert status == 200, reply
            lines[:] = daemon.wait_for_lines(lambda line: line.get("key") is not None, seen + 1)
            return lines[-1]["key"], lines[-1]["tenant"]

        lines: list[dict[str, Any]] = []
        assert client.chat()[0] == 401
        desk.json("keys", "create", "bob", "--uid", own, "--tenant", "acme")
        assert caller() == ("bob", "acme")
        for name, uid, sentence in (
            ("eve", own, f"the user {own} is the key 'bob' already"),
            ("eve", "me", "must be a whole number"),
            ("eve", "4294967295", "must be at most 4294967294"),
        ):
            done = desk.run("keys", "create", name, "--uid", uid)
            assert done.returncode != 0 and sentence in done.stderr, done.stderr
        desk.run("keys", "rotate", "bob", "--grace", "1h")
        assert caller() == ("bob", "acme")
        assert desk.json("keys", "update", "bob", "--uid", "none")["changed"] == ["uid"]
        assert client.chat()[0] == 401
        assert desk.json("keys", "update", "bob", "--uid", own, "--tenant", "none")["changed"] == ["tenant", "uid"]
        assert caller() == ("bob", None)
        assert [key["uid"] for key in desk.json("keys", "list")["keys"]] == [None, int(own)]
        desk.run("settings", "set", "keys.carol", json.dumps({"uid": int(own) + 1, "tenant": "acme"}))
        client.close()
    with desk.daemon() as daemon:
        lines = []
        client = Local(path)
        assert caller() == ("bob", None), "after a restart"
        desk.run("keys", "revoke", "bob")
        assert client.chat()[0] == 401
        client.close()


def test_no_key_is_made_a_user_where_nobody_comes_over_a_socket(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for is_running in (True, False):
        with desk.daemon() if is_running else nullcontext():
            done = desk.run("keys", "create", "bob", "--uid", "1000")
            assert (done.returncode, "a uid counts on a Unix socket only" in done.stderr) == (1, True), done.stderr
