"""A configuration that lost its keys, providers or budgets opens nothing: at start, and however it is read again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.commands import Done, typed
from harness.daemon import REPOSITORY, Daemon
from harness.events import chat_reply
from harness.http import Connection, Reply, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]
TOKEN = "admin-token-canary"
NOBODY = [("Authorization", "Bearer nobody")]

CUT = [
    ("empty", lambda text: b"", "the file is empty"),
    ("comment-only", lambda text: b"# nothing\n\n# at all\n", "the file is empty"),
    ("null", lambda text: b"null\n", "the file is empty"),
    ("cut before keys", lambda text: text.partition(b"\nkeys:")[0] + b"\n", "every provider would be dropped"),
    (
        "keys alone cut",
        lambda text: (
            text.replace(b"\nkeys:", b"\n#keys:").replace(b"\n  alice:", b"\n#").replace(b"\n    key:", b"\n#")
        ),
        "no client key would be left",
    ),
    ("cut within a word", lambda text: text[: text.index(b"\nkeys:") + 3], "config.yaml:"),
    ("no keys", lambda text: b"listen: {port: 0}\nproviders: {mock: {}}\n", "no client key would be left"),
    ("no UTF-8", lambda text: text + b"# \xff\n", "not UTF-8"),
    ("gone", lambda text: None, "there is no such file"),
]


def file_of(daemon: Daemon) -> Path:
    return daemon.folder / "config.yaml"


def config_of(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file_of(daemon).read_text())
    return found


def is_closed(daemon: Daemon, upstream: Upstream) -> bool:
    """The key works, at the provider it always went to; nobody else may call."""
    upstream.reset()
    upstream.expect(json_reply(chat_reply()), again=True)
    statuses = daemon.chat().status, daemon.chat(headers=NOBODY).status
    return statuses == (200, 401) and upstream.call.target.startswith("/or/")


def post(daemon: Daemon, query: str = "") -> Reply:
    with Connection(daemon.admin_port) as connection:
        headers = [("Authorization", f"Bearer {TOKEN}")]
        connection.send(request_bytes("POST", f"/reload{query}", headers, None, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply("POST")


def spoil(daemon: Daemon, change: Callable[[bytes], bytes | None]) -> None:
    file = file_of(daemon)
    content = change(file.read_bytes())
    file.unlink()
    if content is not None:
        file.write_bytes(content)


@pytest.mark.parametrize(("change", "sentence"), [case[1:] for case in CUT], ids=[case[0] for case in CUT])
def test_a_file_that_lost_its_keys_changes_nothing_on_sighup(
    start_daemon: StartDaemon, upstream: Upstream, change: Callable[[bytes], bytes | None], sentence: str
) -> None:
    daemon = start_daemon(retries={"attempts": 1})
    spoil(daemon, change)
    os.kill(daemon.pid, signal.SIGHUP)
    line = daemon.wait_for_log(lambda line: line.get("event") == "reload_refused")
    assert sentence in line["problems"]
    assert is_closed(daemon, upstream)


@pytest.mark.parametrize("content", [b"# gone\n", b"providers: {mock: {}}\n"])
def test_nor_when_asked_over_http_or_seen_by_the_watch(
    start_daemon: StartDaemon, upstream: Upstream, content: bytes
) -> None:
    daemon = start_daemon(args=["--watch"], admin={"host": "127.0.0.1", "port": 0, "token": TOKEN})
    spoil(daemon, lambda _: content)
    daemon.wait_for_log(lambda line: line.get("event") == "reload_refused")
    reply = post(daemon)
    assert (reply.status, reply.error["code"]) == (409, "config_refused")
    assert is_closed(daemon, upstream)


def started(folder: Path, content: str) -> subprocess.CompletedProcess[str]:
    (folder / "config.yaml").write_text(content)
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(folder / "config.yaml")]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


@pytest.mark.parametrize("content", ["", "# only this\n", "null\n", "---\n"])
def test_a_start_from_an_empty_file_is_an_error(tmp_path: Path, content: str) -> None:
    ended = started(tmp_path, content)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "config.yaml: the file is empty" in ended.stderr


def test_keys_of_the_file_leave_a_mark_and_a_start_without_any_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    usual = config_for(upstream)
    with Daemon(usual, tmp_path, key=CLIENT_KEY) as daemon:
        assert is_closed(daemon, upstream)
        assert daemon.stop() == 0
    assert (tmp_path / "state" / "keyed").exists()
    lost = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del lost["keys"]
    ended = started(tmp_path, yaml.safe_dump(lost))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "there were client keys here and none is left" in ended.stderr and "`open: true`" in ended.stderr
    with Daemon({**usual, "keys": {}, "open": True}, tmp_path) as daemon:
        upstream.expect(json_reply(chat_reply()))
        assert daemon.chat().status == 200
        assert "open to everybody on this machine" in daemon.output
        assert daemon.stop() == 0


def test_open_and_keys_contradict_each_other(tmp_path: Path) -> None:
    ended = started(tmp_path, "open: true\nproviders: {mock: {}}\nkeys: {a: {key: sk-a}}\n")
    assert ended.returncode == 1
    assert "config.yaml:1:7: open: says that no keys are wanted, and there are some under keys:" in ended.stderr


def test_a_reload_that_says_open_opens(start_daemon: StartDaemon, upstream: Upstream) -> None:
    daemon = start_daemon()
    file_of(daemon).write_text(yaml.safe_dump({**config_of(daemon), "keys": {}, "open": True}))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log(lambda line: line.get("event") == "reloaded")
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat(headers=NOBODY).status == 200


def without(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {name: value for name, value in config.items() if name not in names}


BUDGET = [{"usd": 5, "per": "day"}]
DROPS = [
    ("the providers", without("providers"), "every provider would be dropped"),
    ("the budgets", without("budgets"), "every budget would be dropped"),
    ("both", without("budgets", "providers"), "every provider and budget would be dropped"),
    ("the budgets, commented out", lambda config: {**config, "budgets": None}, "every budget would be dropped"),
]


@pytest.mark.parametrize(("change", "sentence"), [case[1:] for case in DROPS], ids=[case[0] for case in DROPS])
def test_every_provider_or_budget_goes_only_when_that_is_meant(
    start_daemon: StartDaemon, change: Callable[[dict[str, Any]], dict[str, Any]], sentence: str
) -> None:
    daemon = start_daemon(budgets=BUDGET, routes=[], admin={"host": "127.0.0.1", "port": 0, "token": TOKEN})
    file_of(daemon).write_text(yaml.safe_dump(change(config_of(daemon))))
    refused = post(daemon)
    assert refused.status == 409
    assert sentence in refused.error["message"].lower()
    assert post(daemon, "?yes=no").status == 409
    assert post(daemon, "?yes").status == 200


def test_sections_written_empty_are_meant(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(budgets=BUDGET, routes=[], models={})
    file_of(daemon).write_text(yaml.safe_dump({**config_of(daemon), "budgets": [], "providers": {}}))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log(lambda line: line.get("event") == "reloaded")
    assert (daemon.chat().status, daemon.ask("GET", "/v1/files").status) == (404, 503)


def test_the_last_budget_of_a_key_counts_too(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(keys={"alice": {"key": CLIENT_KEY, "budgets": BUDGET}})
    file_of(daemon).write_text(yaml.safe_dump({**config_of(daemon), "keys": {"alice": {"key": CLIENT_KEY}}}))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log(lambda line: "every budget would be dropped" in line.get("problems", ""))


def tollkeeper(daemon: Daemon, *arguments: str) -> Done:
    return typed(daemon.folder, *arguments, "--config", str(file_of(daemon)))


def test_the_command_reloads_and_can_be_told_that_it_is_meant(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(budgets=BUDGET)
    assert tollkeeper(daemon, "reload").stdout == "nothing has changed\n"
    file_of(daemon).write_text(yaml.safe_dump(without("budgets")(config_of(daemon))))
    refused = tollkeeper(daemon, "reload")
    assert refused.returncode == 1 and "use `tollkeeper reload --yes`" in refused.stderr
    assert tollkeeper(daemon, "reload", "--yes").stdout == "budgets: changed\n"
    assert daemon.stop() == 0
    assert "no daemon runs" in tollkeeper(daemon, "reload").stderr


def test_a_file_somebody_is_writing_is_waited_for(start_daemon: StartDaemon, upstream: Upstream) -> None:
    """As an editor does it: emptied, then written piece by piece, the signal sent too early."""
    daemon = start_daemon()
    text = yaml.safe_dump({**config_of(daemon), "default_model": "openai/gpt-4o"}, sort_keys=False)
    pieces = [text[at : at + 150] for at in range(0, len(text), 150)]
    with file_of(daemon).open("w") as file:
        os.kill(daemon.pid, signal.SIGHUP)
        for piece in pieces:
            threading.Event().wait(0.1)  # the time between writes is the subject
            file.write(piece)
            file.flush()
    line = daemon.wait_for_log(lambda line: line.get("event") in ("reloaded", "reload_refused"))
    assert line.get("changes") == ["default_model: None -> openai/gpt-4o"], json.dumps(line)
    assert is_closed(daemon, upstream)
