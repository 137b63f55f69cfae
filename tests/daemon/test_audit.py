"""Whatever changes something leaves one row: who, what, before and after, why, from where. Wrong tokens as well."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY
from harness.surroundings import PATIENCE_SECONDS, surroundings

from proxy.web.operator.access.guesses import AT_ONCE, Guesses
from proxy.web.operator.admin_table import ROUTES

TOKEN = "admin-canary-51b7"
SECRET = "sk-stored-canary-0042"


class Audited(Daemon):
    """A daemon whose admin port has a token, and its commands."""

    def admin(self, method: str, path: str, body: Any = None, token: str = TOKEN, more: Headers = ()) -> Reply:
        sent = None if body is None else json.dumps(body).encode()
        headers = [("Authorization", f"Bearer {token}"), *more]
        with Connection(self.admin_port) as connection:
            connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{self.admin_port}"))
            return connection.read_reply(method)

    def rows(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.admin("GET", f"/audit?limit=1000{query}").json["rows"]
        return found

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "proxy", *words, "--config", str(self.folder / "config.yaml")],
            check=False,
            cwd=REPOSITORY,
            env=surroundings(self.folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )


def config(**members: Any) -> dict[str, Any]:
    keys = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "total"}]}}
    admin = {"host": "127.0.0.1", "port": 0, "token": TOKEN}
    return {"providers": {"mock": {}}, "admin": admin, "keys": keys, "shutdown": {"drain": 1}, **members}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with Audited(config(), tmp_path_factory.mktemp("audited"), key=CLIENT_KEY) as running:
        yield running


Order = tuple[str, str, Any, str, str]
TERMS = {"name": "bob", "models": ["openai/*"]}
PROVIDER = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": SECRET}
EXPERIMENT = {"model": "smart", "arms": [{"target": "mock/a", "share": 50}, {"target": "mock/b", "share": 50}]}
ORDERS: list[Order] = [
    ("POST", "/keys", TERMS, "key.create", "keys.bob"),
    ("PATCH", "/keys/bob", {"timing": True, "name": "rob"}, "key.update", "keys.bob"),
    ("POST", "/keys/rob/rotations", {}, "key.rotate", "keys.rob"),
    ("DELETE", "/keys/rob", None, "key.revoke", "keys.rob"),
    ("POST", "/budgets/key:alice:total/adjustments", {"usd": "1", "reason": "why"}, "budget.adjust", "budgets.key:alice:total"),
    ("PUT", "/settings/providers/gpu", PROVIDER, "setting.set", "providers.gpu"),
    ("POST", "/settings/rollback", {"section": "providers", "name": "gpu", "version": 1}, "setting.rollback", "providers.gpu"),
    ("POST", "/secrets/rotate", None, "secrets.rotate", "master keys"),
    ("POST", "/secrets/prune", None, "secrets.prune", "master keys"),
    ("DELETE", "/settings/providers/gpu", None, "setting.remove", "providers.gpu"),
    ("PUT", "/routing/strategies/own", {"weights": {"cost": 1}}, "setting.set", "strategies.own"),
    ("PUT", "/routing/strategies", {"several": {"weights": {"cost": 1}}}, "setting.set", "strategies.several"),
    ("PUT", "/experiments", {"newer": EXPERIMENT}, "setting.set", "experiments.newer"),
    ("PUT", "/alerts/rules", {"several": {"metric": "cost_usd", "above": 5}}, "setting.set", "alert_rules.several"),
    ("PUT", "/experiments/newer", EXPERIMENT, "setting.set", "experiments.newer"),
    ("POST", "/reconciliation", None, "bills.read", "models"),
    ("PUT", "/alerts/rules/dear", {"metric": "cost_usd", "above": 5}, "setting.set", "alert_rules.dear"),
    ("POST", "/alerts/rules/dear/test", {}, "alert.test", "dear"),
    ("POST", "/reload", None, "reload", "config.yaml"),
]  # fmt: skip
# these want calls, lists of models or a provider that answers: tests/daemon/test_admin.py ends a call, others have tests of their own
CALLS_NEEDED = {
    "DELETE /calls/{request_id}",
    "POST /sessions/raise",
    "POST /models/sync",
    "PATCH /models",
    "POST /models/undo",
    "DELETE /jobs/{name}",  # tests/dashboard
    "POST /webhooks/{name}/replay",
    "POST /providers/{name}/test",
    # tests/daemon/test_experiments.py
    *(f"POST /experiments/{{name}}/{step}" for step in ("ramp", "hold", "rollback", "finish")),
}


def test_every_path_that_changes_something_is_ordered_here() -> None:
    changing = {f"{route.method} {route.path}": route for route in ROUTES if route.changes}
    ordered = {
        name
        for name, route in changing.items()
        for method, path, *_ in ORDERS
        if route.match(method, path.split("/")[1:]) is not None
    }
    assert ordered | CALLS_NEEDED == set(changing)


def test_each_leaves_one_row_and_no_secret(daemon: Audited) -> None:
    more = [("x-tollkeeper-reason", "for the test")]
    for method, path, body, action, target in ORDERS:
        before = len(daemon.rows())
        reply = daemon.admin(method, path, body, more=more)
        assert reply.status == 200, (path, reply.body)
        (row,) = daemon.rows()[:-before] if before else daemon.rows()
        assert (row["actor"], row["source"], row["action"]) == ("the admin token", "127.0.0.1", action)
        assert row["target"].endswith(target)
        assert row["reason"] == ("why" if "adjust" in action else "for the test")
    told = {row["action"]: (row["before"], row["after"]) for row in daemon.rows()[: len(ORDERS)]}
    assert told["key.create"][0] is None and told["key.create"][1]["models"] == ["openai/*"]
    assert [state["timing"] for state in told["key.update"]] == [False, True]
    assert told["key.revoke"][0]["models"] == ["openai/*"] and told["key.revoke"][1] is None
    assert told["setting.set"][1]["api_key"] == "…0042"
    assert told["setting.remove"] == (told["setting.set"][1], None)
    assert SECRET not in json.dumps(daemon.rows()) and SECRET not in daemon.output
    assert daemon.admin("GET", "/audit/verification").json["ok"] is True
    logged = daemon.wait_for_lines(lambda line: line["event"] == "audited", len(ORDERS))
    assert logged[-1]["hash"] in {row["hash"] for row in daemon.rows()}


def test_what_was_refused_or_only_rehearsed_leaves_none(daemon: Audited) -> None:
    before = daemon.rows()
    assert daemon.admin("DELETE", "/keys/nobody").status == 404
    assert daemon.admin("PUT", "/settings/models/m", "openai/gpt-4o", more=[("If-Match", '"7"')]).status == 412
    assert daemon.admin("PUT", "/settings/models/m?dry_run", "openai/gpt-4o").status == 200
    assert daemon.rows() == before


def guess(daemon: Daemon) -> tuple[int, str | None]:
    """A wrong token, from another address of this machine."""
    elsewhere = HTTPConnection("127.0.0.1", daemon.admin_port, PATIENCE_SECONDS, source_address=("127.0.0.2", 0))
    with closing(elsewhere):
        elsewhere.request("POST", "/reload", headers={"Authorization": "Bearer wrong-canary"})
        reply = elsewhere.getresponse()
        return reply.status, reply.getheader("retry-after")


def test_wrong_tokens_are_written_down_and_slow_down_where_they_come_from_alone(daemon: Audited) -> None:
    statuses = [guess(daemon)[0] for _ in range(int(AT_ONCE))]
    assert statuses == [401] * int(AT_ONCE)
    told = [guess(daemon) for _ in range(20)]  # where the machine is slow, another try grows now and then
    assert [retry_after for status, retry_after in told if status == 429].count(None) == 0
    assert 429 in {status for status, _ in told}
    assert daemon.admin("GET", "/settings").status == 200  # the right one, from here
    failed = daemon.rows("&action=login.failed")
    assert len(failed) >= AT_ONCE
    assert {(row["actor"], row["source"], row["target"]) for row in failed} == {
        ("anybody", "127.0.0.2", "POST /reload")
    }
    assert "canary" not in json.dumps(failed)


def test_commands_say_who_they_are_and_what_they_see_is_whole(daemon: Audited) -> None:
    made = daemon.command("keys", "create", "carl", "--reason", "für Carl")
    assert made.returncode == 0, made.stderr
    row = daemon.rows("&target=keys.carl")[0]
    told = (row["actor"], row["source"], row["reason"])
    assert told == (f"uid {os.geteuid()}", "control socket", "für Carl")
    shown = daemon.command("audit", "--target", "keys.carl", "--json")
    assert json.loads(shown.stdout)["rows"] == [row]
    assert "The audit is whole" in daemon.command("audit", "--verify", "--head", row["hash"]).stdout
    exported = daemon.command("audit", "--jsonl").stdout
    lines = [json.loads(line) for line in exported.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    program = (REPOSITORY / "docs" / "audit.md").read_text().partition("```python\n")[2].partition("```")[0]
    for text, code in ((exported, 0), (exported.replace("für Carl", "for Carl"), 1)):
        done = subprocess.run([sys.executable, "-c", program], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == code, done.stderr


def test_rows_outlive_a_kill_and_a_damaged_chain_is_said(tmp_path: Path) -> None:
    with Audited(config(), tmp_path, key=CLIENT_KEY) as daemon:
        assert daemon.admin("POST", "/keys", {"name": "bob"}).status == 200
        body = {"usd": "1", "reason": "why"}
        assert daemon.admin("POST", "/budgets/key:alice:total/adjustments", body).status == 200
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.stop()
        # without a daemon: what the journal had is there, and more can be done
        assert daemon.command("keys", "revoke", "bob").returncode == 0
        shown = json.loads(daemon.command("audit", "--json").stdout)["rows"]
        told = {row["action"]: row["source"] for row in shown}
        assert told == {"key.create": "127.0.0.1", "budget.adjust": "127.0.0.1", "key.revoke": "the files"}
        assert daemon.command("audit", "--verify").returncode == 0
        with sqlite3.connect(tmp_path / "state" / "ledger.db") as ledger:
            ledger.execute("DROP TRIGGER audit_update")
            ledger.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
        verdict = daemon.command("audit", "--verify")
        assert (verdict.returncode, verdict.stderr) == (1, "The audit is not whole: row 2 was changed.\n")
        checks = json.loads(daemon.command("doctor", "--offline", "--json").stdout)["checks"]
        assert [c["status"] for c in checks if c["name"] == "audit"] == ["fail"]


def test_an_address_that_guesses_waits_and_no_other() -> None:
    guesses = Guesses()
    for _ in range(10):
        assert guesses.wait_seconds("10.0.0.1", 0.0) == 0
        guesses.wrong("10.0.0.1", 0.0)
    assert guesses.wait_seconds("10.0.0.1", 0.0) == 6
    assert guesses.wait_seconds("10.0.0.1", 6.0) == 0
    assert guesses.wait_seconds("10.0.0.2", 0.0) == 0
    for n in range(20):
        guesses.wrong(f"2001:db8::{n:x}", 0.0)
    assert guesses.wait_seconds("2001:db8::ffff", 0.0) > 0
    assert guesses.wait_seconds("2001:db8:0:1::1", 0.0) == 0
