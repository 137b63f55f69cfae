"""Settings changed while the daemon runs: checked, in force at once, kept, and never over what the file says."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.commands import typed
from harness.daemon import REPOSITORY, Daemon
from harness.events import chat_reply
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY, config_for, files_below
from harness.steps import json_reply
from harness.upstream import Upstream

from proxy.config.load import load_text
from proxy.config.stored import sections
from proxy.stores.secrets.master_keys import MasterKeys
from proxy.stores.secrets.sealing import Sealer
from proxy.stores.secrets.vault import Vault
from proxy.web.operator.admin_api import Declined
from proxy.web.operator.admin_table import ROUTES
from proxy.web.operator.settings.stored_settings import Wanted, changes_asked

StartDaemon = Callable[..., Daemon]
TOKEN = "admin-canary-71"
SECRET = "sk-stored-canary-0042"


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(admin={"host": "127.0.0.1", "port": 0, "token": TOKEN}, retries={"attempts": 1})


@pytest.fixture
def start_again() -> Iterator[Callable[[Daemon], Daemon]]:
    """A daemon on the files of one that has ended."""
    with ExitStack() as stack:

        def start(before: Daemon) -> Daemon:
            config = yaml.safe_load((before.folder / "config.yaml").read_text())
            return stack.enter_context(Daemon(config, before.folder, key=CLIENT_KEY))

        yield start


def ask(daemon: Daemon, method: str, path: str, body: Any = None, more: Headers = ()) -> Reply:
    """One request to the admin port, with its token."""
    headers = [("Authorization", f"Bearer {TOKEN}"), *more]
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def local(upstream: Upstream, **members: Any) -> dict[str, Any]:
    """A provider of the scripted upstream's, with a secret."""
    return {"kind": "openai", "base_url": f"{upstream.url}/stored/v1", "api_key": SECRET, **members}


def served_by(daemon: Daemon) -> str | None:
    return daemon.chat("mine/any").header("x-tollkeeper-provider")


def test_a_provider_is_set_used_changed_and_removed_while_calls_go_on(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    assert served_by(daemon) == "openrouter"  # an author of that name
    made = ask(daemon, "PUT", "/settings/providers/mine", local(upstream))
    assert (made.status, made.header("etag"), made.json["changes"]) == (200, '"1"', ["providers: mine added"])
    assert made.json["value"]["api_key"] == "…0042"
    assert served_by(daemon) == "mine"
    assert upstream.calls[-1].header("authorization") == f"Bearer {SECRET}"
    # what was shown and comes back is the secret it stands for
    changed = ask(
        daemon, "PUT", "/settings/providers/mine", {"value": {**made.json["value"], "free": True}, "reason": "why"}
    )
    assert changed.json["changes"] == ["providers: mine changed (free)"]
    assert daemon.chat("mine/any").status == 200
    assert upstream.calls[-1].header("authorization") == f"Bearer {SECRET}"
    ask(daemon, "PUT", "/settings/providers/mine", {**made.json["value"], "enabled": False})
    assert daemon.chat("mine/any").error["code"] == "no_healthy_upstream"
    gone = ask(daemon, "DELETE", "/settings/providers/mine")
    assert (gone.json["version"], gone.json["value"]) == (4, None)
    assert served_by(daemon) == "openrouter"
    back = ask(daemon, "POST", "/settings/rollback", {"section": "providers", "name": "mine", "version": 2})
    assert back.json["entries"][0]["version"] == 5
    assert served_by(daemon) == "mine"
    history = ask(daemon, "GET", "/settings/history?section=providers").json["versions"]
    assert [(row["version"], row["actor"], row["reason"]) for row in history][-2:] == [
        (2, "the admin token", "why"),
        (1, "the admin token", ""),
    ]
    assert SECRET not in json.dumps(history)


def test_what_the_file_says_wins_and_is_read_only(daemon: Daemon) -> None:
    for method, body in (("PUT", {"target": "openai/gpt-4.1"}), ("DELETE", None)):
        reply = ask(daemon, method, "/settings/keys/alice", body)
        assert (reply.status, reply.error["code"]) == (409, "defined_in_file")
        assert "config.yaml, line " in reply.error["message"]
    shown = ask(daemon, "GET", "/settings/keys/alice")
    assert (shown.json["version"], shown.header("etag")) == (0, '"0"')
    assert "config.yaml, line " in shown.json["source"]
    assert CLIENT_KEY not in shown.body.decode()


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("/settings/nothing/x", {}, 404, "not_found", "there is: providers, "),
        (
            "/settings/models/gpt",
            {"target": ""},
            400,
            "invalid_value",
            "models.gpt.target: must be a name without spaces",
        ),
        ("/settings/budgets/team", {"usd": -1, "per": "dya"}, 400, "invalid_value", "did you mean day?"),
        (
            "/settings/providers/x",
            {"kind": "openai", "base_url": "nowhere"},
            400,
            "invalid_value",
            "providers.x.base_url",
        ),
        ("/settings/providers/x y", {"kind": "mock"}, 400, "invalid_value", "is no usable name"),
        ("/settings/routes/one", {"match": "a/*", "provider": "nobody"}, 400, "invalid_value", "names no provider"),
        ("/settings/keys/alice2", {"key": CLIENT_KEY}, 400, "invalid_value", "is the same secret as that of alice"),
    ],
)
def test_what_makes_no_sense_is_refused_in_the_words_of_check_and_changes_nothing(
    daemon: Daemon, path: str, body: Any, status: int, code: str, says: str
) -> None:
    before = ask(daemon, "GET", "/settings").json
    reply = ask(daemon, "PUT", path.replace(" ", "%20"), body)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert says in reply.error["message"]
    assert ask(daemon, "GET", "/settings").json == before
    assert CLIENT_KEY not in reply.body.decode()


def test_a_member_that_stands_twice_is_refused_as_check_refuses_it(daemon: Daemon) -> None:
    sent = b'{"kind": "mock", "kind": "openai"}'
    with Connection(daemon.admin_port) as connection:
        headers, host = [("Authorization", f"Bearer {TOKEN}")], f"127.0.0.1:{daemon.admin_port}"
        connection.send(request_bytes("PUT", "/settings/providers/twice", headers, sent, host))
        reply = connection.read_reply("PUT")
    assert (reply.status, reply.error["code"]) == (400, "invalid_value")
    assert reply.error["message"] == "The body must be a JSON object: it has the member 'kind' twice."
    assert ask(daemon, "GET", "/settings/providers/twice").status == 404


def test_of_two_who_change_the_same_the_second_is_told(daemon: Daemon) -> None:
    assert ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4o", [("If-Match", '"0"')]).status == 200
    late = ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4.1", [("If-Match", '"0"')])
    assert (late.status, late.error["code"]) == (412, "version_changed")
    assert late.error["message"] == (
        "Somebody else made models.m meanwhile: it has version 1 by now; read it again, and change that."
    )
    assert ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4.1", [("If-Match", '"1"')]).json["version"] == 2
    assert ask(daemon, "DELETE", "/settings/models/m", None, [("If-Match", "x")]).status == 400
    former = ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4o", [("If-Match", '"1"')])
    assert former.error["message"].startswith(
        "Somebody else changed models.m after version 1 was read: it has version 2"
    )
    made = ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4o", [("If-None-Match", "*")])
    assert (made.status, made.error["code"]) == (412, "version_changed"), "there is one"
    assert ask(daemon, "PUT", "/settings/models/new", "openai/gpt-4o", [("If-None-Match", "*")]).json["version"] == 1


def test_a_rehearsal_says_what_would_change_and_changes_nothing(daemon: Daemon) -> None:
    reply = ask(daemon, "PUT", "/settings/models/m?dry_run", "openai/gpt-4o")
    assert (reply.json["changes"], reply.json["rehearsed"]) == (["models: m added"], True)
    assert ask(daemon, "GET", "/settings/models/m").status == 404
    assert ask(daemon, "GET", "/settings/history").json["versions"] == []


def test_a_stored_budget_binds_at_once_and_keeps_what_was_spent_under_its_name(
    daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    ask(daemon, "PUT", "/settings/budgets/team", {"usd": 1, "per": "total"})
    assert daemon.chat("openai/gpt-4o").status == 200
    spent = next(row for row in ask(daemon, "GET", "/budgets").json["budgets"] if row["budget"] == "global:team")
    assert float(spent["spent_usd"]) > 0
    ask(daemon, "PUT", "/settings/budgets/team", {"usd": spent["spent_usd"], "per": "total"})
    assert daemon.chat("openai/gpt-4o").error["code"] == "budget_exceeded"


def test_the_same_entry_twice_in_one_change_is_a_sentence() -> None:
    layers, vault = load_text("{}", None, {}).layers, Vault((), Sealer(MasterKeys(None, {}), ()))
    with pytest.raises(Declined, match="^models.m is named twice in one change; say once what it shall be$"):
        changes_asked(
            layers, vault, [Wanted("models", "m", "a/b"), Wanted("models", "n", "a/b"), Wanted("models", "m")]
        )


def test_what_could_not_be_read_at_start_is_there_once_it_can_be(
    daemon: Daemon, start_again: Callable[[Daemon], Daemon]
) -> None:
    ask(daemon, "PUT", "/settings/models/m", "openai/gpt-4o")
    assert daemon.stop() == 0
    ledger = daemon.folder / "state" / "ledger.db"
    whole = ledger.read_bytes()
    ledger.write_bytes(b"no database at all" * 1000)
    again = start_again(daemon)
    assert ask(again, "GET", "/settings/models/m").status == 404
    with ledger.open("r+b") as damaged:  # never empty meanwhile, which would be taken for a ledger that is new
        damaged.write(whole)
        damaged.truncate()
    assert ask(again, "PUT", "/settings/models/m", "openai/gpt-4.1").json["version"] == 2


def test_what_was_answered_is_there_after_a_kill_and_a_restart(
    tmp_path: Path, upstream: Upstream, start_again: Callable[[Daemon], Daemon]
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    with Daemon(config_for(upstream, admin={"port": 0, "token": TOKEN}), tmp_path, key=CLIENT_KEY) as daemon:
        ask(daemon, "PUT", "/settings/providers/mine", local(upstream))
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.stop()
    again = start_again(daemon)
    assert served_by(again) == "mine"
    assert upstream.calls[-1].header("authorization") == f"Bearer {SECRET}"
    assert not [file for file, content in state_files(again).items() if SECRET.encode() in content]


def test_a_wrong_master_key_is_named_at_start_and_only_its_calls_are_refused(
    daemon: Daemon, upstream: Upstream, start_again: Callable[[Daemon], Daemon]
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    ask(daemon, "PUT", "/settings/providers/mine", local(upstream))
    ask(daemon, "PUT", "/settings/models/safe", {"target": "mine/any", "fallbacks": ["openai/gpt-4o"]})
    daemon.stop()
    keys = next(file for file in state_files(daemon) if file.name == "master.key")
    label, right = keys.read_text().split(":")[0], keys.read_text()
    keys.write_text(f"{label}:{base64.b64encode(b'x' * 32).decode()}\n")
    again = start_again(daemon)
    assert f"the master key {label} in the file {keys} is another than the one used" in again.output
    refused = again.chat("mine/any")
    assert (refused.status, refused.error["code"]) == (503, "credential_unreadable")
    assert again.chat("safe").header("x-tollkeeper-model") == "openai/gpt-4o"
    assert ask(again, "GET", "/readyz").status == 200
    again.stop()
    keys.write_text(right)
    assert start_again(again).chat("mine/any").status == 200


def state_files(daemon: Daemon) -> dict[Path, bytes]:
    return {file: content for file, content in files_below(daemon.folder).items() if file.name != "config.yaml"}


def test_every_path_and_section_of_settings_is_told() -> None:
    page = " ".join((REPOSITORY / "docs" / "settings.md").read_text().split())
    assert f"that have entries: {', '.join(f'`{section}`' for section in sections())}. " in page
    assert {route.order for route in ROUTES if route.path.startswith("/settings")} == {
        "settings", "settings_of", "setting", "put_setting", "delete_setting", "settings_history", "rollback_setting",
    }  # fmt: skip


def test_a_ledger_that_somebody_has_locked_is_told_as_that_and_nothing_is_changed(
    daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    config = daemon.folder / "config.yaml"
    with closing(sqlite3.connect(daemon.folder / "state" / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        told = [
            ask(daemon, "PUT", "/settings/models/mine", "local/any"),
            ask(daemon, "POST", "/reload"),
            ask(daemon, "POST", "/keys", {"name": "ann"}),
        ]
        assert [(reply.status, reply.error["code"]) for reply in told] == [(503, "ledger_unusable")] * 3
        assert "The ledger cannot be used now: " in told[0].error["message"]
        done = typed(daemon.folder, "settings", "set", "models.mine", "local/any", "--config", str(config))
        assert (done.returncode, done.stderr) == (1, "Error: the ledger cannot be used now: database is locked\n")
        os.kill(daemon.pid, signal.SIGHUP)
        assert "the ledger" in daemon.wait_for_log(lambda line: line["event"] == "reload_refused")["problems"]
        assert (daemon.chat("local/any").status, daemon.chat("mine").status) == (200, 404)
        ledger.execute("COMMIT")
    assert ask(daemon, "PUT", "/settings/models/mine", "local/any").json["version"] == 1
    assert daemon.chat("mine").status == 200


@pytest.mark.parametrize("empty", ["", "null", "# nothing"])
def test_an_entry_that_is_set_to_nothing_stays_as_it_is(daemon: Daemon, empty: str) -> None:
    """`settings set budgets.team "$TERMS"` lifted the cap where the variable was not set."""
    assert ask(daemon, "PUT", "/settings/budgets/team", {"usd": 5, "per": "day"}).status == 200
    done = typed(
        daemon.folder, "settings", "set", "budgets.team", empty, "--config", str(daemon.folder / "config.yaml")
    )
    assert (done.returncode, done.stderr.split(";")[0]) == (1, "Error: budgets.team is given no value")
    refused = ask(daemon, "PUT", "/settings/budgets/team", {"value": None})
    several = ask(daemon, "PUT", "/routing/strategies", {"thrifty": None})
    assert [(reply.status, reply.error["code"]) for reply in (refused, several)] == [(400, "invalid_value")] * 2
    assert ask(daemon, "GET", "/settings/budgets/team").json["version"] == 1
    assert ask(daemon, "DELETE", "/settings/budgets/team").status == 200


def test_a_variable_is_no_secret_that_could_be_stored(daemon: Daemon, upstream: Upstream) -> None:
    """It was sent to the provider as it stands."""
    refused = ask(daemon, "PUT", "/settings/providers/mine", {**local(upstream), "api_key": "${GPU_KEY}"})
    assert (refused.status, refused.error["code"]) == (400, "invalid_value")
    assert "providers.mine.api_key is a variable" in refused.error["message"]
    tenant = ask(daemon, "PUT", "/settings/tenants/acme", {"credentials": {"openrouter": "${ACME:-x}"}})
    assert tenant.status == 400
