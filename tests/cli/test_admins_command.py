"""`tollkeeper admins` as somebody types it: tokens shown once, in force at once, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

from harness.daemon import Daemon
from harness.http import Connection, Headers, Reply, request_bytes
from money_commands import Desk


def ask(daemon: Daemon, method: str, path: str, token: str | None) -> Reply:
    headers: Headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, None, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def test_tokens_are_made_rotated_and_revoked_beside_a_daemon(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.daemon() as daemon:
        assert ask(daemon, "GET", "/usage", None).status == 200
        made = desk.json("admins", "create", "ann", "--role", "viewer", "--reason", "reads along")
        assert ask(daemon, "GET", "/usage", None).status == 401  # from the first one on
        assert ask(daemon, "GET", "/usage", made["token"]).status == 200
        assert ask(daemon, "POST", "/reload", made["token"]).status == 403
        assert "already" in desk.refused("admins", "create", "ann", "--role", "owner")
        rotated = desk.json("admins", "rotate", "ann")
        tokens = (made["token"], rotated["token"])
        assert [ask(daemon, "GET", "/usage", token).status for token in tokens] == [401, 200]
        (row,) = desk.json("admins", "list")["admins"]
        assert (row["name"], row["role"], row["from"]) == ("ann", "viewer", "store")
        assert row["expires"].endswith("Z")
        assert desk.run("admins", "revoke", "ann").returncode == 0
        assert [ask(daemon, "GET", "/usage", token).status for token in (None, rotated["token"])] == [200, 200]
        assert not any(token in daemon.output for token in tokens)
    told = desk.json("audit", "--target", "admins.ann")["rows"]
    assert [row["action"] for row in told] == ["setting.remove", "setting.set", "setting.set"]
    assert not any(token in json.dumps(told) for token in tokens)
    ledger = (tmp_path / "state" / "ledger.db").read_bytes()
    assert not any(token.encode() in ledger for token in tokens)
