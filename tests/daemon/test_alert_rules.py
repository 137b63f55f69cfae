"""Alert rules in a real daemon: measured, told once to webhook, chats and mail, over a kill; tried by path and command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.hooks import Receiver
from harness.http import Connection, Reply, request_bytes
from harness.mails import PASSWORD, USER, MailServer
from harness.setting import CLIENT_KEY
from harness.taking import Taker

TOKEN = "admin-canary-aa01"


class Chats(Taker[tuple[str, dict[str, Any]]]):
    """Three chats at one address: what came to which path."""

    def __init__(self) -> None:
        chats = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert "webhook-signature" not in self.headers
                chats.take((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.root = f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert shutil.which("openssl"), "openssl is not on the PATH; install the Debian package `openssl`"
    folder = tmp_path_factory.mktemp("certificate")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "pem", "-subj", "/CN=x"]
    more = ["-days", "30", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *made, *more], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def mails(certificate: Path) -> Iterator[MailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "pem", certificate / "key")
    with MailServer(context) as server:
        yield server


def config(receiver: Receiver, chats: Chats, mails: MailServer, certificate: Path) -> dict[str, Any]:
    smtp = {"host": f"127.0.0.1:{mails.port}", "sender": "toll@example.org", "user": USER, "password": PASSWORD}
    told = [
        {**receiver.hook, "name": "ops"},
        *({"url": f"{chats.root}/{form}", "form": form, "name": form} for form in ("slack", "discord", "ntfy")),
        {"mail": "ops@example.org", "name": "mail"},
    ]
    return {
        "providers": {"mock": {}, "dead": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "free": True}},
        "models": {"smart": "mock/echo?cost=0.01", "dead": "dead/llama"},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 9, "per": "day"}, {"usd": 90, "per": "total"}]}},
        "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
        "retries": {"attempts": 1},
        "smtp": {**smtp, "ca_file": str(certificate / "pem")},
        "alerts": told,
        "alert_rules": {"busy": {"metric": "calls", "above": 2, "over": "5m", "each": "key"}},
    }


def admin(daemon: Daemon, method: str, path: str, body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port) as connection:
        headers = [("Authorization", f"Bearer {TOKEN}")]
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def told(daemon: Daemon, what: str, rule: str) -> dict[str, Any]:
    """The log line of a notice, once it is there."""
    return daemon.wait_for_log(
        lambda line: line.get("event") == "alert_rule" and (line["state"], line["rule"]) == (what, rule)
    )


def test_a_rule_is_told_once_everywhere_and_others_come_and_go(
    mails: MailServer, certificate: Path, tmp_path: Path
) -> None:
    with Receiver() as receiver, Chats() as chats:
        settings = config(receiver, chats, mails, certificate)
        with Daemon(settings, tmp_path, key=CLIENT_KEY) as daemon:
            assert {daemon.chat("smart").status for _ in range(3)} == {200}
            (message,) = receiver.wait_for(1)
            assert (message["type"], message["data"]["subject"], message["data"]["value"]) == (
                "alert.firing",
                "alice",
                3,
            )
            came = dict(chats.wait_for(3))
            assert set(came) == {"/slack", "/discord", "/"}, "ntfy takes JSON at its root"
            assert came["/slack"]["text"].startswith("*Alert busy (key alice) fires*")
            (mail,) = mails.wait_for(1)
            assert (mail["Subject"], mail["To"]) == ("[tollkeeper] Alert busy (key alice) fires", "ops@example.org")
            assert mail.get_content().strip() == came["/"]["message"]
            (rule,) = admin(daemon, "GET", "/alerts/rules").json["rules"]
            assert (rule["state"], rule["watched"][0]["subject"]) == ("firing", "alice")
            stored_rules(daemon, receiver)
            tried(daemon, mails)
            os.kill(daemon.pid, signal.SIGKILL)
        number = len(receiver.messages)
        with Daemon(settings, tmp_path, key=CLIENT_KEY) as daemon:
            standing = admin(daemon, "GET", "/alerts/rules/busy").json
            while standing["state"] != "firing" or standing["watched"][0]["value"] is None:
                standing = admin(daemon, "GET", "/alerts/rules/busy").json
            assert len(receiver.messages) == number, "who was told before a kill is not told again"
            assert daemon.stop() == 0
        assert PASSWORD not in daemon.output and CLIENT_KEY not in daemon.output


def stored_rules(daemon: Daemon, receiver: Receiver) -> None:
    """Set, told, over, changed, removed."""
    failing = {"metric": "error_ratio", "above": "20%", "over": "5m", "only": {"key": "alice"}, "to": ["ops"]}
    assert daemon.chat("dead").status >= 500
    assert admin(daemon, "PUT", "/alerts/rules/failing", failing).status == 200
    assert told(daemon, "firing", "failing")["value"] == 0.25
    assert {daemon.chat("smart").status for _ in range(4)} == {200}
    assert told(daemon, "resolved", "failing")["value"] == 0.125
    kinds = [message["type"] for message in receiver.wait_for(3)]
    assert kinds == ["alert.firing", "alert.firing", "alert.resolved"]
    assert {daemon.chat("no-such-model").status for _ in range(12)} == {404}
    standing = {
        "end": ({"metric": "budget_end_ratio", "above": 0, "to": ["ops"]}, "key:alice:day"),
        "out": ({"metric": "budget_hours", "below": 10**9, "only": {"key": "al*"}, "to": ["ops"]}, "key:alice:total"),
        "odd": ({"metric": "anomaly_refusals", "above": 0, "to": ["ops"]}, "refusals of key alice"),
    }
    for name, (rule, subject) in standing.items():
        assert admin(daemon, "PUT", f"/alerts/rules/{name}", rule).status == 200
        line = told(daemon, "firing", name)
        assert (line["subject"], line["over"]) == (subject, None) and line["why"]
    for member, said in (({"each": "key"}, "leave each out"), ({"only": {"model": "x"}}, "knows no model")):
        wrong = admin(daemon, "PUT", "/alerts/rules/out", {**standing["out"][0], **member})
        assert wrong.status == 400 and said in wrong.error["message"]
    wrong = admin(daemon, "PUT", "/alerts/rules/failing", {**failing, "metric": "error_rate"})
    assert wrong.status == 400 and "error_ratio" in wrong.error["message"]
    wrong = admin(daemon, "PUT", "/alerts/rules/failing", {**failing, "to": ["opps"]})
    assert wrong.status == 400 and "did you mean" in wrong.error["message"]
    assert admin(daemon, "PUT", "/alerts/rules/busy", failing).status == 409, "it stands in the file"
    assert admin(daemon, "DELETE", "/settings/alert_rules/failing").status == 200
    assert admin(daemon, "GET", "/alerts/rules/failing").status == 404
    assert admin(daemon, "PUT", "/alerts/rules/end", {**standing["end"][0], "above": 10**9}).status == 200
    assert admin(daemon, "DELETE", "/settings/alert_rules/odd").status == 200
    for name in ("end", "odd"):
        line = told(daemon, "resolved", name)
        assert (line["subject"], line["value"]) == (standing[name][1], None), "who was told waits for the end"


def tried(daemon: Daemon, mails: MailServer) -> None:
    """By the path and the command."""
    found = admin(daemon, "POST", "/alerts/rules/busy/test").json
    assert found["passed"] and [(one["name"], one["delivered"]) for one in found["sent"]] == [
        (name, True) for name in ("ops", "slack", "discord", "ntfy", "mail")
    ]
    assert mails.wait_for(2)[-1]["Subject"] == "[tollkeeper] Alert busy is tried out"
    file = str(daemon.folder / "config.yaml")
    done = typed(daemon.folder, "alerts", "test", "busy", "--quiet", "--config", file)
    assert done.returncode == 0 and "It would fire." in done.stdout
    done = typed(daemon.folder, "alerts", "list", "--config", file)
    assert "calls above 2" in done.stdout and "key alice" in done.stdout
    done = typed(daemon.folder, "alerts", "prometheus", "--config", file)
    assert done.stdout.startswith("# busy: there is no series for calls")


def test_who_was_told_hears_that_it_is_over_from_the_next_daemon_which_knows_the_rule_no_more(tmp_path: Path) -> None:
    with Receiver() as receiver:
        busy = {"metric": "calls", "above": 0, "over": "5m"}
        settings: dict[str, Any] = {
            "providers": {"mock": {}},
            "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
            "alerts": [receiver.hook],
            "alert_rules": {"gone": busy, "other": busy, "stays": busy, "quiet": {**busy, "above": None, "below": 9}},
        }
        with Daemon(settings, tmp_path) as daemon:
            assert admin(daemon, "PUT", "/alerts/rules/late", busy).status == 200
            assert daemon.chat("mock/echo").status == 200
            receiver.wait_for(4)
            assert "quiet" not in daemon.output, "nothing is missing of what was not counted for as long as that"
            assert admin(daemon, "DELETE", "/settings/alert_rules/late").status == 200
            assert daemon.stop() == 0
        settings["alert_rules"] = {"other": {**busy, "above": 10**6}, "stays": busy}
        for _ in range(2):
            with Daemon(settings, tmp_path) as daemon:
                receiver.wait_for(7)
                while admin(daemon, "GET", "/alerts/rules/other").json["state"] == "unknown":
                    pass
                assert daemon.stop() == 0
        assert over(receiver) == [("gone", None), ("late", None), ("other", None)]
        del settings["alert_rules"]
        with Daemon(settings, tmp_path) as daemon:
            while ("stays", None) not in over(receiver):
                receiver.wait_for(len(receiver.messages) + 1)
            assert daemon.stop() == 0


def over(receiver: Receiver) -> list[tuple[str, float | None]]:
    """Which rules were told to be over, at which value; a message that a stop made come twice is one."""
    told = dict(zip(receiver.ids, receiver.messages, strict=True)).values()
    return sorted((one["data"]["rule"], one["data"]["value"]) for one in told if one["type"] == "alert.resolved")
